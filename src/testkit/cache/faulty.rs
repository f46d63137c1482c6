//! A shared cache in front of a right one that is wrong in one chosen way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::CacheFault;
use super::CacheHarness;
use super::CacheSetup;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::CacheCapability;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Entry;
use crate::spi::cache::Fill;
use crate::spi::cache::Filled;
use crate::spi::cache::Follower;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;
use crate::spi::cache::LoadedFrom;
use crate::spi::cache::Renewed;
use crate::spi::cache::SharedCache;
use crate::spi::cache::TagGeneration;
use crate::spi::cache::Writer;

/// How much longer something lasts that is kept too long.
const LONGER: u32 = 1000;

/// Letters of a key that are kept of one that is cut.
const CUT: usize = 40;

/// Connections that can be lost.
const CONNECTIONS: usize = 8;

/// A shared cache that is wrong in one way, in front of one that is right.
#[derive(Debug)]
pub struct FaultyCache {
    inner: Arc<dyn SharedCache>,
    fault: CacheFault,
    connections: Semaphore,
    /// What was stored without a lease; the handles of one harness share it.
    stored: Arc<Mutex<HashMap<CacheKey, Entry>>>,
    /// Whose hold it is that replaces the others.
    writer: Arc<Mutex<Option<Writer>>>,
    /// Invalidations so far.
    tellings: AtomicU64,
}

/// Makes caches with a fault planted in front of right ones.
#[derive(Debug)]
pub struct FaultyCacheSetup<S> {
    inner: S,
    fault: CacheFault,
}

impl<S: CacheSetup> FaultyCacheSetup<S> {
    /// Plants the fault in front of every cache of this setup.
    pub const fn new(inner: S, fault: CacheFault) -> Self {
        Self { inner, fault }
    }
}

#[async_trait]
impl<S: CacheSetup> CacheSetup for FaultyCacheSetup<S> {
    async fn fresh(&self) -> Result<CacheHarness> {
        let (stored, writer) = (Arc::default(), Arc::default());
        let fault = self.fault;
        Ok(self.inner.fresh().await?.wrapped(|inner| {
            Arc::new(FaultyCache {
                inner,
                fault,
                connections: Semaphore::new(CONNECTIONS),
                stored: Arc::clone(&stored),
                writer: Arc::clone(&writer),
                tellings: AtomicU64::new(0),
            })
        }))
    }
}

impl FaultyCache {
    /// Plants the fault in front of this cache.
    #[must_use]
    pub fn new(inner: Arc<dyn SharedCache>, fault: CacheFault) -> Self {
        Self {
            inner,
            fault,
            connections: Semaphore::new(CONNECTIONS),
            stored: Arc::default(),
            writer: Arc::default(),
            tellings: AtomicU64::new(0),
        }
    }

    fn has(&self, fault: CacheFault) -> bool {
        self.fault == fault
    }

    fn keys(&self, keys: &[CacheKey]) -> Vec<CacheKey> {
        keys.iter().map(|key| self.key(key)).collect()
    }

    fn key(&self, key: &CacheKey) -> CacheKey {
        if !self.has(CacheFault::CutsKeys) {
            return key.clone();
        }
        let cut: String = key.as_str().chars().take(CUT).collect();
        CacheKey::new("cut", "key", &cut)
    }

    fn deadline(&self, deadline: Deadline) -> Deadline {
        match self.fault {
            CacheFault::IgnoresDeadlines => Deadline::within(Duration::from_secs(10)),
            _ => deadline,
        }
    }

    fn writer(&self, writer: Writer) -> Writer {
        let mut kept = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match self.fault {
            CacheFault::KeepsOneHold => *kept.get_or_insert(writer),
            _ => writer,
        }
    }

    fn lasts(&self, fault: CacheFault, lasts: Duration) -> Duration {
        if self.has(fault) { lasts * LONGER } else { lasts }
    }

    fn stored(&self) -> MutexGuard<'_, HashMap<CacheKey, Entry>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What plain cache-aside would give.
    fn without_lease(&self, key: &CacheKey, found: Option<Entry>) -> Option<Entry> {
        match self.fault {
            CacheFault::StoresWithoutLease => found.or_else(|| self.stored().get(key).cloned()),
            _ => found,
        }
    }
}

#[async_trait]
impl SharedCache for FaultyCache {
    fn capability(&self) -> &CacheCapability {
        self.inner.capability()
    }

    async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>> {
        if self.has(CacheFault::LosesConnections) {
            let Ok(connection) = self.connections.try_acquire() else {
                return Err(Error::new(ErrorKind::Timeout, "no connection is left"));
            };
            connection.forget();
            tokio::task::yield_now().await;
            self.connections.add_permits(1);
        }
        let keys = self.keys(keys);
        let mut found = self.inner.get_many(&keys, self.deadline(deadline)).await?;
        for (key, entry) in keys.iter().zip(&mut found) {
            *entry = self.without_lease(key, entry.take());
        }
        match self.fault {
            CacheFault::ReversesBatches => found.reverse(),
            CacheFault::InventsValues => {
                let empty = || Entry {
                    version: Version::FIRST,
                    fresh_for: Duration::from_secs(1),
                    payload: Bytes::new(),
                };
                found
                    .iter_mut()
                    .for_each(|entry| *entry = entry.take().or_else(|| Some(empty())));
            }
            CacheFault::CutsPayloads => {
                for entry in found.iter_mut().flatten() {
                    let length = entry.payload.len().saturating_sub(1);
                    entry.payload.truncate(length);
                }
            }
            _ => {}
        }
        Ok(found)
    }

    async fn acquire(&self, keys: &[CacheKey], ask: Acquire, deadline: Deadline) -> Result<Vec<Acquired>> {
        let ask = Acquire {
            lease: self.lasts(CacheFault::KeepsLeases, ask.lease),
            when: if self.has(CacheFault::NeverEarly) {
                LoadWhen::Missing
            } else {
                ask.when
            },
        };
        let mut answers = self.inner.acquire(&self.keys(keys), ask, deadline).await?;
        for answer in &mut answers {
            match (self.fault, &mut *answer) {
                (CacheFault::HidesFloor, Acquired::Lease { floor, .. }) => *floor = Version::ZERO,
                (CacheFault::HidesFilled, Acquired::Filled(_)) => *answer = Acquired::Busy { stale: None },
                (CacheFault::LeasesToAll, Acquired::Busy { stale }) => {
                    *answer = Acquired::Lease {
                        token: LeaseToken([1; 16]),
                        floor: Version::ZERO,
                        stale: stale.take(),
                    };
                }
                _ => {}
            }
        }
        Ok(answers)
    }

    async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) -> Result<Vec<Filled>> {
        let mut sent = Vec::with_capacity(fills.len());
        for (key, mut fill) in fills {
            fill.fresh_for = self.lasts(CacheFault::KeepsValues, fill.fresh_for);
            if self.has(CacheFault::TrustsReplicas) {
                fill.from = LoadedFrom::Writer;
            }
            if self.has(CacheFault::StoresWithoutLease) {
                let entry = Entry {
                    version: fill.version,
                    fresh_for: fill.fresh_for,
                    payload: fill.payload.clone(),
                };
                self.stored().insert(key.clone(), entry);
            }
            sent.push((self.key(&key), fill));
        }
        let mut filled = self.inner.fill(sent, deadline).await?;
        if self.has(CacheFault::ClaimsToStore) {
            filled.iter_mut().for_each(|answer| *answer = Filled::Stored);
        }
        Ok(filled)
    }

    async fn hold(&self, keys: &[CacheKey], hold: (Writer, Duration), deadline: Deadline) -> Result<()> {
        if self.has(CacheFault::ForgetsHolds) {
            return Ok(());
        }
        let hold = (self.writer(hold.0), self.lasts(CacheFault::KeepsHolds, hold.1));
        self.inner.hold(&self.keys(keys), hold, deadline).await
    }

    async fn renew(
        &self,
        keys: &[CacheKey],
        hold: (Writer, Duration),
        deadline: Deadline,
    ) -> Result<Renewed> {
        let hold = (self.writer(hold.0), self.lasts(CacheFault::KeepsHolds, hold.1));
        let renewed = self.inner.renew(&self.keys(keys), hold, deadline).await?;
        match self.fault {
            CacheFault::NeverLapses => Ok(Renewed::Renewed),
            _ => Ok(renewed),
        }
    }

    async fn invalidate(&self, what: &[Invalidation], how: Invalidate, deadline: Deadline) -> Result<()> {
        if self.has(CacheFault::ForgetsInvalidations) {
            return Ok(());
        }
        let how = Invalidate {
            writer: how.writer.map(|writer| self.writer(writer)),
            stale_for: match self.fault {
                CacheFault::DropsStale => Duration::ZERO,
                _ => how.stale_for,
            },
            ..how
        };
        let newest = |version: Version| match self.fault {
            CacheFault::DropsNewer => Version::from(u64::MAX),
            CacheFault::CountsTellings => {
                Version::from(version.get() + 100 * self.tellings.fetch_add(1, Ordering::Relaxed))
            }
            _ => version,
        };
        let what: Vec<_> = what
            .iter()
            .map(|one| Invalidation {
                key: self.key(&one.key),
                version: newest(one.version),
            })
            .collect();
        what.iter().for_each(|one| drop(self.stored().remove(&one.key)));
        self.inner.invalidate(&what, how, deadline).await
    }

    async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>> {
        let mut generations = self.inner.tags(tags, deadline).await?;
        if self.has(CacheFault::InventsGenerations) {
            for generation in &mut generations {
                *generation = TagGeneration::random()?;
            }
        }
        Ok(generations)
    }

    async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        if self.has(CacheFault::ForgetsRaises) {
            return Ok(());
        }
        self.inner.raise(tags, deadline).await
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        match self.fault {
            CacheFault::TellsNobody => {}
            CacheFault::ProvesTooMuch => {
                let now = Instant::now();
                let later = now.checked_add(Duration::from_secs(60)).unwrap_or(now);
                follower.sound(later);
            }
            _ => self.inner.follow(follower),
        }
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        match self.fault {
            CacheFault::LeavesPings => Err(Error::new(ErrorKind::Timeout, "no answer")),
            _ => self.inner.ping(deadline).await,
        }
    }

    async fn close(&self) {
        if !self.has(CacheFault::StaysOpen) {
            self.inner.close().await;
        }
    }
}
