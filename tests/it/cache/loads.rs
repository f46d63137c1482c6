//! One load for all who want the same; loaders that panic, hang, or are dropped; batches.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::CacheStats;
use stockroom::ErrorKind;
use stockroom::InProcessCache;
use stockroom::Product;
use stockroom::ProductId;
use stockroom::ProductPatch;
use stockroom::Result;
use stockroom::Stockroom;
use stockroom::Tiers;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::slow::SlowStore;
use super::slow::mug;
use super::slow::open;
use crate::support::until;

/// Callers who want one key at once.
const CROWD: usize = 1_000;

type Reading = JoinHandle<Result<Option<Arc<Product>>>>;

/// Begins a read; returns once it waits for a load or is answered.
async fn begin(shop: &Stockroom, id: ProductId) -> Reading {
    let (shop, (begun, is_begun)) = (shop.clone(), oneshot::channel());
    let reading = tokio::spawn(async move {
        let products = shop.products();
        let mut read = pin!(products.get(id));
        let early = poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await;
        begun.send(()).unwrap();
        match early {
            Poll::Ready(found) => found,
            Poll::Pending => read.await,
        }
    });
    is_begun.await.unwrap();
    reading
}

/// Begins a thousand reads, lets all of them wait for the load, then lets the load go.
async fn crowd(shops: &[Stockroom], store: &SlowStore, id: ProductId) -> Vec<Option<Arc<Product>>> {
    store.loads.gated.store(true, Ordering::SeqCst);
    let readings = join_all((0..CROWD).map(|caller| begin(&shops[caller % shops.len()], id))).await;
    until("a load that all wait for", async || {
        store.loads.waiting.load(Ordering::SeqCst) > 0
    })
    .await;
    store.loads.open_gate();
    let found = join_all(readings).await;
    found.into_iter().map(|found| found.unwrap().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_misses_of_one_key_are_one_load() {
    let store = SlowStore::open().await;
    let writer = open(&store, Cache::in_process()).await;
    let (mug, other) = (mug(&writer, "MUG").await, mug(&writer, "OTHER").await);
    // A shop that was opened since hears nothing new of the mug.
    let shop = open(&store, Cache::in_process()).await;
    until("a hit", async || {
        shop.products().get(other.id).await.unwrap();
        shop.cache().stats().hits_in_process > 0
    })
    .await;
    let (loads, before) = (store.loads.count(), shop.cache().stats());
    let found = crowd(std::slice::from_ref(&shop), &store, mug.id).await;
    assert!(found.iter().all(|found| found.as_deref() == Some(&*mug)));
    assert_eq!(store.loads.count() - loads, 1);
    let stats = shop.cache().stats();
    let answered = |stats: &CacheStats| stats.hits_in_process + stats.waited;
    assert_eq!(
        (stats.loads - before.loads, answered(&stats) - answered(&before)),
        (1, CROWD as u64 - 1),
        "{stats:?}"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_misses_in_two_processes_are_one_lease() {
    let store = SlowStore::open().await;
    let cache = InProcessCache::new();
    let other = cache.another();
    let shops = [
        open(&store, Cache::shared(cache)).await,
        open(&store, Cache::shared(other)).await,
    ];
    let mug = mug(&shops[0], "MUG").await;
    let found = crowd(&shops, &store, mug.id).await;
    assert!(found.iter().all(|found| found.as_deref() == Some(&*mug)));
    assert_eq!(store.loads.count(), 1);
    let fills: u64 = shops.iter().map(|shop| shop.cache().stats().fills).sum();
    assert_eq!(fills, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_loader_has_panicked_the_next_caller_loads() {
    let store = SlowStore::open().await;
    for cache in [Cache::in_process(), Cache::shared(InProcessCache::new())] {
        let shop = open(&store, cache).await;
        let mug = mug(&shop, &format!("MUG-{}", store.loads.count())).await;
        store.loads.panics.store(true, Ordering::SeqCst);
        let error = shop.products().get(mug.id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        store.loads.panics.store(false, Ordering::SeqCst);
        assert_eq!(shop.products().get(mug.id).await.unwrap(), Some(mug));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_that_is_dropped_takes_nobodys_load_with_it() {
    let store = SlowStore::open().await;
    let shop = open(&store, Cache::in_process()).await;
    let mug = mug(&shop, "MUG").await;
    store.loads.gated.store(true, Ordering::SeqCst);
    let first = begin(&shop, mug.id).await;
    let second = begin(&shop, mug.id).await;
    until("a load", async || store.loads.count() == 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    store.loads.open_gate();
    assert_eq!(second.await.unwrap().unwrap(), Some(mug));
    assert_eq!(store.loads.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_comes_after_a_write_is_not_given_what_was_loaded_before_it() {
    for cache in [Cache::in_process(), Cache::shared(InProcessCache::new())] {
        let store = SlowStore::open().await;
        let shop = open(&store, cache).await;
        let mug = mug(&shop, "MUG").await;
        store.loads.gated.store(true, Ordering::SeqCst);
        let early = {
            let (shop, id) = (shop.clone(), mug.id);
            tokio::spawn(async move { shop.products().require(id).await.unwrap() })
        };
        until("a load", async || store.loads.waiting.load(Ordering::SeqCst) > 0).await;
        // Only that load waits, with the old value in its hands.
        store.loads.gated.store(false, Ordering::SeqCst);
        let cup = shop
            .products()
            .update(&mug, ProductPatch::new().title("Cup"))
            .await
            .unwrap();
        let late = shop.with_deadline(Duration::from_secs(5));
        assert_eq!(late.products().require(mug.id).await.unwrap(), cup);
        store.loads.open_gate();
        assert!(early.await.unwrap().version <= cup.version);
        for _ in 0..3 {
            assert_eq!(late.products().require(mug.id).await.unwrap(), cup);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_loader_has_hung_the_next_caller_loads() {
    let store = SlowStore::open().await;
    let shop = open(&store, Cache::in_process()).await;
    let mug = mug(&shop, "MUG").await;
    store.loads.gated.store(true, Ordering::SeqCst);
    let hasty = shop.with_deadline(Duration::from_millis(50));
    let error = hasty.products().get(mug.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    store.loads.open_gate();
    assert_eq!(shop.products().get(mug.id).await.unwrap(), Some(mug));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_asks_the_store_once_and_keeps_order() {
    let store = SlowStore::open().await;
    let shop = open(&store, Cache::shared(InProcessCache::new())).await;
    let (one, two, three) = (
        mug(&shop, "A").await,
        mug(&shop, "B").await,
        mug(&shop, "C").await,
    );
    shop.products().get(two.id).await.unwrap();
    let absent = ProductId::new();
    let asked = [three.id, absent, two.id, one.id, three.id];
    for _ in 0..3 {
        let found = shop.products().get_many(&asked).await.unwrap();
        let expected = [Some(&three), None, Some(&two), Some(&one), Some(&three)];
        assert_eq!(found, expected.map(Option::<&Arc<Product>>::cloned));
    }
    // One for the second product, one for all of the others, absent ones included.
    assert_eq!(store.loads.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_absent_is_remembered_until_it_is_there() {
    let store = SlowStore::open().await;
    let shop = open(
        &store,
        Cache::shared(InProcessCache::new()).products(CachePolicy::new().tiers(Tiers::Shared)),
    )
    .await;
    let mug = mug(&shop, "MUG").await;
    shop.products().delete(&mug).await.unwrap();
    for _ in 0..3 {
        assert_eq!(shop.products().get(mug.id).await.unwrap(), None);
    }
    assert_eq!(store.loads.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_value_is_given_while_the_store_is_down_where_the_policy_says_so() {
    let store = SlowStore::open().await;
    let keep = CachePolicy::new().tiers(Tiers::Shared);
    for (stale_for, is_given) in [(Duration::ZERO, false), (Duration::from_secs(60), true)] {
        let cache = Cache::shared(InProcessCache::new()).products(keep.stale_if_error(stale_for));
        let shop = open(&store, cache).await;
        let mug = mug(&shop, &format!("MUG-{is_given}")).await;
        shop.products().get(mug.id).await.unwrap();
        // The writer has told the cache that the value is old.
        shop.products()
            .update(&mug, ProductPatch::new().title("Cup"))
            .await
            .unwrap();
        store.loads.down.store(true, Ordering::SeqCst);
        let found = shop.products().get(mug.id).await;
        store.loads.down.store(false, Ordering::SeqCst);
        match is_given {
            true => assert_eq!(found.unwrap(), Some(mug)),
            false => assert_eq!(found.unwrap_err().kind(), ErrorKind::Unavailable),
        }
        assert_eq!(shop.cache().stats().stale_served, u64::from(is_given));
    }
}
