//! Connections that are refused, cut in the middle of a reply or killed, and calls that are given up: every read is right.

use std::sync::Arc;
use std::time::Duration;

use stockroom::Cache;
use stockroom::ErrorKind;
use stockroom::MemcachedCache;
use stockroom::RedisCache;
use stockroom::resilience::Deadline;
use stockroom::spi::cache::CacheKey;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::proxy::Line;
use stockroom::testkit::proxy::Proxy;

use super::cutter::Cutter;
use super::leases::put;
use super::leases::soon;
use super::servers::Server;
use super::servers::comes_back;
use super::servers::reads;
use super::servers::shop;
use super::servers::shop_with;
use super::servers::works;
use super::servers::writes;
use crate::support::Dice;
use crate::support::until;

/// Calls that are given up, in each way.
const GIVEN_UP: usize = 100;

async fn cut(server: Option<Server>) {
    let Some(server) = server else { return };
    let cutter = Cutter::start(server.address()).await;
    let (shop, mut mug) = shop(server.connect_at(cutter.address).await).await;
    works(&shop, &mut mug).await;
    for most in [10, 100, 1_000] {
        comes_back(&shop, &mug).await;
        let cuts = cutter.cuts();
        cutter.cut_within(most);
        reads(&shop, &mug, 50).await;
        until("a connection cut in the middle of a reply", async || {
            reads(&shop, &mug, 1).await;
            cutter.cuts() > cuts
        })
        .await;
        // What the server is not told of this one the feed repeats.
        writes(&shop, &mut mug).await;
        cutter.heal();
        until("a write that the server is told of", async || {
            let before = shop.cache().stats().invalidations_failed;
            writes(&shop, &mut mug).await;
            shop.cache().stats().invalidations_failed == before
        })
        .await;
    }
    comes_back(&shop, &mug).await;
    works(&shop, &mut mug).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replies_of_redis_that_are_cut_short_are_misses() {
    cut(Server::redis(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replies_of_memcached_that_are_cut_short_are_misses() {
    cut(Server::memcached().await).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_when_the_cache_connects() {
    let redis = RedisCache::connect("redis://127.0.0.1:1").await.unwrap_err();
    let memcached = MemcachedCache::connect("127.0.0.1:1").await.unwrap_err();
    for error in [redis, memcached] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_connections_and_flushed_scripts_are_mended() {
    let Some(server) = Server::redis(&[]).await else {
        return;
    };
    // Both tiers: the connection that hears the news is killed too.
    let (shop, mut mug) = shop_with(Cache::shared_arc(server.connect().await)).await;
    for _ in 0..5 {
        let before = shop.cache().stats();
        for line in [
            "CLIENT KILL TYPE normal SKIPME yes",
            "CLIENT KILL TYPE pubsub",
            "SCRIPT FLUSH SYNC",
        ] {
            server.say(line).await;
        }
        writes(&shop, &mut mug).await;
        until("the news, and a hit in the process", async || {
            reads(&shop, &mug, 1).await;
            let stats = shop.cache().stats();
            stats.doubts > before.doubts && stats.hits_in_process > before.hits_in_process
        })
        .await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_that_was_demoted_is_a_miss_until_it_takes_writes_again() {
    let Some(server) = Server::redis(&[]).await else {
        return;
    };
    let (shop, mut mug) = shop(server.connect().await).await;
    works(&shop, &mut mug).await;
    assert!(server.say("REPLICAOF 127.0.0.1 1").await.starts_with("+OK"));
    reads(&shop, &mug, 20).await;
    assert!(server.say("REPLICAOF NO ONE").await.starts_with("+OK"));
    comes_back(&shop, &mug).await;
    works(&shop, &mut mug).await;
    shop.close().await;
}

/// Every key has its own value or none; how many have one.
async fn own_values(cache: &dyn SharedCache, keys: &[CacheKey]) -> usize {
    let mut found = 0;
    for key in keys {
        // A connection that was given up may have to be opened anew.
        let Ok(entries) = cache.get_many(std::slice::from_ref(key), soon()).await else {
            continue;
        };
        for entry in entries.into_iter().flatten() {
            assert_eq!(entry.payload, key.as_str().as_bytes(), "another key's value");
            found += 1;
        }
    }
    found
}

async fn given_up(server: Option<Server>) {
    let Some(server) = server else { return };
    let cache = server.connect().await;
    let keys: Vec<_> = (0..10)
        .map(|index| CacheKey::new("given-up", "key", &index.to_string()))
        .collect();
    for key in &keys {
        put(&*cache, key).await;
    }
    let mut dice = Dice::new("given up");
    for turn in 0..GIVEN_UP {
        let (cache, key) = (Arc::clone(&cache), keys[turn % keys.len()].clone());
        let call = tokio::spawn(async move { drop(cache.get_many(&[key], soon()).await) });
        // Anywhere between its first step and its answer.
        for _ in 0..dice.below(20) {
            tokio::task::yield_now().await;
        }
        call.abort();
    }
    until("every value after calls that were given up", async || {
        own_values(&*cache, &keys).await == keys.len()
    })
    .await;

    // Now the answers are certainly on their way when nobody waits for them any more.
    server.freeze();
    for key in &keys {
        let late = Deadline::within(Duration::from_millis(20));
        let error = cache.get_many(std::slice::from_ref(key), late).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    }
    server.thaw();
    until("every value after answers that came too late", async || {
        own_values(&*cache, &keys).await == keys.len()
    })
    .await;
    cache.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_answer_to_a_call_of_redis_that_was_given_up_is_nobodys() {
    given_up(Server::redis(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_answer_to_a_call_of_memcached_that_was_given_up_is_nobodys() {
    given_up(Server::memcached().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_of_redis_ends_before_a_deadline_that_is_too_generous() {
    let Some(server) = Server::redis(&[]).await else {
        return;
    };
    let cache = server.connect().await;
    let key = CacheKey::new("hangs", "key", "1");
    put(&*cache, &key).await;
    server.freeze();
    // The client's own limits: by default it would wait for ever, for an answer and for a greeting.
    let deadline = Deadline::within(Duration::from_secs(60));
    cache
        .get_many(std::slice::from_ref(&key), deadline)
        .await
        .unwrap_err();
    assert!(!deadline.is_over());
    let url = format!("redis://{}", server.address());
    RedisCache::connect(url.as_str()).await.unwrap_err();
    server.thaw();
    until("the value", async || {
        own_values(&*cache, std::slice::from_ref(&key)).await == 1
    })
    .await;
    cache.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_line_of_redis_that_went_silent_is_opened_anew() {
    let Some(server) = Server::redis(&[]).await else {
        return;
    };
    let proxy = Proxy::start_opaque(server.address()).await.unwrap();
    let cache = server.connect_at(proxy.address()).await;
    let key = CacheKey::new("silent", "key", "1");
    put(&*cache, &key).await;
    proxy.set_line(Line::Silent).await;
    let before = proxy.counts().connections;
    until("another connection", async || {
        let late = Deadline::within(Duration::from_millis(50));
        drop(cache.get_many(std::slice::from_ref(&key), late).await);
        proxy.counts().connections > before
    })
    .await;
    proxy.heal().await;
    until("the value", async || {
        own_values(&*cache, std::slice::from_ref(&key)).await == 1
    })
    .await;
    cache.close().await;
}
