//! A feed in memory whose partitions split and merge, as those of DynamoDB Streams do.
//!
//! A double for what the real engines of this crate cannot show: PostgreSQL and SQLite have one partition for ever. It
//! holds the contract of [`ChangeSource`], `feed.epoch` excepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use async_trait::async_trait;

use crate::error::Error;
use crate::error::Result;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// A feed in memory; clones are the same feed.
///
/// - A change goes to the open partition that its key falls to, so that the changes of one aggregate lie in one partition,
///   or in one after the other.
#[derive(Clone, Debug)]
pub struct Sharded(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    shards: BTreeMap<PartitionId, Shard>,
    /// The open partitions; a key falls to the one at the place that its digest gives.
    open: Vec<PartitionId>,
    named: usize,
}

#[derive(Debug, Default)]
struct Shard {
    parents: Vec<PartitionId>,
    changes: Vec<Change>,
    children: Option<Vec<PartitionId>>,
}

impl Sharded {
    /// A feed of one partition.
    #[must_use]
    pub fn new() -> Self {
        let mut state = State {
            shards: BTreeMap::new(),
            open: Vec::new(),
            named: 0,
        };
        let first = state.add(Vec::new());
        state.open.push(first);
        Self(Arc::new(Mutex::new(state)))
    }

    /// Appends a change.
    pub fn append(&self, change: Change) {
        let mut state = self.lock();
        let place = place(&change.key, state.open.len());
        let Some(id) = state.open.get(place).cloned() else {
            return;
        };
        if let Some(shard) = state.shards.get_mut(&id) {
            shard.changes.push(change);
        }
    }

    /// Closes every open partition; so many others go on from all of them.
    pub fn reshard(&self, count: usize) {
        let mut state = self.lock();
        let parents = std::mem::take(&mut state.open);
        let children: Vec<_> = (0..count.max(1)).map(|_| state.add(parents.clone())).collect();
        for parent in &parents {
            if let Some(shard) = state.shards.get_mut(parent) {
                shard.children = Some(children.clone());
            }
        }
        state.open = children;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Changed in single steps that cannot panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Sharded {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn add(&mut self, parents: Vec<PartitionId>) -> PartitionId {
        let id = PartitionId::new(format!("shard-{}", self.named));
        self.named += 1;
        let shard = Shard {
            parents,
            ..Shard::default()
        };
        self.shards.insert(id.clone(), shard);
        id
    }

    fn partition(&self, id: &PartitionId) -> Partition {
        Partition {
            id: id.clone(),
            parents: self
                .shards
                .get(id)
                .map_or_else(Vec::new, |shard| shard.parents.clone()),
        }
    }
}

/// Which of so many open partitions a key falls to.
fn place(key: &RowKey, open: usize) -> usize {
    let sum: usize = key.to_string().bytes().map(usize::from).sum();
    sum % open.max(1)
}

fn position(count: usize) -> Position {
    Position::new(count.to_string())
}

fn count(position: &Position) -> Result<usize> {
    std::str::from_utf8(position.as_bytes())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::invalid("position", "it is none of this feed"))
}

#[async_trait]
impl ChangeSource for Sharded {
    async fn partitions(&self, _: Deadline) -> Result<Vec<Partition>> {
        let state = self.lock();
        Ok(state.shards.keys().map(|id| state.partition(id)).collect())
    }

    async fn tail(&self, _: Deadline) -> Result<Vec<(PartitionId, Position)>> {
        let state = self.lock();
        let ends = state.open.iter().map(|id| {
            let changes = state.shards.get(id).map_or(0, |shard| shard.changes.len());
            (id.clone(), position(changes))
        });
        Ok(ends.collect())
    }

    async fn read(&self, read: FeedRead<'_>, _: Deadline) -> Result<ChangePage> {
        let state = self.lock();
        let from = read.after.map_or(Ok(0), count)?;
        let Some(shard) = state.shards.get(read.partition) else {
            return Err(Error::invalid("partition", "there is none of this name"));
        };
        let rest = shard
            .changes
            .get(from..)
            .ok_or_else(|| Error::invalid("position", "it lies behind the end"))?;
        let page: Vec<Change> = rest.iter().take(read.limit).cloned().collect();
        let next = from + page.len();
        let end = match &shard.children {
            _ if next < shard.changes.len() => PartitionEnd::More,
            None => PartitionEnd::Reached,
            Some(children) => PartitionEnd::Closed {
                children: children.iter().map(|id| state.partition(id)).collect(),
            },
        };
        Ok(ChangePage {
            changes: page,
            next: position(next),
            end,
        })
    }
}
