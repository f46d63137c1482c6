//! A hit of the shared tier through `shop.products().get`, beside the raw client's own read of the same bytes.
//!
//! ```text
//! cargo bench --features full --bench cache_shared              # Redis and Memcached, one key and a batch of a hundred
//! cargo bench --features full --bench cache_shared -- --test    # once
//! ```

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use async_memcached::MetaProtocol;
use fred::interfaces::ClientLike;
use fred::interfaces::KeysInterface;
use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::Currency;
use stockroom::MemcachedCache;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::ProductId;
use stockroom::RedisCache;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::spi::cache::CacheKey;
use stockroom::testkit::engines::Memcached;
use stockroom::testkit::engines::Redis;
use stockroom::testkit::engines::require;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Keys of a batch.
const BATCH: usize = 100;

/// The raw client that the shop's reads are compared with.
enum Raw {
    Redis(fred::clients::Client),
    Memcached(async_memcached::Client),
}

impl Raw {
    async fn get(&mut self, names: &[String]) -> Result<usize> {
        Ok(match self {
            Self::Redis(client) if names.len() == 1 => client
                .get::<Option<bytes::Bytes>, _>(&names[0])
                .await?
                .iter()
                .count(),
            Self::Redis(client) => client
                .mget::<Vec<Option<bytes::Bytes>>, _>(names.to_vec())
                .await?
                .iter()
                .flatten()
                .count(),
            Self::Memcached(client) => client.meta_get_multi(names, Some(&["v"])).await?.len(),
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let is_test = std::env::args().any(|argument| argument == "--test" || argument == "--quick");
    let reads = if is_test { 50 } else { 20_000 };
    println!(
        "{:<28} {:>10} {:>10} {:>8}",
        "microseconds, p50", "shop", "raw", "ratio"
    );
    if let Some(server) = require(Redis::start().await)? {
        let client = fred::types::Builder::from_config(fred::types::config::Config::from_url(&server.url())?)
            .build()?;
        client.init().await?;
        let cache = Cache::shared(RedisCache::connect(server.url().as_str()).await?);
        compare("Redis", cache, (Raw::Redis(client), "{", "}"), reads).await?;
    }
    if let Some(server) = require(Memcached::start().await)? {
        let address = server.address().to_string();
        let client = async_memcached::Client::new(server.url()).await?;
        let cache = Cache::shared(MemcachedCache::connect(address.as_str()).await?);
        compare("Memcached", cache, (Raw::Memcached(client), "", ""), reads).await?;
    }
    Ok(())
}

async fn compare(
    name: &str,
    cache: Cache,
    (mut raw, open, close): (Raw, &str, &str),
    reads: usize,
) -> Result<()> {
    let policy = CachePolicy::new()
        .tiers(Tiers::Shared)
        .keep(Duration::from_secs(3600));
    let cache = cache
        .namespace("bench")
        .products(policy)
        .read_timeout(Duration::from_secs(5));
    let shop = Stockroom::builder()
        .url("sqlite::memory:")
        .cache(cache)
        .without_background()
        .open()
        .await?;
    let price = Money::new(9_00, Currency::USD);
    let rows = (0..BATCH)
        .map(|index| NewProduct::new(format!("Mug {index}")).variant(format!("MUG-{index}"), price));
    let mut ids: Vec<ProductId> = Vec::new();
    for created in shop.products().import(rows.collect()).await {
        ids.push(created?.id);
    }
    let named = |id: &ProductId| {
        let key = CacheKey::new("bench", "product.0", &id.uuid().simple().to_string());
        format!("{open}{key}{close}")
    };
    let names: Vec<String> = ids.iter().map(named).collect();
    shop.products().get_many(&ids).await?;
    for (case, count) in [("one key", 1), ("a hundred keys", BATCH)] {
        let found = raw.get(&names[..count]).await?;
        if found != count {
            return Err(format!("{name}: the raw client found {found} of {count}").into());
        }
        let (mut own, mut other) = (Vec::new(), Vec::new());
        // In turns, so that what disturbs the machine disturbs both.
        for _ in 0..reads / count.isqrt() {
            let start = Instant::now();
            match count {
                1 => drop(black_box(shop.products().get(ids[0]).await?)),
                _ => drop(black_box(shop.products().get_many(&ids).await?)),
            }
            own.push(start.elapsed());
            let start = Instant::now();
            black_box(raw.get(&names[..count]).await?);
            other.push(start.elapsed());
        }
        let (own, other) = (median(own), median(other));
        println!(
            "{:<28} {own:>10.1} {other:>10.1} {:>8.2}",
            format!("{name}, {case}"),
            own / other
        );
    }
    let stats = shop.cache().stats();
    println!(
        "{name}: {} hits of the shared tier, {} loads",
        stats.hits_shared, stats.loads
    );
    shop.close().await;
    Ok(())
}

/// The median in microseconds.
fn median(mut samples: Vec<Duration>) -> f64 {
    samples.sort();
    samples[samples.len() / 2].as_secs_f64() * 1e6
}
