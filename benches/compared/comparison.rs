//! The table and the chart of ways that were measured beside each other.

use super::rounds::Figures;
use super::rounds::Outcome;
use crate::support::Chart;
use crate::support::Cpu;
use crate::support::Group;
use crate::support::Table;
use crate::support::grouped;

/// A line for each way of each case.
pub(crate) fn table(outcomes: &[Outcome], speed: &str, inserted: &str) -> Table {
    let mut table = Table::new(&[
        "",
        speed,
        "p50 / p99 ms",
        "stockroom is",
        "its p50 / p99 are",
        inserted,
        "writes a batch",
        "tries a batch",
        "processor µs an answer, client + server",
    ]);
    for outcome in outcomes {
        let mut shop = None;
        for (way, figures) in outcome.ways.iter().zip(&outcome.figures) {
            let (factor, times) = match shop {
                None => (String::new(), String::new()),
                Some(shop) => compared(shop, figures),
            };
            shop = shop.or(Some(figures));
            table.row(vec![
                format!("{}: {way}", outcome.name),
                grouped(figures.rate),
                format!("{:.2} / {:.2}", figures.p50, figures.p99),
                factor,
                times,
                format!("{:.2}", figures.inserted),
                of(figures.commits.writes, figures.commits.batches),
                of(figures.commits.rounds, figures.commits.batches),
                format!("{:.0} + {:.0}", figures.client, figures.server),
            ]);
        }
    }
    table
}

/// How many there are to each; nothing where there is none.
fn of(count: u64, batches: u64) -> String {
    if batches == 0 {
        String::new()
    } else {
        format!("{:.2}", count as f64 / batches as f64)
    }
}

fn compared(shop: &Figures, other: &Figures) -> (String, String) {
    (
        format!("{:.1} times as fast", shop.rate / other.rate),
        format!(
            "{:.2} / {:.2} of these",
            shop.p50 / other.p50,
            shop.p99 / other.p99
        ),
    )
}

/// Bars for each way of each case.
pub(crate) fn chart(outcomes: &[Outcome], title: &'static str) -> String {
    let group = |outcome: &Outcome| Group {
        name: outcome.name.clone(),
        values: outcome.figures.iter().map(|figures| figures.rate).collect(),
    };
    let longest = outcomes.iter().map(|outcome| &outcome.ways);
    Chart {
        title,
        series: longest.max_by_key(|ways| ways.len()).cloned().unwrap_or_default(),
        groups: outcomes.iter().map(group).collect(),
    }
    .svg()
}

/// What others used of the machine while it was measured, in percent.
pub(crate) fn disturbed(outcomes: &[Outcome]) -> String {
    let cpu = outcomes
        .iter()
        .fold(Cpu::default(), |sum, outcome| sum.plus(outcome.cpu));
    format!("used {:.0} % of the processors meanwhile", cpu.others())
}
