//! A hit in process through `shop.products().get`, beside the map that it is kept in and a `HashMap` behind a lock.
//!
//! ```text
//! cargo bench --features full --bench cache_hit              # one key, 100,000 keys, two tasks
//! cargo bench --features full --bench cache_hit -- --test    # once, with few keys
//! ```
//!
//! Fails where a hit allocates.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::RwLock;
use std::time::Duration;
use std::time::Instant;

use quick_cache::sync::Cache as RawCache;
use stats_alloc::INSTRUMENTED_SYSTEM;
use stats_alloc::Region;
use stats_alloc::StatsAlloc;
use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::Currency;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Product;
use stockroom::ProductId;
use stockroom::Stockroom;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Rounds of each way, in turns; the median counts.
const ROUNDS: usize = 7;

/// What is run.
#[derive(Clone, Copy)]
struct Pace {
    keys: usize,
    reads: usize,
}

/// The same products in three places.
struct Places {
    shop: Stockroom,
    raw: RawCache<ProductId, Arc<Product>>,
    locked: RwLock<HashMap<ProductId, Arc<Product>>>,
    ids: Vec<ProductId>,
}

fn main() -> Result<()> {
    let is_test = std::env::args().any(|argument| argument == "--test" || argument == "--quick");
    let pace = match is_test {
        true => Pace {
            keys: 500,
            reads: 20_000,
        },
        false => Pace {
            keys: 100_000,
            reads: 2_000_000,
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(pace))
}

async fn run(pace: Pace) -> Result<()> {
    let places = Arc::new(fill(pace.keys).await?);
    no_allocation(&places).await?;
    println!(
        "{:<26} {:>12} {:>12} {:>12}",
        "ns a hit (median)", "shop", "quick_cache", "HashMap"
    );
    for (name, keys, tasks) in [
        ("one key", 1, 1),
        ("every key", pace.keys, 1),
        ("one key, two tasks", 1, 2),
        ("every key, two tasks", pace.keys, 2),
    ] {
        let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for turn in 0..3 {
                let way = (round + turn) % 3;
                rounds[way].push(round_of(&places, (way, keys, tasks), pace.reads).await?);
            }
        }
        let [shop, raw, locked] = rounds.map(median);
        println!("{name:<26} {shop:>12.1} {raw:>12.1} {locked:>12.1}");
    }
    let stats = places.shop.cache().stats();
    println!(
        "{} hits in process, {} loads, {} entries",
        stats.hits_in_process, stats.loads, stats.entries
    );
    places.shop.close().await;
    Ok(())
}

/// The median of a way's rounds.
fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

async fn fill(keys: usize) -> Result<Places> {
    let policy = CachePolicy::new().keep(Duration::from_secs(24 * 3600));
    let cache = Cache::in_process()
        .capacity(4 << 30)
        .products(policy)
        .audit_one_in(0);
    let shop = Stockroom::builder()
        .url("sqlite::memory:")
        .cache(cache)
        .open()
        .await?;
    let price = Money::new(9_00, Currency::USD);
    let rows =
        (0..keys).map(|index| NewProduct::new(format!("Mug {index}")).variant(format!("MUG-{index}"), price));
    let mut ids = Vec::new();
    for created in shop.products().import(rows.collect()).await {
        ids.push(created?.id);
    }
    let (raw, mut locked) = (RawCache::new(keys * 2), HashMap::new());
    // Whatever is kept before the feed has proven itself is dropped: twice, until everything is a hit.
    for _ in 0..100 {
        let before = shop.cache().stats().hits_in_process;
        for part in ids.chunks(100) {
            for product in shop.products().get_many(part).await?.into_iter().flatten() {
                raw.insert(product.id, Arc::clone(&product));
                locked.insert(product.id, product);
            }
        }
        if shop.cache().stats().hits_in_process - before == keys as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(Places {
        shop,
        raw,
        locked: RwLock::new(locked),
        ids,
    })
}

/// A hit allocates nothing.
async fn no_allocation(places: &Places) -> Result<()> {
    let id = places.ids[0];
    places.shop.products().get(id).await?;
    // Others allocate as well, such as the task that follows the feed: the least of several tries is the hit's own.
    let mut least = usize::MAX;
    for _ in 0..20 {
        let region = Region::new(ALLOCATOR);
        for _ in 0..1_000 {
            black_box(places.shop.products().get(id).await?);
        }
        least = least.min(region.change().allocations);
    }
    match least {
        0 => Ok(()),
        some => Err(format!("a thousand hits allocated {some} times").into()),
    }
}

/// Nanoseconds a hit of one round: so many tasks, each over so many keys.
async fn round_of(
    places: &Arc<Places>,
    (way, keys, tasks): (usize, usize, usize),
    reads: usize,
) -> Result<f64> {
    let start = Instant::now();
    let running = (0..tasks).map(|task| {
        let places = Arc::clone(places);
        tokio::spawn(async move {
            let mut at = task * 7_919;
            for _ in 0..reads {
                // A stride that is prime to the number of keys visits all of them, far apart.
                at = (at + 7_919) % keys;
                let id = places.ids[at];
                match way {
                    0 => drop(black_box(places.shop.products().get(id).await?)),
                    1 => drop(black_box(places.raw.get(&id))),
                    _ => {
                        let locked = places.locked.read().map_err(|_| "a lock is poisoned")?;
                        drop(black_box(locked.get(&id).cloned()));
                    }
                }
            }
            Result::Ok(())
        })
    });
    for task in running.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / reads as f64)
}
