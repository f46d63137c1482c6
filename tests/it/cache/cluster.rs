//! Redis as a cluster: the whole contract over its slots, a master that gives its slots away, one that dies.

use std::sync::Arc;

use async_trait::async_trait;
use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::NewProduct;
use stockroom::RedisCache;
use stockroom::Result;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::testkit::cache;
use stockroom::testkit::cache::CacheHarness;
use stockroom::testkit::cache::CacheSetup;
use stockroom::testkit::engines;
use stockroom::testkit::engines::RedisCluster;

use super::servers::comes_back;
use super::servers::shop;
use super::servers::works;
use super::servers::writes;
use super::slow::SlowStore;
use crate::support::until;
use crate::support::usd;

/// Products of a batch: more than there are masters, by far.
const BATCH: usize = 100;

struct OnCluster(String);

#[async_trait]
impl CacheSetup for OnCluster {
    async fn fresh(&self) -> Result<CacheHarness> {
        let cache = RedisCache::connect(self.0.as_str()).await?;
        let another = RedisCache::connect(self.0.as_str()).await?;
        Ok(CacheHarness::new(Arc::new(cache), Arc::new(another)))
    }
}

async fn start() -> Option<RedisCluster> {
    engines::require(RedisCluster::start().await).unwrap()
}

async fn connect(cluster: &RedisCluster) -> Arc<RedisCache> {
    Arc::new(RedisCache::connect(cluster.url().as_str()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_conforms_and_serves_batches_over_its_slots() {
    let Some(cluster) = start().await else { return };
    let report = cache::run(&OnCluster(cluster.url())).await;
    println!("\nRedis cluster\n{report}\n");
    assert!(report.is_green());
    let left_out: Vec<_> = report.excluded().map(|outcome| outcome.case.bullet()).collect();
    assert_eq!(left_out, ["push.told", "push.sound"]);

    let store = SlowStore::open().await;
    let policy = CachePolicy::new().tiers(Tiers::Shared);
    let shop = Stockroom::builder().store_arc(store.clone()).cache(
        Cache::shared_arc(connect(&cluster).await)
            .products(policy)
            .without_listings(),
    );
    let shop = shop.open().await.unwrap();
    let rows = (0..BATCH).map(|index| NewProduct::new("Mug").variant(format!("MUG-{index}"), usd(9)));
    let created = shop.products().import(rows.collect()).await;
    let mugs: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    let ids: Vec<_> = mugs.iter().map(|mug| mug.id).collect();
    for _ in 0..2 {
        let found = shop.products().get_many(&ids).await.unwrap();
        assert!(found.iter().flatten().eq(&mugs));
    }
    let stats = shop.cache().stats();
    assert_eq!(
        (stats.hits_shared, store.loads.count()),
        (BATCH as u64, 1),
        "{stats:?}"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_hands_its_slots_over_is_followed() {
    let Some(cluster) = start().await else { return };
    let (shop, mut mug) = shop(connect(&cluster).await).await;
    works(&shop, &mut mug).await;
    cluster.hand_over().await.unwrap();
    writes(&shop, &mut mug).await;
    comes_back(&shop, &mug).await;
    works(&shop, &mut mug).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_dies_is_a_miss_until_its_replica_serves() {
    let Some(cluster) = start().await else { return };
    let store = SlowStore::open().await;
    let policy = CachePolicy::new().tiers(Tiers::Shared);
    let cache = Cache::shared_arc(connect(&cluster).await).products(policy);
    let shop = Stockroom::builder()
        .store_arc(store)
        .cache(cache)
        .open()
        .await
        .unwrap();
    let rows = (0..30).map(|index| NewProduct::new("Mug").variant(format!("MUG-{index}"), usd(9)));
    let created = shop.products().import(rows.collect()).await;
    let mut mugs: Vec<_> = created.into_iter().map(Result::unwrap).collect();
    for mug in &mut mugs {
        works(&shop, mug).await;
    }
    cluster.kill_master().await.unwrap();
    // Each of them is right at once, wherever its slot is; then each is a hit again.
    for _ in 0..3 {
        for mug in &mugs {
            assert_eq!(shop.products().get(mug.id).await.unwrap().as_ref(), Some(mug));
        }
    }
    until("hits of every slot", async || {
        let before = shop.cache().stats().hits_shared;
        for mug in &mugs {
            assert_eq!(shop.products().get(mug.id).await.unwrap().as_ref(), Some(mug));
        }
        shop.cache().stats().hits_shared - before == mugs.len() as u64
    })
    .await;
    for mug in &mut mugs {
        writes(&shop, mug).await;
    }
    shop.close().await;
}
