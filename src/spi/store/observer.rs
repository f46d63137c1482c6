//! Who is told about commits: the seam on which caches hang.

use async_trait::async_trait;

use super::Committed;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::resilience::Deadline;

/// Why a write did not come to an `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aborted {
    /// Nothing was written, and nothing will be.
    Refused,
    /// It is not known whether it was written, or will be.
    Unknown,
}

/// Told before and after every commit of a shop, in the process that commits.
///
/// # Behaviour
/// - `before` runs with the keys that the set will write, before the store is asked; an error from it fails the
///   write, and nothing is written.
/// - Exactly one of `after` and `aborted` follows each `before` that returned `Ok`, also when the caller is gone.
/// - `aborted` is also called when the outcome is unknown: what was held back must then expire by itself.
#[async_trait]
pub trait CommitObserver: std::fmt::Debug + Send + Sync {
    /// The set is about to be committed, by this deadline or soon after it.
    ///
    /// # Errors
    /// Any error fails the write with that error.
    async fn before(&self, keys: &[(Aggregate, RowKey)], deadline: Deadline) -> Result<()>;

    /// The set was committed.
    async fn after(&self, committed: &Committed);

    /// The set was refused, or its outcome is unknown.
    async fn aborted(&self, keys: &[(Aggregate, RowKey)], why: Aborted);
}
