//! A shared cache whose writers may die between COMMIT and invalidation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::InProcessCache;
use stockroom::Result;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::resilience::Deadline;
use stockroom::spi::cache::Acquire;
use stockroom::spi::cache::Acquired;
use stockroom::spi::cache::CacheCapability;
use stockroom::spi::cache::CacheKey;
use stockroom::spi::cache::Entry;
use stockroom::spi::cache::Fill;
use stockroom::spi::cache::Filled;
use stockroom::spi::cache::Follower;
use stockroom::spi::cache::Invalidate;
use stockroom::spi::cache::Invalidation;
use stockroom::spi::cache::Renewed;
use stockroom::spi::cache::SharedCache;
use stockroom::spi::cache::TagGeneration;
use stockroom::spi::cache::Writer;

use super::slow::SlowStore;

/// Passes everything on, but not each invalidation.
#[derive(Debug)]
pub(super) struct DyingCache {
    inner: Arc<dyn SharedCache>,
    /// One invalidation of so many is never sent; 0 for none.
    one_in: u64,
    calls: AtomicU64,
    died: AtomicBool,
}

impl DyingCache {
    pub(super) fn new(inner: Arc<dyn SharedCache>, one_in: u64) -> Arc<Self> {
        Arc::new(Self {
            inner,
            one_in,
            calls: AtomicU64::new(0),
            died: AtomicBool::new(false),
        })
    }

    /// Whether the last write died, as its process would have.
    pub(super) fn has_died(&self) -> bool {
        self.died.swap(false, Ordering::SeqCst)
    }
}

#[async_trait]
impl SharedCache for DyingCache {
    fn capability(&self) -> &CacheCapability {
        self.inner.capability()
    }

    async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>> {
        self.inner.get_many(keys, deadline).await
    }

    async fn acquire(&self, keys: &[CacheKey], ask: Acquire, deadline: Deadline) -> Result<Vec<Acquired>> {
        self.inner.acquire(keys, ask, deadline).await
    }

    async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) -> Result<Vec<Filled>> {
        self.inner.fill(fills, deadline).await
    }

    async fn hold(&self, keys: &[CacheKey], hold: (Writer, Duration), deadline: Deadline) -> Result<()> {
        self.inner.hold(keys, hold, deadline).await
    }

    async fn renew(
        &self,
        keys: &[CacheKey],
        hold: (Writer, Duration),
        deadline: Deadline,
    ) -> Result<Renewed> {
        self.inner.renew(keys, hold, deadline).await
    }

    async fn invalidate(&self, what: &[Invalidation], how: Invalidate, deadline: Deadline) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.one_in > 0 && call % self.one_in == self.one_in - 1 {
            self.died.store(true, Ordering::SeqCst);
            return Ok(());
        }
        self.inner.invalidate(what, how, deadline).await
    }

    async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>> {
        self.inner.tags(tags, deadline).await
    }

    async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        if self.died.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.inner.raise(tags, deadline).await
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        self.inner.follow(follower);
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.inner.ping(deadline).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Two shops: a writer whose word never reaches the cache and whose process feeds no sink, and a reader.
pub(super) async fn writer_unheard() -> (Stockroom, Stockroom) {
    let cache = InProcessCache::new();
    let readers = cache.another();
    let store = SlowStore::open().await;
    let policy = CachePolicy::new().tiers(Tiers::Shared);
    let writer = Stockroom::builder()
        .store_arc(store.clone())
        .cache(Cache::shared_arc(DyingCache::new(Arc::new(cache), 1)).products(policy))
        .without_background();
    let reader = Stockroom::builder()
        .store_arc(store)
        .cache(Cache::shared(readers).products(policy));
    (writer.open().await.unwrap(), reader.open().await.unwrap())
}
