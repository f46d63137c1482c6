//! Shared caches of each engine.

use std::sync::Arc;

use async_trait::async_trait;
use stockroom::InProcessCache;
use stockroom::Result;
use stockroom::testkit::cache::CacheHarness;
use stockroom::testkit::cache::CacheSetup;

/// In the memory of the test.
pub(super) struct InProcess;

#[async_trait]
impl CacheSetup for InProcess {
    async fn fresh(&self) -> Result<CacheHarness> {
        let cache = InProcessCache::new();
        let another = cache.another();
        Ok(CacheHarness::new(Arc::new(cache), Arc::new(another)))
    }
}
