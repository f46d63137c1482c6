//! Who is given the changes.

use std::fmt::Debug;

use async_trait::async_trait;

use super::Change;
use super::PartitionId;
use crate::error::Result;
use crate::resilience::Deadline;

/// Changes for a sink.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Delivery<'a> {
    /// The changes, those of one aggregate in the order in which they happened.
    pub changes: &'a [Change],
    /// The partition that they come from.
    pub partition: &'a PartitionId,
    /// Higher than that of whoever delivered this partition before: a sink that writes elsewhere can refuse by it what an
    /// earlier process sends late. 0 for a dead letter that is delivered once more: nobody leases those.
    pub fence: i64,
}

impl<'a> Delivery<'a> {
    /// Changes of a partition under this fence.
    #[must_use]
    pub const fn new(changes: &'a [Change], partition: &'a PartitionId, fence: i64) -> Self {
        Self {
            changes,
            partition,
            fence,
        }
    }
}

/// Whatever follows the changes of a shop: a search index, a cache, a message to customers.
///
/// - **At least once, in order.** Every change is given to the sink, those of one aggregate in the order in which they
///   happened. After a failure, a crash or a handover between processes some are given again: a sink is idempotent,
///   as by keeping the version that it has seen.
/// - **`Ok`** means that the sink has everything of the batch for good.
/// - **An error with retry class `Safe`** (`Unavailable`, `Timeout`, `RateLimited`) says that the sink cannot work now:
///   the same batch comes again after a pause, for as long as it takes. Other sinks go on.
/// - **Any other error, a panic, or no answer by the deadline** says that the batch has something that the sink will not
///   take: it comes again in halves until that one change stands alone. That one is tried a few times and then
///   kept as a [`DeadLetter`](super::DeadLetter) with its reason; the changes behind it go on.
/// - A call that has not ended by its deadline is dropped.
#[async_trait]
pub trait ChangeSink: Debug + Send + Sync {
    /// Takes changes.
    ///
    /// # Errors
    /// The retry class decides what happens next, see above.
    async fn deliver(&self, delivery: Delivery<'_>, deadline: Deadline) -> Result<()>;

    /// Forgets what was built from changes: the store was restored to an earlier point, and every change that is kept
    /// comes again from the oldest on, with versions that may be lower than those seen before.
    ///
    /// # Errors
    /// Any error repeats the call after a pause.
    async fn reset(&self, deadline: Deadline) -> Result<()>;
}
