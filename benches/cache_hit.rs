//! A hit in process through `shop.products().get`, beside the map that it is kept in and a `HashMap` behind a lock.
//!
//! ```text
//! cargo bench --features full --bench cache_hit              # writes docs/benchmarks/cache_hit.md
//! cargo bench --features full --bench cache_hit -- --quick   # with few keys, writes nothing
//! ```
//!
//! Fails where a hit allocates.

mod cached;
#[path = "support/median.rs"]
mod median;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::RwLock;
use std::time::Duration;
use std::time::Instant;

use cached::Chart;
use cached::Group;
use cached::Machine;
use cached::Result;
use cached::Table;
use median::median;
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

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Rounds of each way, in turns; the median counts.
const ROUNDS: usize = 7;

/// Prime to the number of keys: all of them are visited, neighbours far apart.
const STRIDE: usize = 7_919;

/// What is run.
#[derive(Clone, Copy)]
struct Pace {
    keys: usize,
    reads: usize,
}

/// How one hit follows another.
#[derive(Clone, Copy)]
enum Order {
    /// Which product is read next depends on the one that was read: the time of a hit is what its caller waits.
    Chained,
    /// All ids are known beforehand: the processor begins with the next hits while it waits for the memory of this one.
    Loose,
}

/// About twice what a product takes.
const BYTES: u64 = 2_048;

/// The same products in three places.
struct Places {
    shop: Stockroom,
    raw: RawCache<ProductId, Arc<Product>>,
    locked: RwLock<HashMap<ProductId, Arc<Product>>>,
    ids: Vec<ProductId>,
}

fn main() -> Result<()> {
    let pace = match cached::is_quick() {
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

/// One line of the table: nanoseconds a hit by each way.
struct Line {
    name: String,
    ways: [f64; 3],
}

async fn run(pace: Pace) -> Result<()> {
    let places = Arc::new(fill(pace.keys).await?);
    no_allocation(&places).await?;
    let every = cached::grouped(pace.keys as f64);
    let mut lines = Vec::new();
    for (name, keys, tasks, order) in [
        ("one key".to_owned(), 1, 1, Order::Loose),
        (format!("{every} keys"), pace.keys, 1, Order::Chained),
        (format!("{every} keys, overlapping"), pace.keys, 1, Order::Loose),
        ("one key, two tasks".to_owned(), 1, 2, Order::Loose),
        (format!("{every} keys, two tasks"), pace.keys, 2, Order::Chained),
        (
            format!("{every} keys, two tasks, overlapping"),
            pace.keys,
            2,
            Order::Loose,
        ),
    ] {
        let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for turn in 0..3 {
                let way = (round + turn) % 3;
                rounds[way].push(round_of(&places, (way, keys, tasks, order), pace.reads).await?);
            }
        }
        let ways = rounds.map(median);
        lines.push(Line { name, ways });
    }
    let stats = places.shop.cache().stats();
    places.shop.close().await;
    let mut machine = Machine::look();
    machine.add(
        "the shop's tier",
        format!(
            "{} entries, {} MB by its own count",
            stats.entries,
            stats.bytes / 1_000_000
        ),
    );
    println!("{}\n{}", table(&lines).text(), machine.markdown());
    if !cached::is_quick() {
        cached::write_report("cache_hit", &markdown(&lines, &machine, pace), &chart(&lines))?;
    }
    Ok(())
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(&[
        "ns a hit",
        "stockroom",
        "quick_cache",
        "HashMap, RwLock",
        "stockroom − quick_cache",
        "stockroom ÷ quick_cache",
    ]);
    for Line {
        name,
        ways: [shop, raw, locked],
    } in lines
    {
        table.row(vec![
            name.clone(),
            format!("{shop:.1}"),
            format!("{raw:.1}"),
            format!("{locked:.1}"),
            format!("{:.1}", shop - raw),
            format!("{:.2}", shop / raw),
        ]);
    }
    table
}

fn chart(lines: &[Line]) -> String {
    let group = |line: &Line| Group {
        name: line.name.clone(),
        values: line.ways.to_vec(),
    };
    let chart = Chart {
        title: "Nanoseconds a hit in process (less is better)",
        series: vec!["stockroom", "quick_cache", "HashMap behind a lock"],
        groups: lines.iter().map(group).collect(),
    };
    chart.svg()
}

fn markdown(lines: &[Line], machine: &Machine, pace: Pace) -> String {
    format!(
        "# A hit in process\n\nWritten by `cargo bench --features full --bench cache_hit`; every run replaces it.\n\n\
         ![Nanoseconds a hit in process](cache_hit.svg)\n\n{}\n\
         - **stockroom**: `shop.products().get(id).await` of a product that this process keeps: expiry, generation and proof of \
         news are looked at, the hit is counted.\n\
         - **quick_cache**: `cache.get(&id)` of the same `Arc<Product>`, which is never dropped for anybody's write.\n\
         - **HashMap, RwLock**: the same `Arc` cloned under a read lock of the standard library.\n\
         - Of many keys, which one is read next depends on the product that was read: the time is what a caller waits for. **Overlapping**: the ids are known \
         beforehand and nothing is done with the products, so that the processor begins with the next hits while it waits for the memory of this one; \
         the fewer instructions a hit has, the more of them at once.\n\
         - Medians of {ROUNDS} rounds in turns, {} hits a task and round, in strides so that neighbours are not read one after the other. Of two \
         tasks the time is that of each, on a processor of its own if the machine has two that are free.\n\
         - A thousand hits allocate nothing: the run fails otherwise (a counting allocator).\n\n{}",
        table(lines).markdown(),
        cached::grouped(pace.reads as f64),
        machine.markdown()
    )
}

async fn fill(keys: usize) -> Result<Places> {
    let policy = CachePolicy::new().keep(Duration::from_secs(24 * 3600));
    // Room for about twice as much as there is, as the raw cache has: a table that is larger is fetched from further away.
    let cache = Cache::in_process()
        .capacity(BYTES * keys.max(10_000) as u64)
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
    (way, keys, tasks, order): (usize, usize, usize, Order),
    reads: usize,
) -> Result<f64> {
    // Nothing of the value is added, which only the processor finds out.
    let mask = black_box(0);
    let start = Instant::now();
    let running = (0..tasks).map(|task| {
        let places = Arc::clone(places);
        tokio::spawn(async move {
            let mut at = task * STRIDE;
            for _ in 0..reads {
                at = (at + STRIDE) % keys;
                let id = places.ids[at];
                let found = match way {
                    0 => places.shop.products().get(id).await?,
                    1 => places.raw.get(&id),
                    _ => {
                        let locked = places.locked.read().map_err(|_| "a lock is poisoned")?;
                        locked.get(&id).cloned()
                    }
                };
                let product = black_box(found).ok_or("a product is gone")?;
                if let Order::Chained = order {
                    at += product.title.len() & mask;
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
