//! What a case works with: two handles of one cache, keys of its own, and short ways to ask.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::error::Result;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Entry;
use crate::spi::cache::Fill;
use crate::spi::cache::Filled;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;
use crate::spi::cache::LoadedFrom;
use crate::spi::cache::SharedCache;
use crate::spi::cache::Writer;
use crate::testkit::conformance::CaseResult;
use crate::testkit::conformance::Failure;

/// Longest that a single call of a case may take.
const CALL: Duration = Duration::from_secs(10);

/// Long enough not to end within a case.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The shortest time that every engine can tell from none.
pub(super) const SHORT: Duration = Duration::from_secs(1);

/// How long a case waits for what is to come true.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// Makes caches for the suite.
#[async_trait]
pub trait CacheSetup: Send + Sync {
    /// A cache for one case; the same server may serve all of them.
    ///
    /// # Errors
    /// Whatever keeps the cache from opening: every case then fails with it.
    async fn fresh(&self) -> Result<CacheHarness>;
}

/// Two handles of one cache, as two processes would have it.
pub struct CacheHarness {
    cache: Arc<dyn SharedCache>,
    another: Arc<dyn SharedCache>,
    namespace: String,
}

impl fmt::Debug for CacheHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHarness")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl CacheHarness {
    /// A harness of a cache and another handle of it.
    pub fn new(cache: Arc<dyn SharedCache>, another: Arc<dyn SharedCache>) -> Self {
        Self {
            cache,
            another,
            namespace: Uuid::now_v7().simple().to_string(),
        }
    }

    /// The same with something in front of both handles.
    #[must_use]
    pub fn wrapped(self, wrap: impl Fn(Arc<dyn SharedCache>) -> Arc<dyn SharedCache>) -> Self {
        Self {
            cache: wrap(self.cache),
            another: wrap(self.another),
            namespace: self.namespace,
        }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Arc<dyn SharedCache> {
        &self.cache
    }

    /// The cache as another process has it.
    #[must_use]
    pub fn another(&self) -> &Arc<dyn SharedCache> {
        &self.another
    }

    pub(super) async fn close(&self) {
        self.cache.close().await;
        self.another.close().await;
    }

    /// A key that no other case has.
    pub(super) fn key(&self, name: &str) -> CacheKey {
        CacheKey::new(&self.namespace, "case", name)
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline::within(CALL)
    }

    pub(super) async fn get(&self, key: &CacheKey) -> Result<Option<Entry>> {
        get(&*self.cache, key).await
    }

    /// What the other process is given.
    pub(super) async fn get_there(&self, key: &CacheKey) -> Result<Option<Entry>> {
        get(&*self.another, key).await
    }

    pub(super) async fn acquire(&self, key: &CacheKey) -> CaseResult<Acquired> {
        self.acquire_for(key, LONG, LoadWhen::Missing).await
    }

    pub(super) async fn acquire_for(
        &self,
        key: &CacheKey,
        lease: Duration,
        when: LoadWhen,
    ) -> CaseResult<Acquired> {
        let keys = std::slice::from_ref(key);
        let answers = self
            .cache
            .acquire(keys, Acquire { lease, when }, self.deadline())
            .await?;
        answers
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new("no answer for the key"))
    }

    /// A lease that must be given.
    pub(super) async fn lease(&self, key: &CacheKey) -> CaseResult<LeaseToken> {
        match self.acquire(key).await? {
            Acquired::Lease { token, .. } => Ok(token),
            other => Err(Failure::new(format!("expected a lease, got {other:?}"))),
        }
    }

    pub(super) async fn fill(&self, key: &CacheKey, fill: Fill) -> CaseResult<Filled> {
        let filled = self
            .cache
            .fill(vec![(key.clone(), fill)], self.deadline())
            .await?;
        filled
            .first()
            .copied()
            .ok_or_else(|| Failure::new("no answer for the fill"))
    }

    /// Loads and fills a key that is free.
    pub(super) async fn put(&self, key: &CacheKey, version: u64, payload: &'static str) -> CaseResult {
        let token = self.lease(key).await?;
        match self.fill(key, fill(token, version, payload)).await? {
            Filled::Stored => Ok(()),
            other => Err(Failure::new(format!("expected Stored, got {other:?}"))),
        }
    }

    pub(super) async fn invalidate(&self, key: &CacheKey, version: u64) -> Result<()> {
        self.invalidate_by(key, version, None).await
    }

    pub(super) async fn invalidate_by(
        &self,
        key: &CacheKey,
        version: u64,
        writer: Option<Writer>,
    ) -> Result<()> {
        let how = Invalidate {
            writer,
            holdoff: LONG,
            stale_for: Duration::ZERO,
        };
        self.invalidate_how(key, version, how).await
    }

    /// Invalidates as the other process.
    pub(super) async fn invalidate_how(&self, key: &CacheKey, version: u64, how: Invalidate) -> Result<()> {
        let what = Invalidation {
            key: key.clone(),
            version: Version::from(version),
        };
        self.another.invalidate(&[what], how, self.deadline()).await
    }

    pub(super) async fn hold(&self, key: &CacheKey, lasts: Duration) -> Result<Writer> {
        let writer = Writer::random()?;
        let keys = std::slice::from_ref(key);
        self.another.hold(keys, (writer, lasts), self.deadline()).await?;
        Ok(writer)
    }
}

async fn get(cache: &dyn SharedCache, key: &CacheKey) -> Result<Option<Entry>> {
    let found = cache
        .get_many(std::slice::from_ref(key), Deadline::within(CALL))
        .await?;
    Ok(found.into_iter().next().flatten())
}

/// A fill from the writer that stays fresh.
pub(super) fn fill(token: LeaseToken, version: u64, payload: &'static str) -> Fill {
    Fill {
        token,
        version: Version::from(version),
        from: LoadedFrom::Writer,
        fresh_for: LONG,
        stale_for: Duration::ZERO,
        payload: Bytes::from_static(payload.as_bytes()),
    }
}

/// Waits until it holds; a case that depends on time asks for a state, never for a duration.
pub(super) async fn until<F>(what: &str, mut holds: impl FnMut() -> F + Send) -> CaseResult
where
    F: Future<Output = CaseResult<bool>> + Send,
{
    let deadline = Deadline::within(PATIENCE);
    while !deadline.is_over() {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::new(format!("{what} did not come true")))
}
