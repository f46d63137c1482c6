//! Follows a feed as a reader of any source does: all partitions, parents before children, from place to place.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::CaseResult;
use super::Failure;
use super::Harness;
use super::check::ensure;
use super::check::present;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::spi::changes::Change;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// Longest that a change may take to come: a feed may follow its store at a distance. A case that waits in vain has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a reader waits at the end of a feed.
const PAUSE: Duration = Duration::from_millis(2);

/// The feed of the store.
pub(super) fn source(h: &Harness) -> CaseResult<Arc<dyn ChangeSource>> {
    present(h.store().changes(), "the feed")
}

/// One page behind a place.
pub(super) async fn page(
    h: &Harness,
    (partition, after): (&PartitionId, Option<&Position>),
    limit: usize,
) -> Result<ChangePage> {
    let changes = h.store().changes();
    let Some(source) = changes else {
        return Err(crate::error::Error::new(
            crate::error::ErrorKind::Internal,
            "the store has no feed",
        ));
    };
    let read = FeedRead {
        partition,
        after,
        limit,
    };
    source.read(read, h.deadline()).await
}

/// What identifies a change.
pub(super) fn named(change: &Change) -> (Aggregate, RowKey, u64) {
    (change.aggregate, change.key.clone(), change.version.get())
}

/// A reader with its places.
#[derive(Debug)]
pub(super) struct Follower {
    places: VecDeque<(PartitionId, Option<Position>)>,
    closed: BTreeSet<PartitionId>,
    limit: usize,
    /// How many changes each page had.
    pub(super) pages: Vec<usize>,
}

impl Follower {
    /// Reads from the oldest change on.
    pub(super) async fn oldest(h: &Harness, limit: usize) -> CaseResult<Self> {
        let partitions = source(h)?.partitions(h.deadline()).await?;
        Ok(Self::at(
            partitions.into_iter().map(|partition| (partition.id, None)),
            limit,
        ))
    }

    /// Reads what commits from now on.
    pub(super) async fn tail(h: &Harness, limit: usize) -> CaseResult<Self> {
        let tail = source(h)?.tail(h.deadline()).await?;
        ensure!(!tail.is_empty(), "the feed has no tail");
        Ok(Self::at(
            tail.into_iter().map(|(id, place)| (id, Some(place))),
            limit,
        ))
    }

    fn at(places: impl Iterator<Item = (PartitionId, Option<Position>)>, limit: usize) -> Self {
        Self {
            places: places.collect(),
            closed: BTreeSet::new(),
            limit,
            pages: Vec::new(),
        }
    }

    /// The places that it has come to.
    pub(super) fn places(&self) -> Vec<(PartitionId, Option<Position>)> {
        self.places.iter().cloned().collect()
    }

    /// What is there, to the end of each partition.
    pub(super) async fn rest(&mut self, h: &Harness) -> CaseResult<Vec<Change>> {
        let mut changes = Vec::new();
        let mut ended = VecDeque::new();
        while let Some((id, mut place)) = self.places.pop_front() {
            loop {
                let page = page(h, (&id, place.as_ref()), self.limit).await?;
                self.pages.push(page.changes.len());
                changes.extend(page.changes);
                place = Some(page.next);
                match page.end {
                    PartitionEnd::More => {}
                    PartitionEnd::Reached => {
                        ended.push_back((id, place));
                        break;
                    }
                    PartitionEnd::Closed { children } => {
                        self.closed.insert(id);
                        for child in children {
                            let known = |(name, _): &(PartitionId, _)| *name == child.id;
                            if !self.closed.contains(&child.id)
                                && !self.places.iter().any(known)
                                && !ended.iter().any(known)
                            {
                                self.places.push_back((child.id, None));
                            }
                        }
                        break;
                    }
                }
            }
        }
        self.places = ended;
        Ok(changes)
    }

    /// So many changes at least: waits for them to come, and takes what else is there.
    pub(super) async fn gather(&mut self, h: &Harness, count: usize) -> CaseResult<Vec<Change>> {
        let begun = Instant::now();
        let mut changes = self.rest(h).await?;
        while changes.len() < count {
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(format!(
                    "{} of {count} changes came: {changes:?}",
                    changes.len()
                )));
            }
            tokio::time::sleep(PAUSE).await;
            changes.extend(self.rest(h).await?);
        }
        changes.extend(self.rest(h).await?);
        Ok(changes)
    }
}
