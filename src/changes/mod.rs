//! The relay: reads the feed under leases and gives it to the sinks, in this process or in another one.
//!
//! - One task a sink finds the partitions that may be read (`partitions`), one task a partition holds its lease and
//!   goes on from its checkpoint (`reader`): read, deliver, save. What was saved is never given again, what was not saved
//!   is: at least once.
//! - A sink that cannot work is waited for, a change that it will not take becomes a dead letter (`delivery`).
//! - The process wakes its own relay after each commit; what other processes commit is found by polling.

mod delivery;
mod feed;
mod named;
mod partitions;
mod policy;
mod reader;
mod relay;
mod status;
mod sweep;
#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "testkit"))]
mod tests;

pub use feed::Changes;
pub use feed::Redriven;
pub use policy::SinkPolicy;
pub use policy::StartAt;
pub use status::SinkStatus;

pub(crate) use feed::Origin;
#[cfg(all(test, feature = "dynamodb", feature = "testkit"))]
pub(crate) use partitions::Partitions;
pub(crate) use relay::Relay;
pub(crate) use relay::Sink;
pub(crate) use sweep::Sweep;
