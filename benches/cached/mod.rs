//! What the benches of the cache share: how they tell what they found.

#[path = "../support/chart.rs"]
mod chart;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/report.rs"]
mod report;

pub(crate) use chart::Chart;
pub(crate) use chart::Group;
pub(crate) use chart::grouped;
pub(crate) use machine::Machine;
pub(crate) use report::Table;
pub(crate) use report::write_report;

/// What can go wrong is told to a person and ends the bench.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Whether it is only to be seen that it works: `cargo bench` says --bench, and nobody said --quick or --test.
pub(crate) fn is_quick() -> bool {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    has("--quick") || has("--test") || !has("--bench")
}
