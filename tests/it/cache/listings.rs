//! Pages of lists, slugs and SKUs through the cache: what changes where a product belongs is seen at once.

use std::sync::Arc;
use std::time::Duration;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::Consistency;
use stockroom::Currency;
use stockroom::ErrorKind;
use stockroom::InProcessCache;
use stockroom::NewProduct;
use stockroom::PageRequest;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::ProductQuery;
use stockroom::ProductStatus;
use stockroom::Slug;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::spi::store::ProductOrder;

use super::dying::writer_unheard;
use super::slow::SlowStore;
use crate::support::until;
use crate::support::usd;

fn slug(name: &str) -> Slug {
    Slug::new(name).unwrap()
}

fn of(category: &str) -> ProductQuery {
    ProductQuery::new().category(slug(category))
}

/// A shop that keeps products and pages in the shared tier alone, and feeds no sink.
async fn shop(store: &Arc<SlowStore>, cache: InProcessCache) -> Stockroom {
    let cache = Cache::shared(cache).products(CachePolicy::new().tiers(Tiers::Shared));
    let builder = Stockroom::builder().store_arc(Arc::<SlowStore>::clone(store));
    builder.cache(cache).without_background().open().await.unwrap()
}

async fn create(shop: &Stockroom, name: &str, category: &str) -> Arc<Product> {
    let new = NewProduct::new(name)
        .category(category)
        .variant(format!("SKU-{}", name.replace(' ', "-")), usd(9));
    shop.products().create(new).await.unwrap()
}

async fn titles(shop: &Stockroom, query: &ProductQuery) -> Vec<String> {
    let page = shop.products().list(query, PageRequest::default()).await.unwrap();
    page.items.iter().map(|product| product.title.clone()).collect()
}

async fn two_shops() -> (Arc<SlowStore>, Stockroom, Stockroom) {
    let store = SlowStore::open().await;
    let cache = InProcessCache::new();
    let another = cache.another();
    let (writer, reader) = (shop(&store, cache).await, shop(&store, another).await);
    (store, writer, reader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_is_loaded_once_for_all_processes() {
    let (_store, writer, reader) = two_shops().await;
    create(&writer, "Mug", "mugs").await;
    for shop in [&writer, &reader, &writer, &reader] {
        assert_eq!(titles(shop, &of("mugs")).await, ["Mug"]);
    }
    let (one, other) = (writer.cache().stats(), reader.cache().stats());
    assert_eq!((one.lists_loaded, one.lists_hit), (1, 1), "{one:?}");
    assert_eq!((other.lists_loaded, other.lists_hit), (0, 2), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_product_that_moves_changes_both_lists_and_no_third() {
    let (_store, writer, reader) = two_shops().await;
    let mug = create(&writer, "Mug", "mugs").await;
    create(&writer, "Cup", "cups").await;
    create(&writer, "Jar", "jars").await;
    for category in ["mugs", "cups", "jars"] {
        titles(&reader, &of(category)).await;
    }
    let loaded = reader.cache().stats().lists_loaded;
    let patch = ProductPatch::new().category(Some(slug("cups")));
    writer.products().update(&mug, patch).await.unwrap();
    assert_eq!(titles(&reader, &of("mugs")).await, Vec::<String>::new());
    assert_eq!(titles(&reader, &of("cups")).await, ["Cup", "Mug"]);
    assert_eq!(titles(&reader, &of("jars")).await, ["Jar"]);
    assert_eq!(reader.cache().stats().lists_loaded - loaded, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_created_deleted_hidden_or_priced_anew_is_seen_in_its_lists() {
    let (_store, writer, reader) = two_shops().await;
    let by_price = of("mugs").order(ProductOrder::PriceAscending);
    let cheap = of("mugs").price(Currency::USD, None, Some(usd(10).minor()));
    let every = ProductQuery::new();
    let one = create(&writer, "One", "mugs").await;
    let see = async |query: &ProductQuery| titles(&reader, query).await;
    for query in [&by_price, &cheap, &every] {
        assert_eq!(see(query).await, ["One"]);
    }
    let two = create(&writer, "Two", "mugs").await;
    assert_eq!(see(&by_price).await, ["One", "Two"]);
    assert_eq!(see(&every).await, ["Two", "One"]);

    let mut variant = one.variants[0].clone();
    variant.prices = vec![stockroom::Price::new(usd(11))];
    let dear = ProductPatch::new().variants(vec![variant]);
    let one = writer.products().update(&one, dear).await.unwrap();
    assert_eq!(see(&by_price).await, ["Two", "One"]);
    assert_eq!(see(&cheap).await, ["Two"]);

    let hidden = ProductPatch::new().status(ProductStatus::Archived);
    writer.products().update(&two, hidden).await.unwrap();
    assert_eq!(see(&by_price).await, ["One"]);
    writer.products().delete(&one).await.unwrap();
    assert_eq!(see(&by_price).await, Vec::<String>::new());
    assert_eq!(see(&every).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_follow_each_other_and_a_strange_cursor_is_refused() {
    let (_store, writer, reader) = two_shops().await;
    for index in 0..7 {
        create(&writer, &format!("Mug {index}"), "mugs").await;
    }
    for _ in 0..2 {
        let (mut seen, mut request) = (Vec::new(), PageRequest::new(3).unwrap());
        loop {
            let page = reader.products().list(&of("mugs"), request).await.unwrap();
            seen.extend(page.items.iter().map(|product| product.title.clone()));
            let Some(next) = page.next else { break };
            let other = reader
                .products()
                .list(&of("cups"), PageRequest::new(3).unwrap().after(next.clone()))
                .await;
            assert_eq!(other.unwrap_err().kind(), ErrorKind::InvalidInput);
            request = PageRequest::new(3).unwrap().after(next);
        }
        let expected: Vec<_> = (0..7).rev().map(|index| format!("Mug {index}")).collect();
        assert_eq!(seen, expected);
    }
    let stats = reader.cache().stats();
    assert_eq!((stats.lists_loaded, stats.lists_hit), (3, 3), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_of_what_is_in_stock_and_without_a_tier_go_to_the_store() {
    let store = SlowStore::open().await;
    let shared = shop(&store, InProcessCache::new()).await;
    create(&shared, "Mug", "mugs").await;
    let alone = Stockroom::builder()
        .store_arc(store)
        .cache(Cache::in_process())
        .open();
    let alone = alone.await.unwrap();
    for _ in 0..2 {
        assert!(titles(&shared, &of("mugs").in_stock()).await.is_empty());
        assert_eq!(titles(&alone, &of("mugs")).await, ["Mug"]);
    }
    let stats = shared.cache().stats();
    assert_eq!(
        (stats.lists_bypassed, stats.lists_hit, stats.lists_loaded),
        (2, 0, 0)
    );
    assert_eq!(alone.cache().stats().lists_loaded, 0);
    alone.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_outdates_the_lists_that_a_writer_could_not() {
    let (writer, reader) = writer_unheard().await;
    let mug = create(&writer, "Mug", "mugs").await;
    for category in ["mugs", "cups"] {
        titles(&reader, &of(category)).await;
    }
    let patch = ProductPatch::new().category(Some(slug("cups")));
    writer.products().update(&mug, patch).await.unwrap();
    until("the feed's word", async || {
        titles(&reader, &of("mugs")).await.is_empty() && titles(&reader, &of("cups")).await == ["Mug"]
    })
    .await;
    reader.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cache_that_is_away_is_passed_by_and_strict_lists_are_refused() {
    let cache = InProcessCache::new();
    let dead = cache.another();
    stockroom::spi::cache::SharedCache::close(&dead).await;
    let shop = shop(&SlowStore::open().await, dead).await;
    create(&shop, "Mug", "mugs").await;
    for _ in 0..3 {
        assert_eq!(titles(&shop, &of("mugs")).await, ["Mug"]);
    }
    assert_eq!(shop.cache().stats().lists_bypassed, 3);
    let strict = Cache::shared(cache).listings(CachePolicy::new().consistency(Consistency::Strict));
    let opened = Stockroom::builder()
        .url("sqlite::memory:")
        .cache(strict)
        .open()
        .await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_that_are_kept_for_their_time_are_loaded_again_after_it() {
    let store = SlowStore::open().await;
    let pages = CachePolicy::new()
        .consistency(Consistency::Ttl)
        .keep(Duration::from_millis(200));
    let cache = Cache::shared(InProcessCache::new()).listings(pages);
    let shop = Stockroom::builder()
        .store_arc(store)
        .cache(cache)
        .without_background();
    let shop = shop.open().await.unwrap();
    create(&shop, "Mug", "mugs").await;
    titles(&shop, &of("mugs")).await;
    create(&shop, "Cup", "mugs").await;
    until("the new page", async || {
        titles(&shop, &of("mugs")).await == ["Cup", "Mug"]
    })
    .await;
    assert_eq!(shop.cache().stats().tags_raised, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slug_and_a_sku_are_hits_and_may_move_to_another_product() {
    let (_store, writer, reader) = two_shops().await;
    let mug = create(&writer, "Mug", "mugs").await;
    let (name, sku) = (mug.slug.clone(), mug.variants[0].sku.clone());
    for _ in 0..3 {
        assert_eq!(
            reader.products().find_by_slug(&name).await.unwrap().as_ref(),
            Some(&mug)
        );
        assert_eq!(
            reader.products().find_by_sku(sku.clone()).await.unwrap().as_ref(),
            Some(&mug)
        );
    }
    let stats = reader.cache().stats();
    assert_eq!((stats.loads, stats.hits_shared), (1, 3), "{stats:?}");

    let other = ProductPatch::new().slug("another-name");
    let mug = writer.products().update(&mug, other).await.unwrap();
    assert_eq!(reader.products().find_by_slug(&name).await.unwrap(), None);
    writer.products().delete(&mug).await.unwrap();
    let new = NewProduct::new("Cup")
        .slug(name.as_str())
        .variant(sku.clone(), usd(7));
    let cup = writer.products().create(new).await.unwrap();
    assert_eq!(
        reader.products().find_by_slug(&name).await.unwrap().as_ref(),
        Some(&cup)
    );
    let both = [sku.clone(), stockroom::Sku::new("NONE").unwrap(), sku];
    let found = reader.products().find_by_skus(&both).await.unwrap();
    assert_eq!(found, [Some(cup.clone()), None, Some(cup)]);
}
