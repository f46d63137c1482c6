//! Faults in leases, positions and letters.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Fault;
use super::feed::Memory;
use super::feed::locked;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Page;
use crate::model::PageRequest;
use crate::resilience::Deadline;
use crate::spi::changes::Coordination;
use crate::spi::changes::DeadLetter;
use crate::spi::changes::FeedLease;
use crate::spi::changes::LeaseRequest;
use crate::spi::changes::Progress;
use crate::spi::changes::SinkReport;

/// How much longer a lease lasts that never ends.
const STRETCH: u32 = 1_000;

/// A coordination with a fault in front.
#[derive(Debug)]
pub(super) struct WrongCoordination {
    pub(super) inner: Arc<dyn Coordination>,
    pub(super) fault: Fault,
    pub(super) memory: Arc<Memory>,
}

impl WrongCoordination {
    fn ttl(&self, ttl: Duration) -> Duration {
        match self.fault {
            Fault::LeasesNeverEnd => ttl * STRETCH,
            _ => ttl,
        }
    }

    /// The lease that was given last, of whoever has it.
    fn latest(&self, lease: &FeedLease) -> FeedLease {
        let latest = locked(&self.memory.leases).get(&lease.checkpoint).cloned();
        latest.unwrap_or_else(|| lease.clone())
    }

    async fn all(&self, sink: &str, deadline: Deadline) -> Result<Vec<DeadLetter>> {
        Ok(self
            .inner
            .letters(sink, &PageRequest::new(100)?, deadline)
            .await?
            .items)
    }
}

#[async_trait]
impl Coordination for WrongCoordination {
    async fn acquire(&self, request: LeaseRequest<'_>, deadline: Deadline) -> Result<Option<FeedLease>> {
        let before = locked(&self.memory.leases).get(request.checkpoint).cloned();
        if let (Fault::RefusesOwnLease, Some(before)) = (self.fault, &before)
            && before.holder == request.holder
        {
            return Ok(None);
        }
        let edited = LeaseRequest {
            ttl: self.ttl(request.ttl),
            ..request
        };
        let mut given = self.inner.acquire(edited, deadline).await?;
        match (self.fault, &mut given, before) {
            (Fault::SharesLeases, None, Some(before)) => {
                return Ok(Some(FeedLease {
                    holder: request.holder,
                    ..before
                }));
            }
            (Fault::SharesLeases, None, None) => {
                return Ok(Some(FeedLease {
                    checkpoint: request.checkpoint.to_owned(),
                    holder: request.holder,
                    fence: 1,
                    position: None,
                    done: false,
                }));
            }
            (Fault::KeepsFence, Some(given), Some(before)) => given.fence = before.fence,
            _ => {}
        }
        if let Some(given) = &given {
            locked(&self.memory.leases).insert(given.checkpoint.clone(), given.clone());
        }
        Ok(given)
    }

    async fn save(&self, lease: &FeedLease, mut progress: Progress, deadline: Deadline) -> Result<()> {
        progress.ttl = self.ttl(progress.ttl);
        match self.fault {
            Fault::SavesUnfenced => return self.inner.save(&self.latest(lease), progress, deadline).await,
            Fault::LosesPositions => progress.position = None,
            Fault::LosesEnds => progress.done = false,
            Fault::LosesLetters => progress.letters.clear(),
            _ => {}
        }
        let answer = self.inner.save(lease, progress.clone(), deadline).await;
        if let (Fault::KeepsLostLetters, Err(error)) = (self.fault, &answer)
            && error.is(ErrorKind::Conflict)
        {
            let latest = self.latest(lease);
            let position = latest.position.clone();
            // The fault alone decides what comes of it.
            let _ = self
                .inner
                .save(&latest, Progress { position, ..progress }, deadline)
                .await;
        }
        answer
    }

    async fn renew(&self, lease: &FeedLease, ttl: Duration, deadline: Deadline) -> Result<()> {
        match self.fault {
            Fault::ForgetsRenewals => Ok(()),
            Fault::SavesUnfenced => self.inner.renew(&self.latest(lease), ttl, deadline).await,
            _ => self.inner.renew(lease, self.ttl(ttl), deadline).await,
        }
    }

    async fn release(&self, lease: &FeedLease, deadline: Deadline) -> Result<()> {
        match self.fault {
            Fault::IgnoresRelease => Ok(()),
            Fault::ReleasesAnyones => self.inner.release(&self.latest(lease), deadline).await,
            _ => self.inner.release(lease, deadline).await,
        }
    }

    async fn report(&self, sink: &str, deadline: Deadline) -> Result<SinkReport> {
        let mut report = self.inner.report(sink, deadline).await?;
        if self.fault == Fault::ReportsOtherSinks {
            let names: Vec<String> = locked(&self.memory.leases).keys().cloned().collect();
            for other in names.iter().filter_map(|name| name.split('/').next()) {
                if other != sink {
                    let more = self.inner.report(other, deadline).await?;
                    report.dead_letters += more.dead_letters;
                    report.checkpoints.extend(more.checkpoints);
                }
            }
        }
        Ok(report)
    }

    async fn letters(&self, sink: &str, page: &PageRequest, deadline: Deadline) -> Result<Page<DeadLetter>> {
        let mut letters = self.inner.letters(sink, page, deadline).await?;
        if self.fault == Fault::ReversesLetters {
            letters.items.reverse();
        }
        Ok(letters)
    }

    async fn discard(&self, sink: &str, letter: Uuid, deadline: Deadline) -> Result<bool> {
        if self.fault == Fault::DiscardsAll {
            for other in self.all(sink, deadline).await? {
                self.inner.discard(sink, other.id, deadline).await?;
            }
            return Ok(true);
        }
        let found = self.inner.discard(sink, letter, deadline).await?;
        Ok(found || self.fault == Fault::SaysDiscarded)
    }

    async fn forget(&self, sink: &str, deadline: Deadline) -> Result<()> {
        match self.fault {
            Fault::ForgetsNothing => return Ok(()),
            Fault::ForgetsLetters => {
                for letter in self.all(sink, deadline).await? {
                    self.inner.discard(sink, letter.id, deadline).await?;
                }
            }
            _ => {}
        }
        self.inner.forget(sink, deadline).await
    }
}
