//! A caller that dies before one of its commits, or waits there until it is let go.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::Aggregate;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::RowKey;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Aborted;
use stockroom::spi::store::CommitObserver;
use stockroom::spi::store::Committed;
use tokio::sync::Semaphore;

use crate::support::Shop;

/// What befalls a caller before its commits.
#[derive(Debug)]
pub(super) struct Fate {
    seen: AtomicUsize,
    /// From this commit on none gets through.
    dies_before: usize,
    /// This one waits.
    waits_before: usize,
    waiting: Semaphore,
    gate: Semaphore,
}

impl Fate {
    fn new(dies_before: usize, waits_before: usize) -> Arc<Self> {
        Arc::new(Self {
            seen: AtomicUsize::new(0),
            dies_before,
            waits_before,
            waiting: Semaphore::new(0),
            gate: Semaphore::new(0),
        })
    }

    /// Makes so many commits.
    pub(super) fn dies_after(commits: usize) -> Arc<Self> {
        Self::new(commits, usize::MAX)
    }

    /// Makes so many commits, and waits before the next one.
    pub(super) fn waits_after(commits: usize) -> Arc<Self> {
        Self::new(usize::MAX, commits)
    }

    /// Until the caller waits.
    pub(super) async fn is_waiting(&self) {
        self.waiting.acquire().await.unwrap().forget();
    }

    pub(super) fn let_go(&self) {
        self.gate.add_permits(1);
    }

    /// A shop on the same store, of a caller with this fate.
    pub(super) async fn meets(self: &Arc<Self>, shop: &Shop) -> Stockroom {
        Stockroom::builder()
            .store_arc(Arc::clone(shop.store()))
            .observer(self.clone())
            .deadline(Duration::from_secs(60))
            .without_background()
            .open()
            .await
            .unwrap()
    }
}

#[async_trait]
impl CommitObserver for Fate {
    async fn before(&self, _: &[(Aggregate, RowKey)], _: Deadline) -> Result<(), Error> {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        if number == self.waits_before {
            self.waiting.add_permits(1);
            self.gate.acquire().await.unwrap().forget();
        }
        if number >= self.dies_before {
            return Err(Error::new(ErrorKind::Unavailable, "the caller is dead"));
        }
        Ok(())
    }

    async fn after(&self, _: &Committed) {}

    async fn aborted(&self, _: &[(Aggregate, RowKey)], _: Aborted) {}
}
