//! Servers without memory to spare: what they refuse or evict is a miss, never an error and never another's value.

use std::sync::Arc;
use std::time::Duration;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::MemcachedCache;
use stockroom::MemcachedOptions;
use stockroom::NewProduct;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::spi::cache::CacheKey;
use stockroom::spi::cache::Filled;
use stockroom::spi::cache::SharedCache;

use super::leases::fill;
use super::leases::lease;
use super::leases::soon;
use super::servers::Server;
use super::servers::comes_back;
use super::servers::shop;
use super::servers::works;
use super::slow::SlowStore;
use crate::support::Dice;
use crate::support::usd;

/// Products that together are larger than the servers of these tests.
const PRODUCTS: usize = 400;

/// A text that no compression makes shorter by much.
fn noise(dice: &mut Dice) -> String {
    (0..1_200).map(|_| format!("{:016x}", dice.draw())).collect()
}

async fn filled(server: &Server) -> (Stockroom, Vec<Arc<Product>>) {
    let cache = Cache::shared_arc(server.connect().await).products(CachePolicy::new().tiers(Tiers::Shared));
    let shop = Stockroom::builder()
        .store_arc(SlowStore::open().await)
        .cache(cache)
        .deadline(Duration::from_secs(20));
    let shop = shop.open().await.unwrap();
    let mut dice = Dice::new("crowded");
    let rows = (0..PRODUCTS).map(|index| {
        NewProduct::new("Mug")
            .description(noise(&mut dice))
            .variant(format!("MUG-{index}"), usd(9))
    });
    let rows = rows.collect();
    let created = shop.products().import(rows).await;
    (shop, created.into_iter().map(Result::unwrap).collect())
}

/// Reads every product twice and changes some, each read right; gives the server's count of what it evicted.
async fn evicts(server: Option<Server>, ask: &str, counter: &str) {
    let Some(server) = server else { return };
    let (shop, mut products) = filled(&server).await;
    for turn in 0..3 {
        for product in &mut products {
            assert_eq!(
                shop.products().get(product.id).await.unwrap().as_ref(),
                Some(&*product)
            );
        }
        for product in products.iter_mut().skip(turn).step_by(37) {
            *product = shop
                .products()
                .update(product, ProductPatch::new().title("Cup"))
                .await
                .unwrap();
            assert_eq!(
                shop.products().get(product.id).await.unwrap().as_ref(),
                Some(&*product)
            );
        }
    }
    let answer = server.say(ask).await;
    let count = answer
        .lines()
        .find_map(|line| line.strip_prefix(counter))
        .map(|count| count.trim().parse::<u64>().unwrap());
    assert!(count > Some(0), "{answer}");
    comes_back(&shop, &products[0]).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_redis_evicts_is_a_miss() {
    let server = Server::redis(&["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru"]).await;
    evicts(server, "INFO stats", "evicted_keys:").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_memcached_evicts_is_a_miss() {
    let server = Server::memcached_with(&["-m", "2"]).await;
    evicts(server, "stats", "STAT evictions ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_without_memory_is_a_miss() {
    let arguments = ["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"];
    let Some(server) = Server::redis(&arguments).await else {
        return;
    };
    let (shop, mut mug) = shop(server.connect().await).await;
    works(&shop, &mut mug).await;
    assert_eq!(shop.cache().stats().hits_shared, 0, "{:?}", shop.cache().stats());
    assert!(server.say("CONFIG SET maxmemory 100mb").await.starts_with("+OK"));
    comes_back(&shop, &mug).await;
    works(&shop, &mut mug).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_memcached_that_refuses_rather_than_evicts_is_a_miss() {
    let Some(server) = Server::memcached_with(&["-m", "2", "-M"]).await else {
        return;
    };
    let (shop, products) = filled(&server).await;
    for _ in 0..2 {
        for product in &products {
            assert_eq!(
                shop.products().get(product.id).await.unwrap().as_ref(),
                Some(product)
            );
        }
    }
    server.say("flush_all").await;
    comes_back(&shop, &products[0]).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_value_over_the_servers_limit_is_not_stored_and_the_cache_works_on() {
    let Some(server) = Server::memcached().await else {
        return;
    };
    // The server takes less than the client believes.
    let options = MemcachedOptions::new([server.address().to_string()])
        .value_limit(16 * 1024 * 1024)
        .connections(1);
    let cache = MemcachedCache::connect(options).await.unwrap();
    for (length, filled) in [
        (4 * 1024 * 1024, Filled::TooLarge),
        (4 * 1024, Filled::Stored),
        (2 * 1024 * 1024, Filled::TooLarge),
        (1, Filled::Stored),
    ] {
        let key = CacheKey::new("large", "key", &length.to_string());
        let token = lease(&cache, &key).await;
        assert_eq!(fill(&cache, &key, token, vec![7; length]).await, filled);
        let found = cache.get_many(std::slice::from_ref(&key), soon()).await.unwrap();
        assert_eq!(found[0].is_some(), filled == Filled::Stored, "{length}");
    }
    cache.close().await;
}
