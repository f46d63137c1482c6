//! Planted faults: a store in front of a right one that is wrong in one chosen way.
//!
//! A suite that passes a wrong store proves nothing. Each [`Fault`] tells which behaviour bullets it breaks; the
//! cases of those bullets must fail on a [`Faulty`] store. Use it to prove cases of your own in the same way.

mod catalogue;
mod coordination;
mod fault;
mod feed;
mod ledger;
mod money;
mod reads;
mod sets;
mod writes;

pub use fault::Fault;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use self::coordination::WrongCoordination;
use self::feed::Memory;
use self::feed::WrongFeed;
use super::conformance::Harness;
use super::conformance::Setup;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::store::Capability;
use crate::spi::store::Committed;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// A store that is wrong in one way, in front of one that is right.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    readers: Readers,
    fault: Fault,
    /// Commits that went through: what interleaves waits for others by it.
    commits: Arc<AtomicU64>,
    /// Line deltas seen.
    adds: AtomicU64,
    /// What the faults of the feed remember.
    memory: Arc<Memory>,
}

impl Faulty {
    /// Plants the fault in front of this store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, fault: Fault) -> Self {
        let readers = reads::wrap(inner.readers(), fault);
        Self {
            inner,
            readers,
            fault,
            commits: Arc::new(AtomicU64::new(0)),
            adds: AtomicU64::new(0),
            memory: Arc::default(),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn epoch(&self) -> i64 {
        self.inner.epoch()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        let inner = self.inner.changes()?;
        Some(Arc::new(WrongFeed {
            inner,
            fault: self.fault,
            memory: Arc::clone(&self.memory),
        }))
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        let inner = self.inner.coordination()?;
        Some(Arc::new(WrongCoordination {
            inner,
            fault: self.fault,
            memory: Arc::clone(&self.memory),
        }))
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let _under_way = self.memory.begin();
        let answer = self.commit_wrongly(set, deadline).await;
        if !matches!(&answer, Ok(committed) if committed.replay.is_none()) {
            self.memory.refused.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        if self.fault == Fault::IgnoresRestore {
            return Ok(self.inner.epoch());
        }
        self.inner.after_restore(deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.inner.ping(deadline).await
    }

    async fn close(&self) {
        if self.fault != Fault::ServesAfterClose {
            self.inner.close().await;
        }
    }
}

/// Gives the stores of another setup with a fault in front.
pub struct FaultySetup<S> {
    inner: S,
    fault: Fault,
}

impl<S> FaultySetup<S> {
    /// Plants the fault in front of every store of this setup.
    pub const fn new(inner: S, fault: Fault) -> Self {
        Self { inner, fault }
    }
}

impl<S> fmt::Debug for FaultySetup<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultySetup")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: Setup> Setup for FaultySetup<S> {
    async fn fresh(&self) -> Result<Harness> {
        let fault = self.fault;
        Ok(self
            .inner
            .fresh()
            .await?
            .wrapped(move |store| Arc::new(Faulty::new(store, fault))))
    }
}
