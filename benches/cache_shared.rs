//! A hit of the shared tier through `shop.products().get`, beside the raw client's own read of the same bytes, decoded as well.
//!
//! ```text
//! cargo bench --features full --bench cache_shared              # writes docs/benchmarks/cache_shared.md
//! cargo bench --features full --bench cache_shared -- --quick   # once, writes nothing
//! ```

mod cached;

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use async_memcached::MetaProtocol;
use cached::Chart;
use cached::Group;
use cached::Machine;
use cached::Result;
use cached::Table;
use cached::grouped;
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
use stockroom::testkit::cache::decode_product;
use stockroom::testkit::engines::Memcached;
use stockroom::testkit::engines::Redis;
use stockroom::testkit::engines::require;

/// Keys of a batch.
const BATCH: usize = 100;

/// What is in front of a payload: what the cache's own servers know of an entry.
const REDIS_HEADER: usize = 49;
const MEMCACHED_HEADER: usize = 12;

/// The raw client that the shop's reads are compared with.
enum Raw {
    Redis(fred::clients::Client),
    Memcached(async_memcached::Client),
}

impl Raw {
    /// Reads these entries and decodes them; how many there were.
    async fn get(&mut self, names: &[String]) -> Result<usize> {
        let decoded =
            |entry: &[u8], header: usize| entry.get(header..).and_then(decode_product).map(black_box);
        Ok(match self {
            Self::Redis(client) if names.len() == 1 => {
                let found: Option<bytes::Bytes> = client.get(&names[0]).await?;
                found
                    .and_then(|entry| decoded(&entry, REDIS_HEADER))
                    .iter()
                    .count()
            }
            Self::Redis(client) => {
                let found: Vec<Option<bytes::Bytes>> = client.mget(names.to_vec()).await?;
                found
                    .iter()
                    .flatten()
                    .filter_map(|entry| decoded(entry, REDIS_HEADER))
                    .count()
            }
            Self::Memcached(client) if names.len() == 1 => {
                let found = client.meta_get(&names[0], false, None, Some(&["v"])).await?;
                let data = found.and_then(|item| item.data);
                data.and_then(|entry| decoded(&entry, MEMCACHED_HEADER))
                    .iter()
                    .count()
            }
            Self::Memcached(client) => {
                let found = client.meta_get_multi(names, Some(&["v"])).await?;
                let data = found.iter().filter_map(|item| item.data.as_deref());
                data.filter_map(|entry| decoded(entry, MEMCACHED_HEADER)).count()
            }
        })
    }
}

/// One line of the table, in microseconds.
struct Line {
    name: String,
    shop: [f64; 2],
    raw: [f64; 2],
}

#[tokio::main]
async fn main() -> Result<()> {
    let reads = if cached::is_quick() { 50 } else { 40_000 };
    let (mut lines, mut machine) = (Vec::new(), Machine::look());
    if let Some(server) = require(Redis::start().await)? {
        let client = fred::types::Builder::from_config(fred::types::config::Config::from_url(&server.url())?)
            .build()?;
        client.init().await?;
        let cache = Cache::shared(RedisCache::connect(server.url().as_str()).await?);
        lines.extend(compare("Redis", cache, (Raw::Redis(client), "{", "}"), reads).await?);
        machine.add("Redis", version("redis-server", "v="));
    }
    if let Some(server) = require(Memcached::start().await)? {
        let address = server.address().to_string();
        let client = async_memcached::Client::new(server.url()).await?;
        let cache = Cache::shared(MemcachedCache::connect(address.as_str()).await?);
        lines.extend(compare("Memcached", cache, (Raw::Memcached(client), "", ""), reads).await?);
        machine.add("Memcached", version("memcached", "memcached "));
    }
    println!("{}\n{}", table(&lines).text(), machine.markdown());
    if !cached::is_quick() {
        cached::write_report("cache_shared", &markdown(&lines, &machine, reads), &chart(&lines))?;
    }
    Ok(())
}

/// What a server says of itself after a word.
fn version(program: &str, word: &str) -> String {
    let output = std::process::Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let after = text
        .split_once(word)
        .and_then(|(_, rest)| rest.split_whitespace().next());
    after.unwrap_or("unknown").to_owned()
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(&[
        "microseconds",
        "stockroom p50",
        "p99",
        "raw client p50",
        "p99",
        "p50 ÷ p50",
    ]);
    for Line { name, shop, raw } in lines {
        table.row(vec![
            name.clone(),
            grouped(shop[0]),
            grouped(shop[1]),
            grouped(raw[0]),
            grouped(raw[1]),
            format!("{:.2}", shop[0] / raw[0]),
        ]);
    }
    table
}

fn chart(lines: &[Line]) -> String {
    let group = |line: &Line| Group {
        name: line.name.clone(),
        values: vec![line.shop[0], line.raw[0]],
    };
    let chart = Chart {
        title: "Microseconds a hit of the shared tier, p50 (less is better)",
        series: vec!["stockroom", "raw client"],
        groups: lines.iter().map(group).collect(),
    };
    chart.svg()
}

fn markdown(lines: &[Line], machine: &Machine, reads: usize) -> String {
    format!(
        "# A hit of the shared tier\n\nWritten by `cargo bench --features full --bench cache_shared`; every run replaces it.\n\n\
         ![Microseconds a hit of the shared tier](cache_shared.svg)\n\n{}\n\
         - **stockroom**: `shop.products().get(id)`, or `get_many` of {BATCH}, kept in the shared tier alone: deadline, breaker, freshness and \
         version are looked at, the value decoded, the read counted.\n\
         - **raw client**: fred's `GET` (`MGET`), async-memcached's `mg` (pipelined for many) of the same entries on one connection, with the client's \
         defaults and no deadline, and the payload decoded by the same code.\n\
         - {} reads of one key each, in turns; a tenth of that of a batch. One caller, loopback.\n\n{}",
        table(lines).markdown(),
        grouped(reads as f64),
        machine.markdown()
    )
}

async fn compare(
    name: &str,
    cache: Cache,
    (mut raw, open, close): (Raw, &str, &str),
    reads: usize,
) -> Result<Vec<Line>> {
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
    let mut lines = Vec::new();
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
        lines.push(Line {
            name: format!("{name}, {case}"),
            shop: percentiles(own),
            raw: percentiles(other),
        });
    }
    let stats = shop.cache().stats();
    if stats.loads > BATCH as u64 || stats.bypassed_down > 0 {
        return Err(format!("{name}: not every read was a hit: {stats:?}").into());
    }
    shop.close().await;
    Ok(lines)
}

/// The median and the 99th percentile in microseconds.
fn percentiles(mut samples: Vec<Duration>) -> [f64; 2] {
    samples.sort();
    [50, 99].map(|percent| {
        let rank = (samples.len() * percent).div_ceil(100).max(1) - 1;
        samples[rank].as_secs_f64() * 1e6
    })
}
