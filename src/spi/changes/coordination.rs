//! Who reads the feed, up to where, and what could not be delivered.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Change;
use super::Position;
use crate::error::Result;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Timestamp;
use crate::resilience::Deadline;

/// Asks for the right to work on a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRequest<'a> {
    /// The checkpoint's name: sink and partition, as in `search/0`.
    pub checkpoint: &'a str,
    /// Who asks: an id that a process draws when it starts.
    pub holder: Uuid,
    /// How long the lease lasts unless it is renewed, by the store's clock.
    pub ttl: Duration,
}

/// The right to work on a checkpoint, and where the work stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedLease {
    /// The checkpoint's name.
    pub checkpoint: String,
    /// Who has it.
    pub holder: Uuid,
    /// Raised each time that the lease is taken: what an earlier holder saves is refused.
    pub fence: i64,
    /// The place up to which everything was delivered; `None` at the beginning.
    pub position: Option<Position>,
    /// Whether the partition was read to its end.
    pub done: bool,
}

/// What was achieved under a lease.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The place up to which everything was delivered or given up.
    pub position: Option<Position>,
    /// Whether the partition was read to its end.
    pub done: bool,
    /// What was given up, kept in the same step.
    pub letters: Vec<DeadLetter>,
    /// How long the lease lasts from now on.
    pub ttl: Duration,
}

/// A change that a sink would not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its identity.
    pub id: Uuid,
    /// The sink's name.
    pub sink: String,
    /// The change.
    pub change: Change,
    /// What the sink answered last.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, by the clock of the process that did.
    pub at: Timestamp,
}

/// Where the work on one partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// Who works on it, unless the lease is over.
    pub holder: Option<Uuid>,
    /// The place up to which everything was delivered.
    pub position: Option<Position>,
    /// Whether the partition was read to its end.
    pub done: bool,
}

/// Where a sink stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkReport {
    /// Its checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// Changes that it would not take.
    pub dead_letters: u64,
}

/// Positions, leases and dead letters of the sinks of a shop.
///
/// # Behaviour
/// - `lease.exclusive`: of several holders that ask for a free checkpoint one has it, the others are given `None`.
/// - `lease.own`: the holder that has it is given it again, with a higher fence.
/// - `lease.expires`: past its time by the store's clock it is free for another.
/// - `lease.renew`: saving and renewing lengthen it.
/// - `lease.release`: released, it is free at once; releasing what another has taken changes nothing.
/// - `lease.fenced`: saving, renewing under a lease that another has taken since is `Conflict` and changes nothing.
/// - `progress.saved`: whoever takes the lease next is given what was saved last.
/// - `progress.letters`: letters are kept together with the position, or neither is.
/// - `letters.list`: the letters of one sink, latest first, in pages.
/// - `letters.discard`: a discarded letter is gone; discarding twice is harmless and says so.
/// - `sink.report`: the report has the sink's checkpoints and counts its letters, and no other sink's.
/// - `sink.forget`: forgetting a sink removes its checkpoints and keeps its letters.
///
/// # Cancel safety
/// Each call is one step: dropped, it has happened or not; repeating it is harmless.
#[async_trait]
pub trait Coordination: Debug + Send + Sync {
    /// Takes the lease, unless another holder has it; creates the checkpoint when there is none.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn acquire(&self, request: LeaseRequest<'_>, deadline: Deadline) -> Result<Option<FeedLease>>;

    /// Saves what was achieved, and renews the lease.
    ///
    /// # Errors
    /// `Conflict` when another has taken the lease; `Unavailable` or `Timeout`.
    async fn save(&self, lease: &FeedLease, progress: Progress, deadline: Deadline) -> Result<()>;

    /// Lengthens the lease.
    ///
    /// # Errors
    /// As for [`save`](Self::save).
    async fn renew(&self, lease: &FeedLease, ttl: Duration, deadline: Deadline) -> Result<()>;

    /// Gives the lease up.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn release(&self, lease: &FeedLease, deadline: Deadline) -> Result<()>;

    /// Where a sink stands.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn report(&self, sink: &str, deadline: Deadline) -> Result<SinkReport>;

    /// The letters of a sink, latest first.
    ///
    /// # Errors
    /// `InvalidInput` on `after` for a cursor of another list; `Unavailable` or `Timeout`.
    async fn letters(&self, sink: &str, page: &PageRequest, deadline: Deadline) -> Result<Page<DeadLetter>>;

    /// Removes a letter; whether there was one.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn discard(&self, sink: &str, letter: Uuid, deadline: Deadline) -> Result<bool>;

    /// Removes the checkpoints of a sink: it begins anew.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn forget(&self, sink: &str, deadline: Deadline) -> Result<()>;
}
