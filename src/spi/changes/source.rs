//! Reading the feed.

use std::fmt::Debug;

use async_trait::async_trait;

use super::Change;
use super::PartitionId;
use super::Position;
use crate::error::Result;
use crate::resilience::Deadline;

/// A part of a feed that is read by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub id: PartitionId,
    /// The partitions that it goes on from: it may be read once those that still exist were read to their end.
    pub parents: Vec<PartitionId>,
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct FeedRead<'a> {
    /// Of which partition.
    pub partition: &'a PartitionId,
    /// Behind which place; `None` is the oldest change that is kept.
    pub after: Option<&'a Position>,
    /// Changes at most, 1 or more.
    pub limit: usize,
}

/// Changes that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePage {
    /// The changes, those of one aggregate in the order in which they happened.
    pub changes: Vec<Change>,
    /// The place behind them.
    pub next: Position,
    /// What is known to come behind that place.
    pub end: PartitionEnd,
}

/// What is known to come behind a page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionEnd {
    /// Nothing for now: wait before reading on.
    Reached,
    /// More: read on at once.
    More,
    /// Nothing ever: the partition is closed, and these go on from it.
    Closed {
        /// The partitions that go on from it.
        children: Vec<Partition>,
    },
}

/// The feed of a store's changes.
///
/// # Behaviour
/// - `feed.complete`: whoever reads on from a position is given every change that commits after it was taken, whatever
///   order transactions end in.
/// - `feed.order`: the changes of one aggregate come in the order in which they happened.
/// - `feed.pages`: a page has at most as many changes as asked; pages that follow each other neither skip nor repeat.
/// - `feed.repeatable`: a position can be read from again, and gives every change that it gave before.
/// - `feed.refused`: a write set that was refused, and a replay, leave nothing in the feed.
/// - `feed.content`: a change carries aggregate, key, version, action, actor, time and events of its write.
/// - `feed.tail`: the tail gives what commits after it was taken, and nothing older.
/// - `feed.epoch`: a position of before a restore is `Conflict`.
/// - `feed.foreign`: a position that the source did not give is `InvalidInput` on `position`.
/// - `feed.live`: a transaction that stays open holds nobody else's changes back.
///
/// # Cancel safety
/// Reading changes nothing.
#[async_trait]
pub trait ChangeSource: Debug + Send + Sync {
    /// The partitions that there are: open ones, and closed ones that still hold changes.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn partitions(&self, deadline: Deadline) -> Result<Vec<Partition>>;

    /// The places from which only what commits from now on is read, one for each open partition.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn tail(&self, deadline: Deadline) -> Result<Vec<(PartitionId, Position)>>;

    /// The changes behind a place.
    ///
    /// # Errors
    /// - `Conflict` for a position of an older epoch; `InvalidInput` for one of another source.
    /// - `Unsupported` on a server that cannot tell what is still under way, such as a replica.
    /// - `Unavailable` or `Timeout`.
    async fn read(&self, read: FeedRead<'_>, deadline: Deadline) -> Result<ChangePage>;
}
