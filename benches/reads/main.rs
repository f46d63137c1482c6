//! Reads by key through the shop beside the same reads written by hand with sqlx.
//!
//! ```text
//! cargo bench --features full --bench reads                    # writes docs/benchmarks/reads.md
//! cargo bench --features full --bench reads -- --quick         # a few seconds, writes nothing; also: postgres, sqlite, shop
//! ```

#[path = "../support/hand_written.rs"]
mod hand_written;
#[path = "../support/mod.rs"]
mod support;

mod case;
mod readers;
mod report;

use case::Case;
use case::Effort;
use case::Side;
use readers::Readers;
use stats_alloc::INSTRUMENTED_SYSTEM;
use stats_alloc::Region;
use stats_alloc::StatsAlloc;
use std::time::Instant;
use support::Cpu;
use support::Engine;
use support::Machine;
use support::Places;
use support::Result;
use support::Samples;
use support::Settings;
use support::median;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// The bar of a keyed read: this many times the read written by hand.
const BAR: f64 = 1.15;

/// The times of one case, by [`Side`].
#[derive(Debug)]
struct Outcome {
    engine: Engine,
    case: Case,
    p50: [f64; 3],
    p99: [f64; 3],
    allocations: [f64; 3],
    bytes: [f64; 3],
    /// Median over the rounds of the shop's median through that of each side.
    ratios: [f64; 3],
    cpu: Cpu,
}

async fn measure(
    engine: Engine,
    case: Case,
    readers: &Readers,
    effort: Effort,
    server: Option<u32>,
) -> Result<Outcome> {
    let reads = effort.reads(case);
    let sides = &Side::ALL[..effort.sides];
    for side in sides.iter().copied() {
        // Connections are opened, statements prepared and planned for good.
        run(readers, side, case, effort, 0, reads.max(20)).await?;
    }
    let mut samples: [Samples; 3] = Default::default();
    let mut medians: [Vec<f64>; 3] = Default::default();
    let before = Cpu::now(server);
    for round in 0..effort.rounds {
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            let mut times = run(readers, sides[index], case, effort, round * reads, reads).await?;
            medians[index].push(times.percentile(50));
            samples[index].append(times);
        }
    }
    let cpu = Cpu::now(server).since(before);
    let mut outcome = Outcome {
        engine,
        case,
        p50: samples.each_mut().map(|times| times.percentile(50)),
        p99: samples.each_mut().map(|times| times.percentile(99)),
        allocations: [0.0; 3],
        bytes: [0.0; 3],
        ratios: medians
            .each_ref()
            .map(|other| median(medians[0].iter().zip(other).map(|(shop, other)| shop / other))),
        cpu,
    };
    for (index, side) in sides.iter().copied().enumerate() {
        let region = Region::new(ALLOCATOR);
        let counted = run(readers, side, case, effort, 0, reads).await?.count() as f64;
        let change = region.change();
        outcome.allocations[index] = change.allocations as f64 / counted;
        outcome.bytes[index] = change.bytes_allocated as f64 / counted;
    }
    Ok(outcome)
}

async fn run(
    readers: &Readers,
    side: Side,
    case: Case,
    effort: Effort,
    first: usize,
    reads: usize,
) -> Result<Samples> {
    let mut times = Samples::default();
    for read in first..first + reads {
        let ids = effort.ids(case, read);
        let begun = Instant::now();
        readers.read(side, case, &ids).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

async fn measure_engine(engine: Engine, places: &Places, effort: Effort) -> Result<Vec<Outcome>> {
    let readers = match (engine, places.postgres()) {
        (Engine::Postgres, Some(url)) => readers::open_postgres(url, effort.rows).await?,
        (Engine::Postgres, None) => return Ok(Vec::new()),
        (Engine::Sqlite, _) => readers::open_sqlite(places, effort.rows).await?,
    };
    readers.check(|case| effort.ids(case, 1)).await?;
    let server = places.server.filter(|_| engine == Engine::Postgres);
    let mut outcomes = Vec::new();
    for case in Case::ALL {
        outcomes.push(measure(engine, case, &readers, effort, server).await?);
    }
    readers.close().await;
    Ok(outcomes)
}

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::from_args();
    let effort = Effort::of(settings);
    let mut machine = Machine::look();
    let places = Places::start(settings, &mut machine).await?;
    let mut outcomes = Vec::new();
    for engine in Engine::ALL.into_iter().filter(|engine| settings.wants(*engine)) {
        outcomes.extend(measure_engine(engine, &places, effort).await?);
    }
    let cpu = outcomes
        .iter()
        .fold(Cpu::default(), |sum, outcome| sum.plus(outcome.cpu));
    machine.add(
        "other programs",
        format!("used {:.0} % of the processors meanwhile", cpu.others()),
    );
    println!(
        "{}\n{}\n{}",
        report::times(&outcomes).text(),
        report::allocations(&outcomes).text(),
        machine.markdown()
    );
    let worst = outcomes
        .iter()
        .filter(|outcome| outcome.case.is_keyed())
        .map(|outcome| outcome.ratios[1])
        .fold(0.0, f64::max);
    let verdict = format!(
        "A read of one row takes at most **{worst:.2}** times the read written by hand; the bar is {BAR}."
    );
    println!("{verdict}");
    if settings.is_report() {
        support::write_report(
            "reads",
            &report::markdown(&machine, &outcomes, effort, &verdict),
            &report::chart(&outcomes),
        )?;
        if worst > BAR {
            return Err("a read of one row is over the bar".into());
        }
    }
    Ok(())
}
