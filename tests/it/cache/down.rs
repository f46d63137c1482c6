//! Servers that freeze, restart empty or ask for a password: every read is right, and the cache comes back by itself.

use stockroom::ErrorKind;
use stockroom::ProductPatch;
use stockroom::RedisCache;
use stockroom::spi::cache::CacheKey;
use stockroom::spi::cache::Filled;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Redis;

use super::leases::fill;
use super::leases::lease;
use super::leases::soon;
use super::servers::Server;
use super::servers::comes_back;
use super::servers::shop;
use super::servers::works;
use crate::support::until;

async fn frozen(server: Option<Server>) {
    let Some(server) = server else { return };
    let (shop, mut mug) = shop(server.connect().await).await;
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
    let (shop, mut mug) = shop(server.connect().await).await;
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
async fn a_memcached_that_is_restarted_empty_is_filled_again() {
    restarted_empty(Server::memcached().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_of_before_a_restart_of_memcached_fits_nothing_after_it() {
    let Some(server) = Server::memcached().await else {
        return;
    };
    let cache = server.connect().await;
    let key = |number: usize| CacheKey::new("restart", "key", &number.to_string());
    let mut before = Vec::new();
    for number in 0..20 {
        before.push(lease(&*cache, &key(number)).await);
    }
    server.kill();
    server.restart();
    until("an answer of the restarted server", async || {
        cache.ping(soon()).await.is_ok()
    })
    .await;
    // It counts from the beginning: some lease of before has the number of this one.
    for number in 0..10 {
        let token = lease(&*cache, &key(number)).await;
        for old in &before {
            assert_eq!(fill(&*cache, &key(number), *old, "old").await, Filled::Void);
        }
        assert_eq!(fill(&*cache, &key(number), token, "new").await, Filled::Stored);
    }
    cache.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_password_is_asked_for_and_never_shown() {
    let server = engines::require(Redis::start_with(&["--requirepass", "secret-word"]).await).unwrap();
    let Some(server) = server else { return };
    let error = RedisCache::connect(server.url().as_str()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    let wrong = format!("redis://:wrong-word@{}", server.address());
    let error = RedisCache::connect(wrong.as_str()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert!(!format!("{error:?}").contains("wrong-word"));
    let right = format!("redis://:secret-word@{}", server.address());
    let cache = RedisCache::connect(right.as_str()).await.unwrap();
    assert!(!format!("{cache:?}").contains("secret-word"));
    cache.close().await;
}
