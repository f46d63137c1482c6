//! The contract of a system of record: one way in ([`Store::commit`]), typed ways out ([`Readers`]).

mod capability;
mod commit;
mod delta;
mod explain;
mod migrate;
mod observer;
mod operation;
mod query;
mod readers;
mod status;
mod write_set;

pub use capability::Capability;
pub use capability::Limits;
pub use capability::Regions;
pub use commit::Committed;
pub use delta::CartLineStep;
pub use delta::Delta;
pub use delta::StockStep;
pub use explain::Explanation;
pub use migrate::Migrate;
pub use observer::Aborted;
pub use observer::CommitObserver;
pub use operation::Claim;
pub use operation::Delete;
pub use operation::Event;
pub use operation::Idempotency;
pub use operation::Parts;
pub use operation::Put;
pub use operation::ReadCheck;
pub use query::OrderQuery;
pub use query::ProductOrder;
pub use query::ProductQuery;
pub use readers::CartReader;
pub use readers::ClaimFound;
pub use readers::ClaimReader;
pub use readers::HistoryReader;
pub use readers::InventoryReader;
pub use readers::OrderReader;
pub use readers::PaymentReader;
pub use readers::ProductReader;
pub use readers::Readers;
pub use status::CommitStatus;
pub use status::Tally;
pub use write_set::Durability;
pub use write_set::WriteSet;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;

/// A system of record.
///
/// # Behaviour
/// - `commit.atomic`: a write set is applied as a whole or not at all.
/// - `commit.create_new`: a put without an expected version creates the aggregate at version 1.
/// - `commit.create_existing`: a put without an expected version of an aggregate that exists is `Conflict` with
///   the version found.
/// - `commit.update`: a put with an expected version replaces the aggregate and raises its version by one.
/// - `commit.update_stale`: a put with another version than the stored one is `Conflict` with the version found.
/// - `commit.update_absent`: a put with an expected version of an absent aggregate is `NotFound`.
/// - `commit.delete`: a delete with the stored version removes the aggregate and its claims; it reads as absent, and its
///   history ends with a version past the removed one.
/// - `commit.delete_stale`: a delete with another version is `Conflict` and changes nothing.
/// - `commit.root_only`: a put of the root leaves the parts (lines, variants) as they are.
/// - `commit.read_check`: a recorded read that no longer holds is `Conflict`, also when the set only reads.
/// - `commit.read_absent`: a recorded absence holds while the aggregate is absent.
/// - `commit.claims_unique`: of several write sets that claim one key one commits, the others are
///   `AlreadyExists` with the owner as the existing id.
/// - `commit.claims_own`: a claim that its owner holds already is no conflict.
/// - `commit.claims_released`: a key that an aggregate no longer claims is free for another.
/// - `commit.claims_swap`: a released key may be claimed by another aggregate of the same write set.
/// - `commit.replay`: a repeated idempotency key with the same fingerprint writes nothing and gives the first
///   owner as `Committed::replay`, even where other checks of the set would fail.
/// - `commit.key_reused`: a repeated idempotency key with another fingerprint is `KeyReused`.
/// - `commit.key_scoped`: the same idempotency key in another scope is another key.
/// - `commit.stock_guard`: a step that takes more than is available is `InsufficientStock` with each short level,
///   and nothing of the set is applied.
/// - `commit.stock_exact`: the last unit can be taken, one more cannot, under any concurrency.
/// - `commit.stock_creates`: the first receipt at a location creates the level.
/// - `commit.stock_physical`: no step leaves a counter below zero: `InvalidInput`.
/// - `commit.stock_backorder`: availability includes the backorder limit.
/// - `commit.ledger`: every step appends its movement; the sums of the movements equal the level.
/// - `commit.hold`: a hold lowers availability until it is released, consumed or over.
/// - `commit.hold_expires`: a hold past its expiry by the store's clock no longer counts, swept or not.
/// - `commit.unhold`: releasing frees what the hold still held; releasing twice is harmless.
/// - `commit.hold_consumed`: an unhold and an allocation in one set cannot lose the units to another caller.
/// - `commit.cart_add`: line deltas add up under concurrency; the same line key is one line.
/// - `commit.cart_closed`: a line delta or a live put on a cart that is not open, or expired by the store's clock,
///   is `Conflict`.
/// - `commit.cart_limit`: a line delta past the limit of a line is `InvalidInput`.
/// - `commit.delta_absent`: a delta on an absent cart, order or payment is `NotFound`.
/// - `commit.delta_version`: deltas raise the version of their aggregate by one in each database transaction: write
///   sets that are committed together share the step.
/// - `commit.settlement`: settlement deltas add to the counters of order and payment whatever their status.
/// - `commit.expiry_relative`: an [`Expiry::In`](crate::model::Expiry::In) is resolved by the store's clock.
/// - `commit.audit`: each write leaves one change record per aggregate with version, actor and events.
/// - `commit.versions`: `Committed::versions` has the new version of each aggregate written.
/// - `commit.too_large`: a set past the limits of the capability is `TooLarge` before anything is written.
/// - `commit.deadline`: a deadline that is over before the set was taken is `Timeout`, and nothing is written.
/// - `commit.cancel`: dropping the future leaves the set whole or absent, never in part.
/// - `commit.epoch`: a set of another epoch than the store's is `Conflict`, also when another process raised the epoch.
/// - `restore.epoch`: after `after_restore` the epoch is higher than it was, for every process.
/// - `close.refuses`: after `close` every commit is `Unavailable`.
///
/// # Cancel safety
/// A commit that was taken runs to its end in a task of the store; dropping the future only loses the answer.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync {
    /// What this store can hold, how much at once, and which queries it answers.
    fn capability(&self) -> &Capability;

    /// The readers of the aggregates that this store serves.
    fn readers(&self) -> &Readers;

    /// Readers whose answers may be older than the store's, by no more than `bound`; `None` if there are none, as in most stores.
    ///
    /// - What was committed longer ago than the bound when an answer comes is in it. Nothing is given that cannot be proven
    ///   to be so: then they ask what [`Store::readers`] ask.
    fn tolerant(&self, bound: Duration) -> Option<Readers> {
        let _ = bound;
        None
    }

    /// Which restore of the store writes are made after, as this process knows it; 0 until there was one.
    fn epoch(&self) -> i64;

    /// The feed of this store's changes, if it has one.
    fn changes(&self) -> Option<Arc<dyn ChangeSource>>;

    /// Where positions and leases of readers of feeds can be kept, if they can: a store that keeps none leaves this as it is.
    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        None
    }

    /// Applies a write set, or tells why it was not applied.
    ///
    /// # Errors
    /// See the behaviour above; beside them `Unavailable` (nothing was applied), `RateLimited` (the queue is
    /// full, nothing was applied) and `OutcomeUnknown` (the deadline ended before the outcome was known).
    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed>;

    /// How the write path is doing in this process. A store that does not tell leaves everything at zero.
    fn commits(&self) -> CommitStatus {
        CommitStatus::default()
    }

    /// Tells the store that it was restored to an earlier point: raises its epoch, and returns it.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`; then the epoch may have been raised, and raising it again is harmless.
    async fn after_restore(&self, deadline: Deadline) -> Result<i64>;

    /// Makes one round trip to the store.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when it does not answer.
    async fn ping(&self, deadline: Deadline) -> Result<()>;

    /// Finishes what was taken and closes the connections; later calls fail with `Unavailable`.
    async fn close(&self);
}
