//! Reads by key through the shop beside the same reads written by hand with sqlx.
//!
//! ```text
//! cargo bench --features full --bench reads                    # writes docs/benchmarks/reads.md
//! cargo bench --features full --bench reads -- --quick         # a few seconds, writes nothing; also: postgres, sqlite, shop
//! ```

mod support;

#[path = "support/hand_written.rs"]
mod hand_written;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use hand_written::HandWritten;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use stats_alloc::INSTRUMENTED_SYSTEM;
use stats_alloc::Region;
use stats_alloc::StatsAlloc;
use stockroom::Actor;
use stockroom::CartId;
use stockroom::OrderId;
use stockroom::ProductId;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Put;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::fixtures;
use support::Chart;
use support::Cpu;
use support::Engine;
use support::Group;
use support::Machine;
use support::Places;
use support::Result;
use support::Samples;
use support::Settings;
use support::Table;
use support::median;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// The bar of a keyed read: this many times the read written by hand.
const BAR: f64 = 1.15;
/// Ids of one batch.
const BATCH: usize = 100;
/// Aggregates that one commit of the preparation writes.
const CHUNK: u64 = 250;

const VACUUM: &str = "VACUUM (ANALYZE) stockroom_products, stockroom_variants, stockroom_carts, stockroom_cart_lines, \
     stockroom_orders, stockroom_order_lines";

/// What is read.
#[derive(Debug, Clone, Copy)]
enum Case {
    Product,
    Cart,
    Order,
    Products,
    Carts,
    Orders,
}

impl Case {
    const ALL: [Self; 6] = [
        Self::Product,
        Self::Cart,
        Self::Order,
        Self::Products,
        Self::Carts,
        Self::Orders,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Product => "a product, 2 variants",
            Self::Cart => "a cart, 2 lines",
            Self::Order => "an order, 2 lines",
            Self::Products => "100 products",
            Self::Carts => "100 carts",
            Self::Orders => "100 orders",
        }
    }

    const fn is_keyed(self) -> bool {
        matches!(self, Self::Product | Self::Cart | Self::Order)
    }

    fn id(self, seed: u64) -> Uuid {
        match self {
            Self::Product | Self::Products => fixtures::product_id(seed).uuid(),
            Self::Cart | Self::Carts => fixtures::cart_id(seed).uuid(),
            Self::Order | Self::Orders => fixtures::order_id(seed).uuid(),
        }
    }
}

/// Who reads.
#[derive(Debug, Clone, Copy)]
enum Side {
    Shop,
    ByHand,
    WithoutPing,
}

impl Side {
    const ALL: [Self; 3] = [Self::Shop, Self::ByHand, Self::WithoutPing];
}

/// The same tables, three ways.
#[derive(Debug)]
struct Readers {
    shop: Stockroom,
    by_hand: HandWritten,
    without_ping: HandWritten,
}

impl Readers {
    /// One read; the answers are dropped, as a request's are at its end.
    async fn read(&self, side: Side, case: Case, ids: &[Uuid]) -> Result<()> {
        match side {
            Side::Shop => read_shop(&self.shop, case, ids).await,
            Side::ByHand => read_by_hand(&self.by_hand, case, ids).await,
            Side::WithoutPing => read_by_hand(&self.without_ping, case, ids).await,
        }
    }

    /// Both ways give the same.
    async fn check(&self, ids: impl Fn(Case) -> Vec<Uuid>) -> Result<()> {
        let (shop, hand) = (&self.shop, &self.by_hand);
        let products = ids(Case::Products);
        let of_shop = shop
            .products()
            .get_many(&typed(&products, ProductId::from))
            .await?;
        same(of_shop, hand.products(&products).await?)?;
        same(
            shop.products().get(products[0].into()).await?,
            Some(hand.product(products[0]).await?),
        )?;
        let carts = ids(Case::Carts);
        same(
            shop.carts().get_many(&typed(&carts, CartId::from)).await?,
            hand.carts(&carts).await?,
        )?;
        same(
            shop.carts().get(carts[0].into()).await?,
            Some(hand.cart(carts[0]).await?),
        )?;
        let orders = ids(Case::Orders);
        same(
            shop.orders().get_many(&typed(&orders, OrderId::from)).await?,
            hand.orders(&orders).await?,
        )?;
        same(
            shop.orders().get(orders[0].into()).await?,
            Some(hand.order(orders[0]).await?),
        )
    }

    async fn close(&self) {
        self.shop.close().await;
        self.by_hand.close().await;
        self.without_ping.close().await;
    }
}

fn typed<T>(ids: &[Uuid], of: fn(Uuid) -> T) -> Vec<T> {
    ids.iter().copied().map(of).collect()
}

fn same<T: PartialEq>(
    shop: impl IntoIterator<Item = impl Into<Option<Arc<T>>>>,
    hand: impl IntoIterator<Item = impl Into<Option<T>>>,
) -> Result<()> {
    let shop: Vec<Option<Arc<T>>> = shop.into_iter().map(Into::into).collect();
    let hand: Vec<Option<T>> = hand.into_iter().map(Into::into).collect();
    let pairs = shop.iter().zip(&hand);
    let all = shop.len() == hand.len()
        && pairs
            .into_iter()
            .all(|(shop, hand)| shop.is_some() && shop.as_deref() == hand.as_ref());
    if all {
        Ok(())
    } else {
        Err("the two ways do not read the same".into())
    }
}

async fn read_shop(shop: &Stockroom, case: Case, ids: &[Uuid]) -> Result<()> {
    let found = match case {
        Case::Product => usize::from(shop.products().get(ids[0].into()).await?.is_some()),
        Case::Cart => usize::from(shop.carts().get(ids[0].into()).await?.is_some()),
        Case::Order => usize::from(shop.orders().get(ids[0].into()).await?.is_some()),
        Case::Products => present(&shop.products().get_many(&typed(ids, ProductId::from)).await?),
        Case::Carts => present(&shop.carts().get_many(&typed(ids, CartId::from)).await?),
        Case::Orders => present(&shop.orders().get_many(&typed(ids, OrderId::from)).await?),
    };
    all(found, ids)
}

async fn read_by_hand(hand: &HandWritten, case: Case, ids: &[Uuid]) -> Result<()> {
    let found = match case {
        Case::Product => hand.product(ids[0]).await.map(|_| 1)?,
        Case::Cart => hand.cart(ids[0]).await.map(|_| 1)?,
        Case::Order => hand.order(ids[0]).await.map(|_| 1)?,
        Case::Products => present(&hand.products(ids).await?),
        Case::Carts => present(&hand.carts(ids).await?),
        Case::Orders => present(&hand.orders(ids).await?),
    };
    all(found, ids)
}

fn present<T>(found: &[Option<T>]) -> usize {
    found.iter().flatten().count()
}

fn all(found: usize, ids: &[Uuid]) -> Result<()> {
    if found == ids.len() {
        Ok(())
    } else {
        Err("something that was written is not found".into())
    }
}

/// How much is read.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Products, carts and orders, each.
    rows: u64,
    rounds: usize,
    keyed: usize,
    batches: usize,
    sides: usize,
}

impl Effort {
    fn of(settings: Settings) -> Self {
        Self {
            rows: settings.pick(10_000, 500),
            rounds: settings.pick(31, 3),
            keyed: settings.pick(400, 60),
            batches: settings.pick(20, 5),
            sides: settings.ways(Side::ALL.len()),
        }
    }

    const fn reads(self, case: Case) -> usize {
        if case.is_keyed() { self.keyed } else { self.batches }
    }

    /// The ids of a read: the same for all who read it, spread over the rows without an order.
    fn ids(self, case: Case, read: usize) -> Vec<Uuid> {
        let count = if case.is_keyed() { 1 } else { BATCH };
        // A step that has no factor with the number of rows visits them all.
        let seed = |index: usize| ((read * count + index) as u64).wrapping_mul(7_919) % self.rows;
        (0..count).map(|index| case.id(seed(index))).collect()
    }
}

/// The times of one case, by [`Side`].
#[derive(Debug)]
struct Outcome {
    engine: Engine,
    case: Case,
    p50: [f64; 3],
    p99: [f64; 3],
    allocations: [f64; 3],
    bytes: [f64; 3],
    /// Median over the rounds of the shop's median through that of each side.
    ratios: [f64; 3],
    cpu: Cpu,
}

async fn measure(
    engine: Engine,
    case: Case,
    readers: &Readers,
    effort: Effort,
    server: Option<u32>,
) -> Result<Outcome> {
    let reads = effort.reads(case);
    let sides = &Side::ALL[..effort.sides];
    for side in sides.iter().copied() {
        // Connections are opened, statements prepared and planned for good.
        run(readers, side, case, effort, 0, reads.max(20)).await?;
    }
    let mut samples: [Samples; 3] = Default::default();
    let mut medians: [Vec<f64>; 3] = Default::default();
    let before = Cpu::now(server);
    for round in 0..effort.rounds {
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            let mut times = run(readers, sides[index], case, effort, round * reads, reads).await?;
            medians[index].push(times.percentile(50));
            samples[index].append(times);
        }
    }
    let cpu = Cpu::now(server).since(before);
    let mut outcome = Outcome {
        engine,
        case,
        p50: samples.each_mut().map(|times| times.percentile(50)),
        p99: samples.each_mut().map(|times| times.percentile(99)),
        allocations: [0.0; 3],
        bytes: [0.0; 3],
        ratios: medians
            .each_ref()
            .map(|other| median(medians[0].iter().zip(other).map(|(shop, other)| shop / other))),
        cpu,
    };
    for (index, side) in sides.iter().copied().enumerate() {
        let region = Region::new(ALLOCATOR);
        let counted = run(readers, side, case, effort, 0, reads).await?.count() as f64;
        let change = region.change();
        outcome.allocations[index] = change.allocations as f64 / counted;
        outcome.bytes[index] = change.bytes_allocated as f64 / counted;
    }
    Ok(outcome)
}

async fn run(
    readers: &Readers,
    side: Side,
    case: Case,
    effort: Effort,
    first: usize,
    reads: usize,
) -> Result<Samples> {
    let mut times = Samples::default();
    for read in first..first + reads {
        let ids = effort.ids(case, read);
        let begun = Instant::now();
        readers.read(side, case, &ids).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

async fn fill(shop: &Stockroom, rows: u64) -> Result<()> {
    for first in (0..rows).step_by(usize::try_from(CHUNK)?) {
        let seeds = first..rows.min(first + CHUNK);
        for kind in [Case::Product, Case::Cart, Case::Order] {
            let mut set = WriteSet::new(Actor::system());
            for seed in seeds.clone() {
                set.put(match kind {
                    Case::Cart => Put::create(fixtures::cart(seed)?),
                    Case::Order => Put::create(fixtures::order(seed)?),
                    _ => Put::create(fixtures::product(seed)?),
                });
            }
            shop.store()
                .commit(set.plan()?, Deadline::within(Duration::from_secs(60)))
                .await?;
        }
    }
    Ok(())
}

async fn open_postgres(url: &str, rows: u64) -> Result<Readers> {
    let schema = format!("bench_reads_{}", Uuid::now_v7().simple());
    let shop = support::postgres_shop(url, &schema).await?;
    fill(&shop, rows).await?;
    let by_hand = support::postgres_pool(url, &schema, PgPoolOptions::new()).await?;
    let options = PgPoolOptions::new().test_before_acquire(false);
    let without_ping = support::postgres_pool(url, &schema, options).await?;
    // As the server itself does some time after rows were written.
    sqlx::raw_sql(VACUUM).execute(&by_hand).await?;
    Ok(Readers {
        shop,
        by_hand: HandWritten::Postgres(by_hand),
        without_ping: HandWritten::Postgres(without_ping),
    })
}

async fn open_sqlite(places: &Places, rows: u64) -> Result<Readers> {
    let file = places.file("reads");
    let shop = support::sqlite_shop(&file).await?;
    fill(&shop, rows).await?;
    let by_hand = support::sqlite_pool(&file, SqlitePoolOptions::new()).await?;
    let options = SqlitePoolOptions::new().test_before_acquire(false);
    let without_ping = support::sqlite_pool(&file, options).await?;
    Ok(Readers {
        shop,
        by_hand: HandWritten::Sqlite(by_hand),
        without_ping: HandWritten::Sqlite(without_ping),
    })
}

async fn measure_engine(engine: Engine, places: &Places, effort: Effort) -> Result<Vec<Outcome>> {
    let readers = match (engine, places.postgres()) {
        (Engine::Postgres, Some(url)) => open_postgres(url, effort.rows).await?,
        (Engine::Postgres, None) => return Ok(Vec::new()),
        (Engine::Sqlite, _) => open_sqlite(places, effort.rows).await?,
    };
    readers.check(|case| effort.ids(case, 1)).await?;
    let server = places.server.filter(|_| engine == Engine::Postgres);
    let mut outcomes = Vec::new();
    for case in Case::ALL {
        outcomes.push(measure(engine, case, &readers, effort, server).await?);
    }
    readers.close().await;
    Ok(outcomes)
}

fn times(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        "µs, p50 / p99",
        "stockroom",
        "by hand, pool at its defaults",
        "by hand, pool without ping",
        "ratio",
        "ratio, without ping",
    ]);
    for outcome in outcomes {
        let time = |side: usize| format!("{:.0} / {:.0}", outcome.p50[side], outcome.p99[side]);
        table.row(vec![
            format!("{}, {}", outcome.engine.name(), outcome.case.name()),
            time(0),
            time(1),
            time(2),
            format!("{:.2}", outcome.ratios[1]),
            format!("{:.2}", outcome.ratios[2]),
        ]);
    }
    table
}

fn allocations(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&["allocations (bytes) a read", "stockroom", "by hand"]);
    for outcome in outcomes {
        let count = |side: usize| {
            format!(
                "{} ({})",
                support::grouped(outcome.allocations[side]),
                support::grouped(outcome.bytes[side])
            )
        };
        table.row(vec![
            format!("{}, {}", outcome.engine.name(), outcome.case.name()),
            count(0),
            count(1),
        ]);
    }
    table
}

fn chart(outcomes: &[Outcome]) -> String {
    let group = |outcome: &Outcome| Group {
        name: format!("{}, {}", outcome.engine.name(), outcome.case.name()),
        values: outcome.p50.to_vec(),
    };
    Chart {
        title: "Reads by key, median in µs (less is better)",
        series: vec![
            "stockroom",
            "by hand, pool at its defaults",
            "by hand, pool without ping",
        ],
        groups: outcomes
            .iter()
            .filter(|outcome| outcome.case.is_keyed())
            .map(group)
            .collect(),
    }
    .svg()
}

fn markdown(machine: &Machine, outcomes: &[Outcome], effort: Effort, verdict: &str) -> String {
    format!(
        "# Reads by key\n\nWritten by `cargo bench --features full --bench reads`; every run replaces it.\n\n{verdict}\n\n\
         ![Reads by key](reads.svg)\n\n{}\n{}\n\
         - **stockroom**: `shop.products().get(id)`, `get_many(&ids)` and the like, a shop with its default options.\n\
         - **by hand**: `sqlx::query(…).fetch_one(&pool)`: one statement with the same columns and the same aggregation of \
         lines, decoded by position into the same types. The bench checks that both give equal values. The pool is at \
         sqlx's defaults: it pings a connection before each use, and again when it is given back. **Without ping** leaves out \
         the first (`test_before_acquire(false)`); the second cannot be left out. The shop's pool for PostgreSQL asks a \
         connection only after it lay idle for 30 s.\n\
         - One caller. {} rounds, in each of which every way reads {} single rows or {} batches of {BATCH}, in turns; the \
         same ids for all, spread over {} rows. A ratio is the median over the rounds of median through median. \
         Allocations are counted in a run of their own, on all threads.\n\n{}",
        times(outcomes).markdown(),
        allocations(outcomes).markdown(),
        effort.rounds,
        effort.keyed,
        effort.batches,
        support::grouped(effort.rows as f64),
        machine.markdown()
    )
}

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::from_args();
    let effort = Effort::of(settings);
    let mut machine = Machine::look();
    let places = Places::start(settings, &mut machine).await?;
    let mut outcomes = Vec::new();
    for engine in Engine::ALL.into_iter().filter(|engine| settings.wants(*engine)) {
        outcomes.extend(measure_engine(engine, &places, effort).await?);
    }
    let cpu = outcomes
        .iter()
        .fold(Cpu::default(), |sum, outcome| sum.plus(outcome.cpu));
    machine.add(
        "other programs",
        format!("used {:.0} % of the processors meanwhile", cpu.others()),
    );
    println!(
        "{}\n{}\n{}",
        times(&outcomes).text(),
        allocations(&outcomes).text(),
        machine.markdown()
    );
    let worst = outcomes
        .iter()
        .filter(|outcome| outcome.case.is_keyed())
        .map(|outcome| outcome.ratios[1])
        .fold(0.0, f64::max);
    let verdict = format!(
        "A read of one row takes at most **{worst:.2}** times the read written by hand; the bar is {BAR}."
    );
    println!("{verdict}");
    if settings.is_report() {
        support::write_report(
            "reads",
            &markdown(&machine, &outcomes, effort, &verdict),
            &chart(&outcomes),
        )?;
        if worst > BAR {
            return Err("a read of one row is over the bar".into());
        }
    }
    Ok(())
}
