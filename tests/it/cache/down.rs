//! Servers that freeze, restart empty or forget their scripts: every read is right, and the cache comes back by itself.

use std::sync::Arc;
use std::time::Duration;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::MemcachedCache;
use stockroom::NewProduct;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::RedisCache;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Memcached;
use stockroom::testkit::engines::Redis;

use super::slow::SlowStore;
use crate::support::until;
use crate::support::usd;

/// A server that a test may hurt.
enum Server {
    Redis(Redis),
    Memcached(Memcached),
}

impl Server {
    async fn redis(arguments: &[&str]) -> Option<Self> {
        engines::require(Redis::start_with(arguments).await)
            .unwrap()
            .map(Self::Redis)
    }

    async fn memcached() -> Option<Self> {
        engines::require(Memcached::start().await)
            .unwrap()
            .map(Self::Memcached)
    }

    async fn connect(&self) -> Arc<dyn SharedCache> {
        match self {
            Self::Redis(server) => Arc::new(RedisCache::connect(server.url().as_str()).await.unwrap()),
            Self::Memcached(server) => {
                let address = server.address().to_string();
                Arc::new(MemcachedCache::connect(address.as_str()).await.unwrap())
            }
        }
    }

    fn freeze(&self) {
        match self {
            Self::Redis(server) => server.freeze(),
            Self::Memcached(server) => server.freeze(),
        }
        .unwrap();
    }

    fn thaw(&self) {
        match self {
            Self::Redis(server) => server.thaw(),
            Self::Memcached(server) => server.thaw(),
        }
        .unwrap();
    }

    fn kill(&self) {
        match self {
            Self::Redis(server) => server.kill(),
            Self::Memcached(server) => server.kill(),
        }
        .unwrap();
    }

    fn restart(&self) {
        match self {
            Self::Redis(server) => server.restart(),
            Self::Memcached(server) => server.restart(),
        }
        .unwrap();
    }
}

/// A shop on the server, and a product of it.
async fn shop(server: &Server) -> (Stockroom, Arc<Product>) {
    let store = SlowStore::open().await;
    let cache = Cache::shared_arc(server.connect().await).products(CachePolicy::new().tiers(Tiers::Shared));
    let shop = Stockroom::builder()
        .store_arc(store)
        .cache(cache)
        .deadline(Duration::from_secs(20));
    let shop = shop.open().await.unwrap();
    let mug = shop
        .products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9)))
        .await
        .unwrap();
    (shop, mug)
}

/// Writes and reads, each read right.
async fn works(shop: &Stockroom, mug: &mut Arc<Product>) {
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
async fn comes_back(shop: &Stockroom, mug: &Product) {
    let before = shop.cache().stats().hits_shared;
    until("a hit of the shared tier", async || {
        let found = shop.products().require(mug.id).await.unwrap();
        assert_eq!(found.version, mug.version);
        shop.cache().stats().hits_shared > before
    })
    .await;
}

async fn frozen(server: Option<Server>) {
    let Some(server) = server else { return };
    let (shop, mut mug) = shop(&server).await;
    works(&shop, &mut mug).await;
    comes_back(&shop, &mug).await;
    server.freeze();
    let failed = shop.cache().stats().shared_failed;
    // Of writes only one: what it could not tell a frozen server, the feed tells it when it goes on.
    mug = shop
        .products()
        .update(&mug, ProductPatch::new().title("Cup"))
        .await
        .unwrap();
    assert_eq!(shop.products().get(mug.id).await.unwrap().as_ref(), Some(&mug));
    for _ in 0..20 {
        assert_eq!(shop.products().get(mug.id).await.unwrap().as_ref(), Some(&mug));
    }
    let stats = shop.cache().stats();
    assert!(
        stats.shared_failed > failed && stats.shared_skipped > 0,
        "{stats:?}"
    );
    server.thaw();
    until("the feed's invalidation", async || {
        shop.products().require(mug.id).await.unwrap().version == mug.version
    })
    .await;
    comes_back(&shop, &mug).await;
    works(&shop, &mut mug).await;
    shop.close().await;
}

async fn restarted_empty(server: Option<Server>) {
    let Some(server) = server else { return };
    let (shop, mut mug) = shop(&server).await;
    works(&shop, &mut mug).await;
    comes_back(&shop, &mug).await;
    server.kill();
    works(&shop, &mut mug).await;
    server.restart();
    comes_back(&shop, &mug).await;
    works(&shop, &mut mug).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_redis_is_a_miss_and_comes_back() {
    frozen(Server::redis(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_memcached_is_a_miss_and_comes_back() {
    frozen(Server::memcached().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_that_is_restarted_empty_learns_its_scripts_again() {
    restarted_empty(Server::redis(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_memcached_that_is_restarted_empty_fits_no_lease_of_before() {
    restarted_empty(Server::memcached().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_without_memory_is_a_miss() {
    let arguments = ["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"];
    let Some(server) = Server::redis(&arguments).await else {
        return;
    };
    let (shop, mut mug) = shop(&server).await;
    works(&shop, &mut mug).await;
    assert_eq!(shop.cache().stats().hits_shared, 0, "{:?}", shop.cache().stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_password_is_asked_for_and_never_shown() {
    let server = engines::require(Redis::start_with(&["--requirepass", "secret-word"]).await).unwrap();
    let Some(server) = server else { return };
    let error = RedisCache::connect(server.url().as_str()).await.unwrap_err();
    assert_eq!(error.kind(), stockroom::ErrorKind::Unauthenticated, "{error:?}");
    let wrong = format!("redis://:wrong-word@{}", server.address());
    let error = RedisCache::connect(wrong.as_str()).await.unwrap_err();
    assert_eq!(error.kind(), stockroom::ErrorKind::Unauthenticated, "{error:?}");
    assert!(!format!("{error:?}").contains("wrong-word"));
    let right = format!("redis://:secret-word@{}", server.address());
    let cache = RedisCache::connect(right.as_str()).await.unwrap();
    assert!(!format!("{cache:?}").contains("secret-word"));
    cache.close().await;
}
