//! Tables, chart and page of the figures.

use crate::Outcome;
use crate::case::BATCH;
use crate::case::Effort;
use crate::support;
use crate::support::Chart;
use crate::support::Group;
use crate::support::Machine;
use crate::support::Table;

pub(crate) fn times(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        "µs, p50 / p99",
        "stockroom",
        "by hand, pool at its defaults",
        "by hand, pool without ping",
        "ratio",
        "ratio, without ping",
    ]);
    for outcome in outcomes {
        let time = |side: usize| format!("{:.0} / {:.0}", outcome.p50[side], outcome.p99[side]);
        table.row(vec![
            format!("{}, {}", outcome.engine.name(), outcome.case.name()),
            time(0),
            time(1),
            time(2),
            format!("{:.2}", outcome.ratios[1]),
            format!("{:.2}", outcome.ratios[2]),
        ]);
    }
    table
}

pub(crate) fn allocations(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&["allocations (bytes) a read", "stockroom", "by hand"]);
    for outcome in outcomes {
        let count = |side: usize| {
            format!(
                "{} ({})",
                support::grouped(outcome.allocations[side]),
                support::grouped(outcome.bytes[side])
            )
        };
        table.row(vec![
            format!("{}, {}", outcome.engine.name(), outcome.case.name()),
            count(0),
            count(1),
        ]);
    }
    table
}

pub(crate) fn chart(outcomes: &[Outcome]) -> String {
    let group = |outcome: &Outcome| Group {
        name: format!("{}, {}", outcome.engine.name(), outcome.case.name()),
        values: outcome.p50.to_vec(),
    };
    Chart {
        title: "Reads by key, median in µs (less is better)",
        series: vec![
            "stockroom",
            "by hand, pool at its defaults",
            "by hand, pool without ping",
        ],
        groups: outcomes
            .iter()
            .filter(|outcome| outcome.case.is_keyed())
            .map(group)
            .collect(),
    }
    .svg()
}

pub(crate) fn markdown(machine: &Machine, outcomes: &[Outcome], effort: Effort, verdict: &str) -> String {
    format!(
        "# Reads by key\n\nWritten by `cargo bench --features full --bench reads`; every run replaces it.\n\n{verdict}\n\n\
         ![Reads by key](reads.svg)\n\n{}\n{}\n\
         - **stockroom**: `shop.products().get(id)`, `get_many(&ids)` and the like, a shop with its default options.\n\
         - **by hand**: `sqlx::query(…).fetch_one(&pool)`: one statement with the same columns and the same aggregation of \
         lines, decoded by position into the same types. The bench checks that both give equal values. The pool is at \
         sqlx's defaults: it pings a connection before each use, and again when it is given back. **Without ping** leaves out \
         the first (`test_before_acquire(false)`); the second cannot be left out. The shop's pool for PostgreSQL asks a \
         connection only after it lay idle for 30 s.\n\
         - One caller. {} rounds, in each of which every way reads {} single rows or {} batches of {BATCH}, in turns; the \
         same ids for all, spread over {} rows. A ratio is the median over the rounds of median through median. \
         Allocations are counted in a run of their own, on all threads.\n\n{}",
        times(outcomes).markdown(),
        allocations(outcomes).markdown(),
        effort.rounds,
        effort.keyed,
        effort.batches,
        support::grouped(effort.rows as f64),
        machine.markdown()
    )
}
