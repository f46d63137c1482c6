//! Servers that a test may hurt, and what a shop on them must do all the while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::MemcachedCache;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::RedisCache;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Memcached;
use stockroom::testkit::engines::Redis;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::slow;
use super::slow::SlowStore;
use crate::support::until;

/// A server that a test may hurt.
pub(super) enum Server {
    Redis(Redis),
    Memcached(Memcached),
}

impl Server {
    pub(super) async fn redis(arguments: &[&str]) -> Option<Self> {
        engines::require(Redis::start_with(arguments).await)
            .unwrap()
            .map(Self::Redis)
    }

    pub(super) async fn memcached_with(arguments: &[&str]) -> Option<Self> {
        engines::require(Memcached::start_with(arguments).await)
            .unwrap()
            .map(Self::Memcached)
    }

    pub(super) async fn memcached() -> Option<Self> {
        Self::memcached_with(&[]).await
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Redis(server) => server.address(),
            Self::Memcached(server) => server.address(),
        }
    }

    /// A cache on it.
    pub(super) async fn connect(&self) -> Arc<dyn SharedCache> {
        self.connect_at(self.address()).await
    }

    /// A cache on it, by way of what stands in front of it.
    pub(super) async fn connect_at(&self, address: SocketAddr) -> Arc<dyn SharedCache> {
        match self {
            Self::Redis(_) => Arc::new(
                RedisCache::connect(format!("redis://{address}").as_str())
                    .await
                    .unwrap(),
            ),
            Self::Memcached(_) => {
                let address = address.to_string();
                Arc::new(MemcachedCache::connect(address.as_str()).await.unwrap())
            }
        }
    }

    /// Says one line to it as an administrator would, and gives its answer as far as it comes at once.
    pub(super) async fn say(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 16 * 1024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    pub(super) fn freeze(&self) {
        match self {
            Self::Redis(server) => server.freeze(),
            Self::Memcached(server) => server.freeze(),
        }
        .unwrap();
    }

    pub(super) fn thaw(&self) {
        match self {
            Self::Redis(server) => server.thaw(),
            Self::Memcached(server) => server.thaw(),
        }
        .unwrap();
    }

    pub(super) fn kill(&self) {
        match self {
            Self::Redis(server) => server.kill(),
            Self::Memcached(server) => server.kill(),
        }
        .unwrap();
    }

    pub(super) fn restart(&self) {
        match self {
            Self::Redis(server) => server.restart(),
            Self::Memcached(server) => server.restart(),
        }
        .unwrap();
    }
}

/// A shop on this cache that keeps products in the shared tier alone, and a product of it.
pub(super) async fn shop(cache: Arc<dyn SharedCache>) -> (Stockroom, Arc<Product>) {
    let cache = Cache::shared_arc(cache).products(CachePolicy::new().tiers(Tiers::Shared));
    shop_with(cache).await
}

/// A shop with this cache, and a product of it.
pub(super) async fn shop_with(cache: Cache) -> (Stockroom, Arc<Product>) {
    let store = SlowStore::open().await;
    let shop = Stockroom::builder()
        .store_arc(store)
        .cache(cache)
        .deadline(Duration::from_secs(20));
    let shop = shop.open().await.unwrap();
    let mug = slow::mug(&shop, "MUG").await;
    (shop, mug)
}

/// Writes and reads, each read right.
pub(super) async fn works(shop: &Stockroom, mug: &mut Arc<Product>) {
    for _ in 0..3 {
        let title = format!("Mug {}", mug.version);
        *mug = shop
            .products()
            .update(mug, ProductPatch::new().title(title))
            .await
            .unwrap();
        for _ in 0..3 {
            assert_eq!(shop.products().get(mug.id).await.unwrap().as_ref(), Some(&*mug));
        }
    }
}

/// Reads until the shared tier answers again.
pub(super) async fn comes_back(shop: &Stockroom, mug: &Product) {
    let before = shop.cache().stats().hits_shared;
    until("a hit of the shared tier", async || {
        let found = shop.products().require(mug.id).await.unwrap();
        assert_eq!(found.version, mug.version);
        shop.cache().stats().hits_shared > before
    })
    .await;
}

/// Writes once and waits until readers see it: at once, or when the feed has repeated what the server was not told.
pub(super) async fn writes(shop: &Stockroom, mug: &mut Arc<Product>) {
    let title = format!("Cup {}", mug.version);
    *mug = shop
        .products()
        .update(mug, ProductPatch::new().title(title))
        .await
        .unwrap();
    until("the new version", async || {
        shop.products().require(mug.id).await.unwrap() == *mug
    })
    .await;
}

/// Reads so many times, each read right.
pub(super) async fn reads(shop: &Stockroom, mug: &Arc<Product>, times: usize) {
    for _ in 0..times {
        assert_eq!(shop.products().get(mug.id).await.unwrap().as_ref(), Some(mug));
    }
}
