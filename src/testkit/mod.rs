//! What a team needs to prove a store of its own: the conformance suite, planted faults that prove the suite, and
//! small aggregates to test with.

pub mod cache;
pub mod conformance;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod engines;
pub mod faulty;
pub mod fixtures;
pub mod proxy;
mod random;
mod sharded;

pub use sharded::Sharded;
