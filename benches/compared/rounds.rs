//! Ways to do the same, measured in turns.

use std::future::Future;
use std::time::Duration;

use crate::support::Cpu;
use crate::support::Result;
use crate::support::Samples;
use crate::support::grouped;
use crate::support::median;

/// How long everything takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
    /// Writes of the round that comes before the first.
    pub(crate) warm_up: usize,
}

/// One way to do it, with a shop of its own.
pub(crate) trait Stand: Send {
    /// Writes until the time is over or so many were written, and checks what was written.
    fn round(&mut self, most: usize, limit: Duration) -> impl Future<Output = Result<Run>> + Send;
}

/// Commits of a shop's write path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Commits {
    pub(crate) batches: u64,
    /// Write sets in them.
    pub(crate) writes: u64,
    /// Transactions that they took.
    pub(crate) rounds: u64,
}

impl Commits {
    #[must_use]
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            batches: self.batches - earlier.batches,
            writes: self.writes - earlier.writes,
            rounds: self.rounds - earlier.rounds,
        }
    }

    #[must_use]
    const fn plus(self, other: Self) -> Self {
        Self {
            batches: self.batches + other.batches,
            writes: self.writes + other.writes,
            rounds: self.rounds + other.rounds,
        }
    }
}

/// One round of one way.
#[derive(Debug)]
pub(crate) struct Run {
    /// How long each answer took.
    pub(crate) samples: Samples,
    pub(crate) took: Duration,
    pub(crate) cpu: Cpu,
    /// None of who writes by hand.
    pub(crate) commits: Commits,
    /// Answers that are no refusal.
    pub(crate) written: usize,
    /// Rows that are there now and were not before.
    pub(crate) inserted: i64,
}

impl Run {
    fn rate(&self) -> f64 {
        self.samples.count() as f64 / self.took.as_secs_f64()
    }
}

/// All rounds of one way: medians, and sums through writes.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of processor time an answer.
    pub(crate) client: f64,
    pub(crate) server: f64,
    /// Rows inserted a write.
    pub(crate) inserted: f64,
    pub(crate) commits: Commits,
}

impl Figures {
    fn of(runs: &mut [Run]) -> Self {
        let answers = runs
            .iter()
            .map(|run| run.samples.count() as f64)
            .sum::<f64>()
            .max(1.0);
        let written = runs.iter().map(|run| run.written as f64).sum::<f64>().max(1.0);
        Self {
            rate: median(runs.iter().map(Run::rate)),
            client: runs.iter().map(|run| run.cpu.client).sum::<f64>() * 1e6 / answers,
            server: runs.iter().map(|run| run.cpu.server).sum::<f64>() * 1e6 / answers,
            inserted: runs.iter().map(|run| run.inserted as f64).sum::<f64>() / written,
            commits: runs
                .iter()
                .fold(Commits::default(), |sum, run| sum.plus(run.commits)),
            p50: median(runs.iter_mut().map(|run| run.samples.percentile(50) / 1e3)),
            p99: median(runs.iter_mut().map(|run| run.samples.percentile(99) / 1e3)),
        }
    }
}

/// What came of a case: the shop's figures first, then those of the other ways.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) ways: Vec<&'static str>,
    pub(crate) figures: Vec<Figures>,
    pub(crate) cpu: Cpu,
}

/// Lets the stands write in turns, so that what disturbs the machine disturbs all of them.
pub(crate) async fn measure<S: Stand>(
    name: String,
    ways: Vec<&'static str>,
    stands: &mut [S],
    pace: Pace,
) -> Result<Outcome> {
    let mut most = Vec::new();
    for stand in stands.iter_mut() {
        // Connections are opened, statements prepared and planned; the speed tells how much a round needs.
        let warm = stand.round(pace.warm_up, pace.round * 4).await?;
        let needed = warm.rate() * pace.round.as_secs_f64() * 1.2;
        most.push(needed.clamp(50.0, 60_000.0) as usize);
    }
    let mut runs: Vec<Vec<Run>> = stands.iter().map(|_| Vec::new()).collect();
    for round in 0..pace.rounds {
        for turn in 0..stands.len() {
            let index = (round + turn) % stands.len();
            let run = stands[index].round(most[index], pace.round).await?;
            runs[index].push(run);
        }
    }
    let cpu = runs
        .iter()
        .flatten()
        .fold(Cpu::default(), |sum, run| sum.plus(run.cpu));
    let figures: Vec<Figures> = runs.iter_mut().map(|runs| Figures::of(runs)).collect();
    let rates = ways.iter().zip(&figures);
    let rates: Vec<String> = rates
        .map(|(way, figures)| format!("{way} {}/s", grouped(figures.rate)))
        .collect();
    eprintln!("{name}: {}", rates.join(", "));
    Ok(Outcome {
        name,
        ways,
        figures,
        cpu,
    })
}
