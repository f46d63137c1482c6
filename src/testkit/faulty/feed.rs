//! Faults in the feed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::Fault;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedLease;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// What the faults of feed and coordination remember of a store.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Commits that are under way.
    pub(super) under_way: AtomicUsize,
    /// Commits that were refused or replayed.
    pub(super) refused: AtomicUsize,
    /// The lease of each checkpoint that was given last.
    pub(super) leases: Mutex<BTreeMap<String, FeedLease>>,
    last: Mutex<Option<Change>>,
    given: Mutex<Vec<Change>>,
    tails: Mutex<Vec<Position>>,
}

/// What cannot be poisoned: nothing panics while it is held.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A commit, for as long as it is under way.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Memory);

impl Memory {
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(self)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A feed with a fault in front.
#[derive(Debug)]
pub(super) struct WrongFeed {
    pub(super) inner: Arc<dyn ChangeSource>,
    pub(super) fault: Fault,
    pub(super) memory: Arc<Memory>,
}

#[async_trait]
impl ChangeSource for WrongFeed {
    async fn partitions(&self, deadline: Deadline) -> Result<Vec<Partition>> {
        self.inner.partitions(deadline).await
    }

    async fn tail(&self, deadline: Deadline) -> Result<Vec<(PartitionId, Position)>> {
        let tail = self.inner.tail(deadline).await?;
        locked(&self.memory.tails).extend(tail.iter().map(|(_, place)| place.clone()));
        Ok(tail)
    }

    async fn read(&self, read: FeedRead<'_>, deadline: Deadline) -> Result<ChangePage> {
        let late = self.late(&read, deadline).await?;
        let after = self.place(read.after).or(late.as_ref());
        let limit = match self.fault {
            Fault::IgnoresFeedLimit => read.limit * 2 + 1,
            _ => read.limit,
        };
        let edited = FeedRead {
            after,
            limit,
            partition: read.partition,
        };
        let mut page = match self.inner.read(edited, deadline).await {
            Err(error) if self.forgives(error.kind()) => {
                let anew = FeedRead { after: None, ..read };
                self.inner.read(anew, deadline).await?
            }
            answer => answer?,
        };
        if let (Fault::HoldsFeedBack, Some(place)) = (self.fault, read.after)
            && self.memory.under_way.load(Ordering::SeqCst) > 0
        {
            return Ok(ChangePage {
                changes: Vec::new(),
                next: place.clone(),
                end: PartitionEnd::Reached,
            });
        }
        self.edit(&mut page);
        Ok(page)
    }
}

impl WrongFeed {
    /// The place that is read from, where a fault leaves it as it is or takes the beginning for it.
    fn place<'a>(&self, after: Option<&'a Position>) -> Option<&'a Position> {
        let tail = after.is_some_and(|place| locked(&self.memory.tails).contains(place));
        match self.fault {
            Fault::TailsFromTheStart | Fault::TailsLate if tail => None,
            _ => after,
        }
    }

    /// The tail of now in place of the one that was asked for earlier.
    async fn late(&self, read: &FeedRead<'_>, deadline: Deadline) -> Result<Option<Position>> {
        let tail = read
            .after
            .is_some_and(|place| locked(&self.memory.tails).contains(place));
        if self.fault != Fault::TailsLate || !tail {
            return Ok(None);
        }
        let tails = self.inner.tail(deadline).await?;
        let own = tails.into_iter().find(|(id, _)| id == read.partition);
        Ok(own.map(|(_, place)| place))
    }

    fn forgives(&self, kind: ErrorKind) -> bool {
        match self.fault {
            Fault::IgnoresFeedEpoch => kind == ErrorKind::Conflict,
            Fault::AcceptsForeignPlaces => kind == ErrorKind::InvalidInput,
            _ => false,
        }
    }

    fn edit(&self, page: &mut ChangePage) {
        let last = page.changes.last().cloned();
        match self.fault {
            Fault::SkipsBetweenFeedPages if page.end == PartitionEnd::More => {
                page.changes.pop();
            }
            Fault::RepeatsBetweenFeedPages => {
                if let Some(last) = locked(&self.memory.last).clone() {
                    page.changes.insert(0, last);
                }
                *locked(&self.memory.last) = last.filter(|_| page.end == PartitionEnd::More);
            }
            Fault::ReversesFeed => page.changes.reverse(),
            Fault::FeedsOnce => {
                let mut given = locked(&self.memory.given);
                page.changes.retain(|change| !given.contains(change));
                given.extend(page.changes.iter().cloned());
            }
            Fault::FeedsRefusals => {
                if let Some(last) = last {
                    let refused = self.memory.refused.swap(0, Ordering::SeqCst);
                    page.changes.extend(std::iter::repeat_n(last, refused));
                }
            }
            Fault::FeedsWithoutEvents => page.changes.iter_mut().for_each(|change| change.events.clear()),
            Fault::FeedsPutsOnly => page
                .changes
                .iter_mut()
                .for_each(|change| change.action = ChangeAction::Put),
            _ => {}
        }
    }
}
