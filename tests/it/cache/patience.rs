//! Writes that take longer than their deadline stay held; readers who have something older need not wait for a load.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::Consistency;
use stockroom::InProcessCache;
use stockroom::ProductPatch;
use stockroom::Tiers;

use super::slow::SlowStore;
use super::slow::mug;
use super::slow::open;
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_lasts_as_long_as_its_write_however_late_that_is() {
    let strict = CachePolicy::new().consistency(Consistency::Strict);
    let (store, cache) = (SlowStore::open().await, InProcessCache::new());
    let another = cache.another();
    let margin = Duration::from_millis(400);
    let writer = open(&store, Cache::shared(cache).products(strict).hold_margin(margin)).await;
    let reader = open(&store, Cache::shared(another).products(strict)).await;
    let mug = mug(&writer, "MUG").await;
    reader.products().require(mug.id).await.unwrap();

    store.loads.commits_gated.store(true, Ordering::SeqCst);
    let write = {
        let (hasty, mug) = (writer.with_deadline(Duration::from_millis(100)), Arc::clone(&mug));
        tokio::spawn(async move {
            hasty
                .products()
                .update(&mug, ProductPatch::new().title("Cup"))
                .await
        })
    };
    // By then the hold that it began with is over.
    until("holds that were lengthened", async || {
        writer.cache().stats().holds_renewed >= 3
    })
    .await;
    let before = reader.cache().stats().bypassed_held;
    assert_eq!(reader.products().require(mug.id).await.unwrap(), mug);
    assert_eq!(reader.cache().stats().bypassed_held, before + 1);

    store.loads.open_commits();
    drop(write.await.unwrap());
    until("a hit of what was written", async || {
        let hits = reader.cache().stats().hits_shared;
        let found = reader.products().require(mug.id).await.unwrap();
        found.title == "Cup" && reader.cache().stats().hits_shared > hits
    })
    .await;
    assert_eq!(writer.cache().stats().holds_lapsed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_is_behind_fills_nothing_and_one_that_is_not_spares_the_writer() {
    let policy = CachePolicy::new()
        .tiers(Tiers::Shared)
        .replica_bound(Duration::from_secs(5));
    let store = SlowStore::open().await;
    let shop = open(&store, Cache::shared(InProcessCache::new()).products(policy)).await;
    let mug = mug(&shop, "MUG").await;
    assert_eq!(shop.products().require(mug.id).await.unwrap(), mug);
    assert_eq!(
        (store.loads.replica.load(Ordering::SeqCst), store.loads.count()),
        (1, 0)
    );
    let cup = shop
        .products()
        .update(&mug, ProductPatch::new().title("Cup"))
        .await
        .unwrap();
    // The replica shows once more what it has shown before.
    for _ in 0..3 {
        assert_eq!(shop.products().require(mug.id).await.unwrap(), cup);
    }
    let stats = shop.cache().stats();
    assert_eq!(
        (stats.replica_behind, stats.loads, stats.hits_shared),
        (1, 2, 2),
        "{stats:?}"
    );
    assert_eq!(
        (store.loads.replica.load(Ordering::SeqCst), store.loads.count()),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_load_goes_on_while_its_readers_are_given_what_is_old() {
    let patient = CachePolicy::new().stale_if_error(Duration::from_secs(60));
    let hasty = patient.soft_timeout(Duration::from_millis(20));
    for tiers in [Tiers::Shared, Tiers::Both] {
        let store = SlowStore::open().await;
        let shop = open(
            &store,
            Cache::shared(InProcessCache::new()).products(hasty.tiers(tiers)),
        )
        .await;
        let mug = mug(&shop, "MUG").await;
        shop.products().require(mug.id).await.unwrap();
        let cup = shop
            .products()
            .update(&mug, ProductPatch::new().title("Cup"))
            .await
            .unwrap();
        store.loads.gated.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(shop.products().require(mug.id).await.unwrap(), mug);
        }
        let stats = shop.cache().stats();
        // One that comes as another one is answered is given the same answer.
        assert_eq!(
            (stats.stale_served + stats.waited, stats.loads),
            (3, 1),
            "{stats:?}"
        );
        assert!(stats.stale_served > 0, "{stats:?}");
        assert_eq!(store.loads.count(), 2, "one load, which goes on");
        store.loads.open_gate();
        until("what was loaded meanwhile", async || {
            shop.products().require(mug.id).await.unwrap() == cup
        })
        .await;
        assert_eq!(store.loads.count(), 2);
        assert_eq!(shop.cache().stats().refreshes, 1);
    }
}
