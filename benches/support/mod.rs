//! What both benches share: what to run, where to run it, how to count, and how to tell.

mod chart;
mod cpu;
mod machine;
mod median;
mod places;
mod report;
mod samples;
mod settings;

pub(crate) use chart::Chart;
pub(crate) use chart::Group;
pub(crate) use chart::grouped;
pub(crate) use cpu::Cpu;
pub(crate) use machine::Machine;
pub(crate) use median::median;
pub(crate) use places::Places;
pub(crate) use places::postgres_pool;
pub(crate) use places::postgres_shop;
pub(crate) use places::sqlite_pool;
pub(crate) use places::sqlite_shop;
pub(crate) use report::Table;
pub(crate) use report::write_report;
pub(crate) use samples::Samples;
pub(crate) use settings::Engine;
pub(crate) use settings::Settings;

/// What can go wrong is told to a person and ends the bench.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
