//! One partition for one sink: take the lease, then read, deliver, save, and read on from what was saved.
//!
//! Reading goes on only from a place that was saved: after a failover the server may lack what was not, and a place that is
//! ahead of it would skip what comes next.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uuid::Uuid;

use super::delivery;
use super::delivery::Parcel;
use super::delivery::Refused;
use super::policy::StartAt;
use super::relay::Sink;
use super::relay::Stop;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Clock;
use crate::resilience::Backoff;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::changes::DeadLetter;
use crate::spi::changes::Ear;
use crate::spi::changes::FeedLease;
use crate::spi::changes::FeedRead;
use crate::spi::changes::LeaseRequest;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;
use crate::spi::changes::Progress;

/// How long one step of reading or saving may take.
const STEP: Duration = Duration::from_secs(10);

/// Pauses after a step that failed.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));

/// What the relay reads with.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) source: Arc<dyn ChangeSource>,
    pub(super) coordination: Arc<dyn Coordination>,
    pub(super) clock: Arc<dyn Clock>,
    /// This process.
    pub(super) holder: Uuid,
    /// Which of the shop's feeds it is.
    pub(super) place: FeedPlace,
}

/// A feed among those of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeedPlace {
    /// Of the store that keeps the positions.
    Keeper,
    /// Of a store whose positions are kept in another one.
    Guest,
}

/// One partition for one sink.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) tools: Tools,
    pub(super) sink: Arc<Sink>,
    pub(super) partition: PartitionId,
    pub(super) ear: Ear,
    pub(super) stop: Stop,
}

impl Reader {
    /// Reads the partition to its end, and gives the partitions that go on from it; earlier with none when it is told to
    /// stop.
    pub(super) async fn run(mut self) -> Option<Vec<Partition>> {
        let mut failures = 0;
        while !self.stop.is_set() {
            match self.acquire().await {
                Ok(Some(lease)) if lease.done => {
                    self.release(&lease).await;
                    return Some(Vec::new());
                }
                Ok(Some(lease)) => {
                    match self.hold(lease).await {
                        None => return None,
                        Some(Ok(children)) => return Some(children),
                        Some(Err(error)) if error.is(ErrorKind::Conflict) => {
                            tracing::debug!("another process has taken over a partition of the feed");
                            failures = 0;
                        }
                        Some(Err(error)) => {
                            tracing::debug!(kind = ?error.kind(), "reading the feed failed");
                            self.sink.counters.fails(&error);
                            failures += 1;
                        }
                    }
                    self.stop.pause(PAUSES.next(failures)).await;
                }
                Ok(None) => {
                    failures = 0;
                    self.stop.pause(self.sink.policy.lease / 3).await;
                }
                Err(error) => {
                    tracing::debug!(kind = ?error.kind(), "the lease of a feed could not be asked for");
                    self.sink.counters.fails(&error);
                    self.stop.pause(PAUSES.next(failures)).await;
                    failures += 1;
                }
            }
        }
        None
    }

    /// Works under a lease; when it is told to stop, gives the lease up, so that another process goes on at once.
    async fn hold(&mut self, lease: FeedLease) -> Option<Result<Vec<Partition>>> {
        let sink = Arc::clone(&self.sink);
        let _feeding = Feeding::begin(&sink);
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            biased;
            () = stop.wait() => None,
            ended = self.serve(lease.clone()) => Some(ended),
        };
        let lost = matches!(&ended, Some(Err(error)) if error.is(ErrorKind::Conflict));
        if !lost {
            self.release(&lease).await;
        }
        ended
    }

    async fn acquire(&self) -> Result<Option<FeedLease>> {
        let checkpoint = checkpoint(&self.sink.name, &self.partition);
        let request = LeaseRequest {
            checkpoint: &checkpoint,
            holder: self.tools.holder,
            ttl: self.sink.policy.lease,
        };
        let deadline = Deadline::within(STEP);
        self.tools.coordination.acquire(request, deadline).await
    }

    async fn release(&self, lease: &FeedLease) {
        let released = self
            .tools
            .coordination
            .release(lease, Deadline::within(STEP))
            .await;
        if let Err(error) = released {
            // It runs out by itself.
            tracing::debug!(kind = ?error.kind(), "the lease of a feed could not be given up");
        }
    }

    /// Works under a lease until the partition ends or something fails.
    async fn serve(&mut self, mut lease: FeedLease) -> Result<Vec<Partition>> {
        let mut renewed = Instant::now();
        if lease.position.is_none() && self.sink.policy.start == StartAt::Now {
            self.skip_to_now(&mut lease).await?;
        }
        loop {
            let page = match self.read(&lease).await {
                Ok(page) => page,
                // Of a position alone: a lost lease is found out when saving.
                Err(error) if error.is(ErrorKind::Conflict) || self.is_left_behind(&error) => {
                    self.restart(&lease).await?;
                    // The lease is gone with the checkpoint: it is taken again, without a position.
                    return Err(Error::conflict("the lease of a feed", None));
                }
                Err(error) => return Err(error),
            };
            match self.take(&mut lease, page).await? {
                Next::Read => renewed = Instant::now(),
                Next::Wait => {
                    self.sink.counters.reaches_the_end();
                    self.keep(&lease, &mut renewed).await?;
                }
                Next::Ended(children) => return Ok(children),
            }
        }
    }

    async fn read(&self, lease: &FeedLease) -> Result<ChangePage> {
        let read = FeedRead {
            partition: &self.partition,
            after: lease.position.as_ref(),
            limit: self.sink.policy.batch,
        };
        self.tools.source.read(read, Deadline::within(STEP)).await
    }

    /// Whether the position is one of another store: what lies there was placed elsewhere, and its position stayed. Where a
    /// store keeps its own positions they are its own.
    fn is_left_behind(&self, error: &Error) -> bool {
        self.tools.place == FeedPlace::Guest && error.invalid_field() == Some("position")
    }

    /// Delivers a page and saves that it was.
    async fn take(&self, lease: &mut FeedLease, page: ChangePage) -> Result<Next> {
        if page.changes.is_empty() && page.end == PartitionEnd::Reached {
            return Ok(Next::Wait);
        }
        let ended = matches!(page.end, PartitionEnd::Closed { .. });
        let (count, last) = (page.changes.len(), page.changes.last().map(|change| change.at));
        let letters = if page.changes.is_empty() {
            Vec::new()
        } else {
            self.deliver(lease, page.changes).await?
        };
        self.save(lease, Some(page.next), ended, letters).await?;
        if let Some(last) = last {
            self.sink.counters.delivers(count, last, self.tools.clock.now());
        }
        Ok(match page.end {
            PartitionEnd::Reached => Next::Wait,
            PartitionEnd::More => Next::Read,
            PartitionEnd::Closed { children } => Next::Ended(children),
        })
    }

    /// Delivers while the lease is renewed; gives up when it is lost.
    async fn deliver(&self, lease: &FeedLease, changes: Vec<Change>) -> Result<Vec<DeadLetter>> {
        let parcel = Arc::new(Parcel {
            changes: changes.into(),
            partition: self.partition.clone(),
            fence: lease.fence,
        });
        let sink = &self.sink;
        let delivered = delivery::deliver(&sink.sink, &sink.policy, &parcel, &sink.counters);
        let refused = self.while_held(lease, delivered).await?;
        Ok(refused
            .into_iter()
            .filter_map(|refused| self.letter(&parcel, refused))
            .collect())
    }

    fn letter(&self, parcel: &Parcel, refused: Refused) -> Option<DeadLetter> {
        Some(DeadLetter {
            id: Uuid::now_v7(),
            sink: self.sink.name.clone(),
            change: parcel.changes.get(refused.index)?.clone(),
            reason: refused.reason,
            attempts: refused.attempts,
            at: self.tools.clock.now(),
        })
    }

    /// Runs some work as long as the lease can be renewed.
    ///
    /// - A lease that could not be renewed in its time may be another's: the work is dropped then, so that nothing is
    ///   delivered beside what that one delivers.
    async fn while_held<T>(&self, lease: &FeedLease, work: impl Future<Output = T>) -> Result<T> {
        let ttl = self.sink.policy.lease;
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(ttl / 3, work.as_mut()).await {
                return Ok(done);
            }
            let renewed = self
                .tools
                .coordination
                .renew(lease, ttl, Deadline::within(ttl / 3));
            tokio::select! {
                biased;
                done = work.as_mut() => return Ok(done),
                renewed = renewed => renewed?,
            }
        }
    }

    async fn save(
        &self,
        lease: &mut FeedLease,
        position: Option<Position>,
        done: bool,
        letters: Vec<DeadLetter>,
    ) -> Result<()> {
        let progress = Progress {
            position: position.clone(),
            done,
            letters,
            ttl: self.sink.policy.lease,
        };
        self.tools
            .coordination
            .save(lease, progress, Deadline::within(STEP))
            .await?;
        lease.position = position;
        lease.done = done;
        Ok(())
    }

    /// Waits for something to read, and keeps the lease meanwhile.
    async fn keep(&mut self, lease: &FeedLease, renewed: &mut Instant) -> Result<()> {
        let policy = &self.sink.policy;
        self.ear.wait(policy.poll.min(policy.lease / 3)).await;
        if renewed.elapsed() >= policy.lease / 3 {
            let now = Instant::now();
            self.tools
                .coordination
                .renew(lease, policy.lease, Deadline::within(STEP))
                .await?;
            *renewed = now;
        }
        Ok(())
    }

    /// The store was restored, or has forgotten what was not read: the sink forgets, and everything comes again.
    ///
    /// - The sink forgets what came from every partition and feed, so all of them begin anew. Which reader does this first
    ///   takes the leases of the others, and they find nothing to restart.
    async fn restart(&self, lease: &FeedLease) -> Result<()> {
        tracing::warn!("the feed does not go on from where a sink was: the sink begins anew");
        let ttl = self.sink.policy.lease;
        self.tools
            .coordination
            .renew(lease, ttl, Deadline::within(STEP))
            .await?;
        let deadline = Deadline::within(self.sink.policy.timeout);
        let reset = self.while_held(lease, self.sink.sink.reset(deadline)).await?;
        // What the sink answers must not look like a lost lease.
        reset.map_err(|error| {
            self.sink.counters.fails(&error);
            Error::new(ErrorKind::Unavailable, "the sink could not forget what it had").caused_by(error)
        })?;
        let deadline = Deadline::within(STEP);
        self.tools.coordination.forget(&self.sink.name, deadline).await
    }

    async fn skip_to_now(&self, lease: &mut FeedLease) -> Result<()> {
        let tail = self.tools.source.tail(Deadline::within(STEP)).await?;
        let here = tail
            .into_iter()
            .find(|(partition, _)| *partition == self.partition);
        // A partition that is not open any more has nothing from now on; it is read from its beginning, to find its end.
        let Some((_, position)) = here else {
            return Ok(());
        };
        self.save(lease, Some(position), false, Vec::new()).await
    }
}

/// What to do after a page.
enum Next {
    Read,
    Wait,
    Ended(Vec<Partition>),
}

/// Counts a partition as fed while it lives.
struct Feeding<'a>(&'a Sink);

impl<'a> Feeding<'a> {
    fn begin(sink: &'a Sink) -> Self {
        sink.counters.begins();
        Self(sink)
    }
}

impl Drop for Feeding<'_> {
    fn drop(&mut self) {
        self.0.counters.ends();
    }
}

/// The name of a checkpoint.
fn checkpoint(sink: &str, partition: &PartitionId) -> String {
    format!("{sink}/{partition}")
}
