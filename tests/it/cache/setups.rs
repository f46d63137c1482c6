//! Shared caches of each engine.

use std::sync::Arc;

use async_trait::async_trait;
use stockroom::InProcessCache;
use stockroom::MemcachedCache;
use stockroom::MemcachedOptions;
use stockroom::RedisCache;
use stockroom::Result;
use stockroom::testkit::cache::CacheHarness;
use stockroom::testkit::cache::CacheSetup;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Memcached;
use stockroom::testkit::engines::Redis;

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

/// On the Redis server at this address.
pub(super) struct OnRedis(String);

impl OnRedis {
    /// On the server that the tests share, if it can be had.
    pub(super) async fn shared() -> Option<Self> {
        let server = engines::require(Redis::shared().await).unwrap()?;
        Some(Self(server.url()))
    }
}

#[async_trait]
impl CacheSetup for OnRedis {
    async fn fresh(&self) -> Result<CacheHarness> {
        let cache = RedisCache::connect(self.0.as_str()).await?;
        let another = RedisCache::connect(self.0.as_str()).await?;
        Ok(CacheHarness::new(Arc::new(cache), Arc::new(another)))
    }
}

/// On the Memcached servers at these addresses.
pub(super) struct OnMemcached(Vec<String>);

impl OnMemcached {
    /// On the server that the tests share, and on one more, if they can be had.
    pub(super) async fn shared() -> Option<(Self, Memcached)> {
        let server = engines::require(Memcached::shared().await).unwrap()?;
        let second = Memcached::start().await.unwrap();
        let servers = [server.address(), second.address()];
        Some((Self(servers.iter().map(ToString::to_string).collect()), second))
    }
}

#[async_trait]
impl CacheSetup for OnMemcached {
    async fn fresh(&self) -> Result<CacheHarness> {
        let cache = MemcachedCache::connect(MemcachedOptions::new(&self.0)).await?;
        let another = MemcachedCache::connect(MemcachedOptions::new(&self.0)).await?;
        Ok(CacheHarness::new(Arc::new(cache), Arc::new(another)))
    }
}
