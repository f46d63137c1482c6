//! The cache's part in writes: what is refused, what is repeated by the feed, what a hit costs nobody.

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::Consistency;
use stockroom::ErrorKind;
use stockroom::InProcessCache;
use stockroom::MemcachedCache;
use stockroom::NewProduct;
use stockroom::OnCacheDown;
use stockroom::Owner;
use stockroom::ProductPatch;
use stockroom::Stockroom;
use stockroom::Strategy;
use stockroom::Tiers;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Memcached;

use super::dying::writer_unheard;
use super::slow::SlowStore;
use crate::support::until;
use crate::support::usd;

fn strict() -> CachePolicy {
    CachePolicy::new().consistency(Consistency::Strict)
}

async fn open(cache: Cache) -> stockroom::Result<Stockroom> {
    Stockroom::builder()
        .url("sqlite::memory:")
        .cache(cache)
        .open()
        .await
}

#[tokio::test]
async fn strict_is_refused_where_it_cannot_be_kept() {
    let error = open(Cache::in_process().products(strict())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let Some(server) = engines::require(Memcached::shared().await).unwrap() else {
        return;
    };
    let cache = MemcachedCache::connect(server.address().to_string().as_str())
        .await
        .unwrap();
    let error = open(Cache::shared(cache).carts(strict())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_strict_write_fails_without_its_hold_unless_told_otherwise() {
    for (what, is_written) in [(OnCacheDown::Refuse, false), (OnCacheDown::Proceed, true)] {
        let cache = InProcessCache::new();
        let dead = cache.another();
        dead.close().await;
        let shop = open(Cache::shared(dead).products(strict()).on_cache_down(what))
            .await
            .unwrap();
        let created = shop
            .products()
            .create(NewProduct::new("Mug").variant("MUG", usd(9)))
            .await;
        let stats = shop.cache().stats();
        match created {
            Ok(mug) => {
                assert!(is_written);
                assert_eq!(shop.products().get(mug.id).await.unwrap(), Some(mug));
                assert_eq!((stats.holds_skipped, stats.holds_failed), (1, 0));
            }
            Err(error) => {
                assert!(!is_written);
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert_eq!((stats.holds_skipped, stats.holds_failed), (0, 1));
            }
        }
    }
}

#[tokio::test]
async fn a_refused_write_ends_its_hold() {
    let shop = open(Cache::shared(InProcessCache::new()).products(strict()))
        .await
        .unwrap();
    let mug = shop
        .products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9)))
        .await
        .unwrap();
    shop.products()
        .update(&mug, ProductPatch::new().title("Cup"))
        .await
        .unwrap();
    let stale = shop
        .products()
        .update(&mug, ProductPatch::new().title("Bowl"))
        .await
        .unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    for _ in 0..2 {
        assert_eq!(shop.products().require(mug.id).await.unwrap().title, "Cup");
    }
    let stats = shop.cache().stats();
    assert_eq!(
        (stats.bypassed_held, stats.hits_shared, stats.loads),
        (0, 1, 1),
        "{stats:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_repeats_what_a_writer_could_not_invalidate() {
    let (writer, reader) = writer_unheard().await;
    let mug = writer
        .products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9)))
        .await
        .unwrap();
    reader.products().require(mug.id).await.unwrap();
    writer
        .products()
        .update(&mug, ProductPatch::new().title("Cup"))
        .await
        .unwrap();
    until("the feed's invalidation", async || {
        reader.products().require(mug.id).await.unwrap().title == "Cup"
    })
    .await;
    reader.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_that_writes_through_leaves_the_value_for_the_next_reader() {
    let store = SlowStore::open().await;
    let policy = CachePolicy::new()
        .tiers(Tiers::Shared)
        .strategy(Strategy::WriteThrough);
    let shop = Stockroom::builder()
        .store_arc(store.clone())
        .cache(
            Cache::shared(InProcessCache::new())
                .products(policy)
                .without_listings(),
        )
        .without_background();
    let shop = shop.open().await.unwrap();
    let mug = shop
        .products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9)))
        .await
        .unwrap();
    until("the value written through", async || {
        shop.cache().stats().fills == 1
    })
    .await;
    assert_eq!(shop.products().get(mug.id).await.unwrap(), Some(mug));
    assert_eq!((store.loads.count(), shop.cache().stats().hits_shared), (1, 1));
}

#[tokio::test]
async fn a_cart_is_cached_until_it_changes() {
    let store = SlowStore::open().await;
    let shop = Stockroom::builder()
        .store_arc(store.clone())
        .cache(Cache::shared(InProcessCache::new()))
        .without_background();
    let shop = shop.open().await.unwrap();
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    for units in 1..=3 {
        shop.carts().add(cart.id, "MUG", 1).await.unwrap();
        for _ in 0..2 {
            let found = shop.carts().require(cart.id).await.unwrap();
            assert_eq!(found.lines[0].quantity.get(), units);
        }
    }
    let stats = shop.cache().stats();
    assert_eq!(
        (stats.loads, stats.hits_shared, stats.hits_in_process),
        (3, 3, 0),
        "{stats:?}"
    );
    shop.close().await;
}

#[tokio::test]
async fn after_a_restore_nothing_of_before_is_found() {
    let store = SlowStore::open().await;
    let shop = Stockroom::builder()
        .store_arc(store.clone())
        .cache(
            Cache::shared(InProcessCache::new())
                .products(CachePolicy::new().tiers(Tiers::Shared))
                .without_listings(),
        )
        .without_background();
    let shop = shop.open().await.unwrap();
    let mug = shop
        .products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9)))
        .await
        .unwrap();
    for _ in 0..2 {
        shop.products().require(mug.id).await.unwrap();
    }
    assert_eq!(store.loads.count(), 1);
    shop.after_restore().await.unwrap();
    shop.products().require(mug.id).await.unwrap();
    assert_eq!(store.loads.count(), 2);
}

#[tokio::test]
async fn a_closed_shop_serves_nothing_that_it_kept() {
    let shop = open(Cache::in_process()).await.unwrap();
    let mug = shop
        .products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9)))
        .await
        .unwrap();
    until("a hit", async || {
        shop.products().require(mug.id).await.unwrap();
        shop.cache().stats().hits_in_process > 0
    })
    .await;
    shop.close().await;
    assert!(shop.products().get(mug.id).await.is_err());
}
