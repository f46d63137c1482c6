//! A shared cache in the memory of this process: for tests, and for a shop that is one process.
//!
//! It keeps the whole contract, so that what is tested on it holds for the engines over the network.

mod slot;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;

use self::slot::Slot;
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
use crate::spi::cache::Follower;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::Renewed;
use crate::spi::cache::SharedCache;
use crate::spi::cache::TagGeneration;
use crate::spi::cache::Writer;

/// The longest payload: as much as Memcached takes by default.
const VALUE_LIMIT: usize = 1024 * 1024;

const CAPABILITY: CacheCapability = CacheCapability::new("in_process", VALUE_LIMIT)
    .with_holds()
    .with_floors()
    .with_push();

/// Payload bytes kept at once unless told otherwise.
const CAPACITY: usize = 64 * 1024 * 1024;

/// Far enough for every instant that is asked about.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Slots after which expired ones are looked for the first time.
const FIRST_SWEEP: usize = 1024;

/// Tags that are known at once; past that all of them are forgotten, which is as if each had been raised.
const TAGS: usize = 65_536;

/// A shared cache in this process; handles made by [`another`](Self::another) share what it keeps.
///
/// - Keeps 64 MiB of payloads unless told otherwise. When it is full, expired ones go; what still does not fit is
///   answered [`Filled::TooLarge`].
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use stockroom::{Cache, InProcessCache, Stockroom};
///
/// let shop = Stockroom::builder()
///     .url("sqlite::memory:")
///     .cache(Cache::shared(InProcessCache::new()))
///     .open()
///     .await?;
/// # shop.close().await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct InProcessCache {
    kept: Arc<Mutex<Kept>>,
    capacity: usize,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<CacheKey, Slot>,
    tags: HashMap<CacheKey, TagGeneration>,
    bytes: usize,
    sweep_at: usize,
    followers: Vec<Arc<dyn Follower>>,
}

impl Default for InProcessCache {
    fn default() -> Self {
        Self::new()
    }
}

impl InProcessCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// An empty cache for this many bytes of payloads.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            kept: Arc::default(),
            capacity: bytes,
            closed: AtomicBool::new(false),
        }
    }

    /// Another handle of the same cache, as another process would have it; closed by itself.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            kept: Arc::clone(&self.kept),
            capacity: self.capacity,
            closed: AtomicBool::new(false),
        }
    }

    fn kept(&self, deadline: Deadline) -> Result<MutexGuard<'_, Kept>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, "the cache is closed"));
        }
        if deadline.is_over() {
            return Err(Error::new(
                ErrorKind::Timeout,
                "the deadline was over before the cache was asked",
            ));
        }
        Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    /// Looks for what is over, each time that the number of slots has doubled.
    fn sweep(&mut self, now: Instant) {
        if self.slots.len() < self.sweep_at.max(FIRST_SWEEP) {
            return;
        }
        self.sweep_now(now);
        self.sweep_at = self.slots.len() * 2;
    }

    fn sweep_now(&mut self, now: Instant) {
        self.slots.retain(|_, slot| slot.is_needed(now));
        self.bytes = self.slots.values().map(Slot::bytes).sum();
    }

    fn tag(&mut self, tag: &CacheKey) -> Result<TagGeneration> {
        match self.tags.get(tag) {
            Some(generation) => Ok(*generation),
            None => self.raise(tag),
        }
    }

    fn raise(&mut self, tag: &CacheKey) -> Result<TagGeneration> {
        let generation = TagGeneration::random()?;
        if self.tags.len() >= TAGS {
            self.tags.clear();
        }
        self.tags.insert(tag.clone(), generation);
        Ok(generation)
    }

    /// The slot of a key, without what is over in it.
    fn slot(&mut self, key: &CacheKey, now: Instant) -> &mut Slot {
        self.sweep(now);
        let slot = self.slots.entry(key.clone()).or_default();
        if !slot.is_needed(now) {
            self.bytes -= slot.bytes();
            *slot = Slot::default();
        }
        slot
    }

    fn fill(&mut self, key: &CacheKey, fill: Fill, capacity: usize) -> Filled {
        let now = Instant::now();
        if fill.payload.len() > VALUE_LIMIT {
            return Filled::TooLarge;
        }
        let before = self.slot(key, now).bytes();
        if self.bytes - before + fill.payload.len() > capacity {
            self.sweep_now(now);
            if self.bytes + fill.payload.len() > capacity {
                return Filled::TooLarge;
            }
        }
        let slot = self.slot(key, now);
        let (before, filled) = (slot.bytes(), slot.fill(fill, now));
        let after = slot.bytes();
        self.bytes = self.bytes - before + after;
        filled
    }

    fn invalidate(&mut self, what: &Invalidation, how: Invalidate) {
        let slot = self.slot(&what.key, Instant::now());
        let before = slot.bytes();
        slot.invalidate(what.version, how, Instant::now());
        let after = slot.bytes();
        self.bytes = self.bytes - before + after;
    }
}

#[async_trait]
impl SharedCache for InProcessCache {
    fn capability(&self) -> &CacheCapability {
        &CAPABILITY
    }

    async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>> {
        let kept = self.kept(deadline)?;
        let now = Instant::now();
        Ok(keys
            .iter()
            .map(|key| kept.slots.get(key).and_then(|slot| slot.fresh(now)))
            .collect())
    }

    async fn acquire(&self, keys: &[CacheKey], ask: Acquire, deadline: Deadline) -> Result<Vec<Acquired>> {
        let mut kept = self.kept(deadline)?;
        let now = Instant::now();
        keys.iter()
            .map(|key| kept.slot(key, now).acquire(ask, now))
            .collect()
    }

    async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) -> Result<Vec<Filled>> {
        let mut kept = self.kept(deadline)?;
        Ok(fills
            .into_iter()
            .map(|(key, fill)| kept.fill(&key, fill, self.capacity))
            .collect())
    }

    async fn hold(&self, keys: &[CacheKey], hold: (Writer, Duration), deadline: Deadline) -> Result<()> {
        let mut kept = self.kept(deadline)?;
        let now = Instant::now();
        for key in keys {
            kept.slot(key, now).hold(hold, now);
        }
        Ok(())
    }

    async fn renew(
        &self,
        keys: &[CacheKey],
        hold: (Writer, Duration),
        deadline: Deadline,
    ) -> Result<Renewed> {
        let mut kept = self.kept(deadline)?;
        let now = Instant::now();
        let mut renewed = Renewed::Renewed;
        for key in keys {
            let slot = kept.slot(key, now);
            if !slot.is_held_by(hold.0, now) {
                renewed = Renewed::Lapsed;
            }
            slot.hold(hold, now);
        }
        Ok(renewed)
    }

    async fn invalidate(&self, what: &[Invalidation], how: Invalidate, deadline: Deadline) -> Result<()> {
        let followers = {
            let mut kept = self.kept(deadline)?;
            for one in what {
                kept.invalidate(one, how);
            }
            kept.followers.clone()
        };
        for follower in followers {
            what.iter().for_each(|one| follower.invalidated(one.key.as_str()));
        }
        Ok(())
    }

    async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>> {
        let mut kept = self.kept(deadline)?;
        tags.iter().map(|tag| kept.tag(tag)).collect()
    }

    async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        let mut kept = self.kept(deadline)?;
        tags.iter().try_for_each(|tag| kept.raise(tag).map(drop))
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        // It is told within the call that invalidates: there is nothing to miss.
        let now = Instant::now();
        follower.sound(now.checked_add(FAR).unwrap_or(now));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.followers.push(follower);
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.kept(deadline).map(drop)
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}
