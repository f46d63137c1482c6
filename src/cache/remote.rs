//! The shared tier as the rest of the cache asks it: within a short time, not at all while it fails, and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::breaker::Breaker;
use super::stats::Counters;
use super::stats::add;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::CacheCapability;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Entry;
use crate::spi::cache::Fill;
use crate::spi::cache::Filled;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::Renewed;
use crate::spi::cache::SharedCache;
use crate::spi::cache::TagGeneration;
use crate::spi::cache::Writer;

/// A call that takes longer counts as slow.
const SLOW: Duration = Duration::from_millis(20);

/// The shared tier behind its breaker.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) cache: Arc<dyn SharedCache>,
    /// How long a read may wait for it.
    pub(super) read: Duration,
    /// How long a write may wait for it: what is invalidated must not be given up lightly.
    pub(super) write: Duration,
    pub(super) counters: Arc<Counters>,
    breaker: Breaker,
}

impl Remote {
    pub(super) fn new(
        cache: Arc<dyn SharedCache>,
        (read, write): (Duration, Duration),
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            cache,
            read,
            write,
            counters,
            breaker: Breaker::default(),
        }
    }

    pub(super) fn capability(&self) -> &CacheCapability {
        self.cache.capability()
    }

    pub(super) async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>> {
        let deadline = deadline.min(self.read);
        self.asked(self.cache.get_many(keys, deadline)).await
    }

    pub(super) async fn acquire(
        &self,
        keys: &[CacheKey],
        ask: Acquire,
        deadline: Deadline,
    ) -> Result<Vec<Acquired>> {
        let deadline = deadline.min(self.read);
        self.asked(self.cache.acquire(keys, ask, deadline)).await
    }

    /// Stores what was loaded; that it could not be stored is nobody's concern but the counters'.
    pub(super) async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) {
        let deadline = deadline.min(self.read);
        for filled in self
            .asked(self.cache.fill(fills, deadline))
            .await
            .unwrap_or_default()
        {
            add(match filled {
                Filled::Stored => &self.counters.fills,
                Filled::BelowFloor => &self.counters.fills_below_floor,
                Filled::TooLarge => &self.counters.fills_too_large,
                Filled::Void => &self.counters.fills_void,
            });
        }
    }

    /// Holds keys, breaker or not: who wants to write must know.
    pub(super) async fn hold(
        &self,
        keys: &[CacheKey],
        hold: (Writer, Duration),
        deadline: Deadline,
    ) -> Result<()> {
        let deadline = deadline.min(self.write);
        self.timed(self.cache.hold(keys, hold, deadline)).await
    }

    /// Lengthens a writer's holds, breaker or not.
    pub(super) async fn renew(
        &self,
        keys: &[CacheKey],
        hold: (Writer, Duration),
        deadline: Deadline,
    ) -> Result<Renewed> {
        self.timed(self.cache.renew(keys, hold, deadline)).await
    }

    /// Invalidates; a failure is counted for each key.
    pub(super) async fn invalidate(
        &self,
        what: &[Invalidation],
        how: Invalidate,
        deadline: Deadline,
    ) -> Result<()> {
        let deadline = deadline.min(self.write);
        let outcome = self.asked(self.cache.invalidate(what, how, deadline)).await;
        let counter = match outcome {
            Ok(()) => &self.counters.invalidations,
            Err(_) => &self.counters.invalidations_failed,
        };
        counter.fetch_add(what.len() as u64, Ordering::Relaxed);
        outcome
    }

    pub(super) async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>> {
        let deadline = deadline.min(self.read);
        self.asked(self.cache.tags(tags, deadline)).await
    }

    /// Raises tags; a failure is counted for each.
    pub(super) async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        let deadline = deadline.min(self.write);
        let outcome = self.asked(self.cache.raise(tags, deadline)).await;
        let counter = match outcome {
            Ok(()) => &self.counters.tags_raised,
            Err(_) => &self.counters.tags_failed,
        };
        counter.fetch_add(tags.len() as u64, Ordering::Relaxed);
        outcome
    }

    async fn asked<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.breaker.admits() {
            add(&self.counters.shared_skipped);
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the shared cache is failing and was not asked",
            ));
        }
        self.timed(call).await
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let start = Instant::now();
        let answer = call.await;
        if start.elapsed() > SLOW {
            add(&self.counters.shared_slow);
        }
        match &answer {
            Ok(_) => self.breaker.succeeded(),
            Err(_) => {
                add(&self.counters.shared_failed);
                self.breaker.failed();
            }
        }
        answer
    }
}
