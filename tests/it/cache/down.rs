//! Servers that freeze, restart empty or ask for a password: every read is right, and the cache comes back by itself.

use stockroom::ErrorKind;
use stockroom::ProductPatch;
use stockroom::RedisCache;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Redis;

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
async fn a_memcached_that_is_restarted_empty_fits_no_lease_of_before() {
    restarted_empty(Server::memcached().await).await;
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
