//! Placing orders through the shop beside what one writes by hand: a transaction for each order, or one statement for each.
//!
//! ```text
//! cargo bench --features full --bench checkout                 # writes docs/benchmarks/checkout.md
//! cargo bench --features full --bench checkout -- --quick      # some seconds, writes nothing; also: postgres, sqlite, shop
//! ```

mod support;

#[path = "support/goods.rs"]
mod goods;
#[path = "support/sale.rs"]
mod sale;
#[path = "support/usual_postgres.rs"]
mod usual_postgres;
#[path = "support/usual_sqlite.rs"]
mod usual_sqlite;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use goods::Database;
use goods::Demand;
use goods::Goods;
use sale::Sale;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use stockroom::IdempotencyKey;
use stockroom::Place;
use stockroom::Quote;
use stockroom::Stockroom;
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
use support::grouped;
use support::median;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Connections of who places orders by hand on PostgreSQL.
const CONNECTIONS: u32 = 16;

/// What the carts hold, and how many lines.
const CARTS: [(Demand, usize); 4] = [
    (Demand::Hot, 1),
    (Demand::Spread, 1),
    (Demand::Hot, 3),
    (Demand::Spread, 3),
];

/// How orders are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Shop,
    Transaction,
    Statement,
}

impl Way {
    const fn of(engine: Engine) -> &'static [Self] {
        match engine {
            Engine::Postgres => &[Self::Shop, Self::Transaction, Self::Statement],
            Engine::Sqlite => &[Self::Shop, Self::Transaction],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Shop => "stockroom",
            Self::Transaction => "a transaction each",
            Self::Statement => "a statement each",
        }
    }
}

/// What is ordered, and by how many at once.
#[derive(Debug, Clone, Copy)]
struct Case {
    engine: Engine,
    demand: Demand,
    lines: usize,
    callers: usize,
}

impl Case {
    fn name(self) -> String {
        let demand = match (self.demand, self.lines) {
            (Demand::Hot, 1) => "hot SKU",
            (Demand::Hot, _) => "hot SKU and two of 10,000",
            (Demand::Spread, 1) => "one of 10,000 SKUs",
            (Demand::Spread, _) => "three of 10,000 SKUs",
        };
        let callers = if self.callers == 1 {
            "1 caller".to_owned()
        } else {
            format!("{} callers", self.callers)
        };
        format!("{}, {demand}, {callers}", self.engine.name())
    }
}

/// How much is ordered.
#[derive(Debug, Clone, Copy)]
struct Effort {
    skus: usize,
    rounds: usize,
    round: Duration,
    warm_up: usize,
    carts: &'static [(Demand, usize)],
    callers: &'static [usize],
    ways: usize,
}

impl Effort {
    fn of(settings: Settings) -> Self {
        Self {
            skus: settings.pick(10_000, 200),
            rounds: settings.pick(5, 1),
            round: Duration::from_millis(settings.pick(1_500, 100)),
            warm_up: settings.pick(600, 60),
            carts: settings.pick(&CARTS, &[CARTS[0], CARTS[3]]),
            callers: settings.pick(&[1, 64], &[64]),
            ways: settings.ways(3),
        }
    }
}

/// A shop of its own for one way of placing orders.
#[derive(Debug)]
struct Stand {
    way: Way,
    shop: Stockroom,
    database: Database,
    goods: Goods,
    placed: i64,
}

impl Stand {
    async fn open(engine: Engine, way: Way, places: &Places, skus: usize) -> Result<Self> {
        let name = format!("bench_checkout_{}", Uuid::now_v7().simple());
        let (shop, database) = match (engine, places.postgres()) {
            (Engine::Sqlite, _) => {
                let file = places.file(&name);
                let shop = support::sqlite_shop(&file).await?;
                // More connections would only find the file locked.
                let options = SqlitePoolOptions::new()
                    .max_connections(1)
                    .test_before_acquire(false);
                (
                    shop,
                    Database::Sqlite(support::sqlite_pool(&file, options).await?),
                )
            }
            (Engine::Postgres, Some(url)) => {
                let shop = support::postgres_shop(url, &name).await?;
                let options = PgPoolOptions::new()
                    .max_connections(CONNECTIONS)
                    .test_before_acquire(false);
                (
                    shop,
                    Database::Postgres(support::postgres_pool(url, &name, options).await?),
                )
            }
            (Engine::Postgres, None) => return Err("there is no PostgreSQL".into()),
        };
        let goods = Goods::stock(&shop, skus).await?;
        // As the server itself does some time after rows were written.
        database.try_execute(VACUUM, "ANALYZE").await;
        Ok(Self {
            way,
            shop,
            database,
            goods,
            placed: 0,
        })
    }

    fn till(&self) -> Till {
        match (self.way, &self.database) {
            (Way::Shop, _) => Till::Shop(self.shop.clone()),
            (_, Database::Sqlite(pool)) => Till::SqliteTransaction(pool.clone()),
            (Way::Transaction, Database::Postgres(pool)) => Till::PostgresTransaction(pool.clone()),
            (Way::Statement, Database::Postgres(pool)) => Till::PostgresStatement(pool.clone()),
        }
    }

    /// So many carts, quoted; then orders of them until the time is over or none is left.
    async fn run(&mut self, case: Case, carts: usize, limit: Duration, server: Option<u32>) -> Result<Run> {
        let quotes = self
            .goods
            .quotes(&self.shop, case.demand, case.lines, carts)
            .await?;
        let before = self.database.numbers(INSERTED).await?;
        self.database
            .try_execute("CHECKPOINT", "PRAGMA wal_checkpoint(TRUNCATE)")
            .await;
        let cpu = Cpu::now(server);
        let begun = Instant::now();
        let samples = sell(&self.till(), quotes, case.callers, begun + limit).await?;
        let took = begun.elapsed();
        let cpu = Cpu::now(server).since(cpu);
        let orders = samples.count();
        let after = self.database.numbers(INSERTED).await?;
        let inserted = after.iter().sum::<i64>() - before.iter().sum::<i64>();
        self.placed += i64::try_from(orders)?;
        self.check(case.lines).await?;
        Ok(Run {
            samples,
            took,
            cpu,
            orders: orders as f64,
            inserted: inserted as f64,
        })
    }

    /// What was sold is what the stock, the ledger, the orders and the carts say.
    async fn check(&self, lines: usize) -> Result<()> {
        let found = self.database.numbers(SOLD).await?;
        let units = self.placed * i64::try_from(lines)?;
        let expected = [units, units, units, self.placed, self.placed, 2 * self.placed];
        if found != expected {
            return Err(format!("{}: sold {expected:?}, found {found:?}", self.way.name()).into());
        }
        let ledger = self.shop.inventory().verify_ledger().await?;
        if ledger.is_consistent() {
            Ok(())
        } else {
            Err("the levels differ from their ledger".into())
        }
    }

    async fn close(self) {
        self.shop.close().await;
        // What is left would be vacuumed while others are measured.
        self.database.try_execute(DROP, "SELECT 1").await;
        match self.database {
            Database::Postgres(pool) => pool.close().await,
            Database::Sqlite(pool) => pool.close().await,
        }
    }
}

const VACUUM: &str = "VACUUM (ANALYZE) stockroom_products, stockroom_variants, stockroom_levels, stockroom_claims, \
     stockroom_movements, stockroom_changes";

/// Every table of a shop lies in the first schema of the path.
const DROP: &str = "DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$";

/// Rows of every table that an order adds to.
const INSERTED: &str = "SELECT (SELECT count(*) FROM stockroom_claims), (SELECT count(*) FROM stockroom_orders), \
     (SELECT count(*) FROM stockroom_order_lines), (SELECT count(*) FROM stockroom_movements), \
     (SELECT count(*) FROM stockroom_changes), (SELECT count(*) FROM stockroom_commits)";

/// The same sale as the stock, the ledger and the order lines tell it; then orders, carts and unique keys.
const SOLD: &str = "SELECT (SELECT CAST(sum(allocated) AS bigint) FROM stockroom_levels), \
     (SELECT CAST(coalesce(sum(allocated), 0) AS bigint) FROM stockroom_movements), \
     (SELECT CAST(coalesce(sum(quantity), 0) AS bigint) FROM stockroom_order_lines), \
     (SELECT count(*) FROM stockroom_orders), \
     (SELECT count(*) FROM stockroom_carts WHERE status = 'ordered'), \
     (SELECT count(*) FROM stockroom_claims WHERE space = 'order.cart' OR space LIKE 'key:%')";

/// Where orders are placed.
#[derive(Debug, Clone)]
enum Till {
    Shop(Stockroom),
    PostgresTransaction(sqlx::PgPool),
    PostgresStatement(sqlx::PgPool),
    SqliteTransaction(sqlx::SqlitePool),
}

impl Till {
    async fn place(&self, quote: Quote, key: String) -> Result<()> {
        match self {
            Self::Shop(shop) => {
                let placed = shop
                    .checkout()
                    .place(Place::quote(quote).key(IdempotencyKey::new(key)?))
                    .await?;
                if placed.replayed {
                    Err("an order was placed before".into())
                } else {
                    Ok(())
                }
            }
            Self::PostgresTransaction(pool) => {
                usual_postgres::transaction(pool, &Sale::new(quote, key)).await
            }
            Self::PostgresStatement(pool) => usual_postgres::statement(pool, &Sale::new(quote, key)).await,
            Self::SqliteTransaction(pool) => usual_sqlite::transaction(pool, &Sale::new(quote, key)).await,
        }
    }
}

/// So many callers, each placing one order after the other.
async fn sell(till: &Till, quotes: Vec<Quote>, callers: usize, until: Instant) -> Result<Samples> {
    let quotes = Arc::new(Mutex::new(quotes));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (till, quotes) = (till.clone(), Arc::clone(&quotes));
        tasks.spawn(async move {
            let mut times = Samples::default();
            while Instant::now() < until {
                let next = quotes.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(quote) = next else { break };
                let key = format!("order-{}", quote.cart.id);
                let begun = Instant::now();
                till.place(quote, key).await?;
                times.push(begun.elapsed());
            }
            Result::Ok(times)
        });
    }
    let mut samples = Samples::default();
    while let Some(times) = tasks.join_next().await {
        samples.append(times??);
    }
    Ok(samples)
}

/// One round of one way.
#[derive(Debug)]
struct Run {
    samples: Samples,
    took: Duration,
    cpu: Cpu,
    orders: f64,
    inserted: f64,
}

impl Run {
    fn rate(&self) -> f64 {
        self.orders / self.took.as_secs_f64()
    }
}

/// All rounds of one way: medians, and sums through orders.
#[derive(Debug)]
struct Figures {
    way: Way,
    rate: f64,
    p50: f64,
    p99: f64,
    /// Microseconds of processor time an order.
    client: f64,
    server: f64,
    inserted: f64,
}

impl Figures {
    fn of(way: Way, runs: &mut [Run]) -> Self {
        let orders: f64 = runs.iter().map(|run| run.orders).sum();
        let each = |sum: f64| sum / orders.max(1.0);
        Self {
            way,
            rate: median(runs.iter().map(Run::rate)),
            client: each(runs.iter().map(|run| run.cpu.client).sum::<f64>() * 1e6),
            server: each(runs.iter().map(|run| run.cpu.server).sum::<f64>() * 1e6),
            inserted: each(runs.iter().map(|run| run.inserted).sum()),
            p50: median(runs.iter_mut().map(|run| run.samples.percentile(50) / 1e3)),
            p99: median(runs.iter_mut().map(|run| run.samples.percentile(99) / 1e3)),
        }
    }
}

#[derive(Debug)]
struct Outcome {
    case: Case,
    figures: Vec<Figures>,
    cpu: Cpu,
}

async fn measure(case: Case, stands: &mut [Stand], effort: Effort, server: Option<u32>) -> Result<Outcome> {
    let mut carts = Vec::new();
    for stand in stands.iter_mut() {
        // Connections are opened, statements prepared and planned; the pace tells how many carts a round needs.
        let warm = stand.run(case, effort.warm_up, effort.round * 4, server).await?;
        let pace = warm.rate() * effort.round.as_secs_f64() * 1.3;
        carts.push(pace.clamp(50.0, 60_000.0) as usize);
    }
    let mut runs: Vec<Vec<Run>> = stands.iter().map(|_| Vec::new()).collect();
    for round in 0..effort.rounds {
        for turn in 0..stands.len() {
            let index = (round + turn) % stands.len();
            runs[index].push(
                stands[index]
                    .run(case, carts[index], effort.round, server)
                    .await?,
            );
        }
    }
    let cpu = runs
        .iter()
        .flatten()
        .fold(Cpu::default(), |sum, run| sum.plus(run.cpu));
    let figures = stands
        .iter()
        .zip(&mut runs)
        .map(|(stand, runs)| Figures::of(stand.way, runs))
        .collect();
    Ok(Outcome { case, figures, cpu })
}

async fn measure_engine(engine: Engine, places: &Places, effort: Effort) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    if engine == Engine::Postgres && places.postgres().is_none() {
        return Ok(outcomes);
    }
    let server = places.server.filter(|_| engine == Engine::Postgres);
    for (demand, lines) in effort.carts.iter().copied() {
        let mut stands = Vec::new();
        for way in Way::of(engine).iter().take(effort.ways) {
            stands.push(Stand::open(engine, *way, places, effort.skus).await?);
        }
        for callers in effort.callers {
            let case = Case {
                engine,
                demand,
                lines,
                callers: *callers,
            };
            let outcome = measure(case, &mut stands, effort, server).await?;
            eprintln!("{}: {}", case.name(), rates(&outcome));
            outcomes.push(outcome);
        }
        for stand in stands {
            stand.close().await;
        }
    }
    Ok(outcomes)
}

fn rates(outcome: &Outcome) -> String {
    let rates: Vec<String> = outcome
        .figures
        .iter()
        .map(|figures| format!("{} {}/s", figures.way.name(), grouped(figures.rate)))
        .collect();
    rates.join(", ")
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        "",
        "orders/s",
        "p50 / p99 ms",
        "stockroom is",
        "rows inserted an order",
        "processor µs an order, client + server",
    ]);
    for outcome in outcomes {
        let shop = outcome.figures.first().map_or(f64::NAN, |figures| figures.rate);
        for figures in &outcome.figures {
            let factor = match figures.way {
                Way::Shop => String::new(),
                Way::Transaction | Way::Statement => format!("{:.1} times as fast", shop / figures.rate),
            };
            table.row(vec![
                format!("{}: {}", outcome.case.name(), figures.way.name()),
                grouped(figures.rate),
                format!("{:.2} / {:.2}", figures.p50, figures.p99),
                factor,
                format!("{:.2}", figures.inserted),
                format!("{:.0} + {:.0}", figures.client, figures.server),
            ]);
        }
    }
    table
}

fn chart(outcomes: &[Outcome]) -> String {
    let group = |outcome: &Outcome| Group {
        name: outcome.case.name(),
        values: outcome.figures.iter().map(|figures| figures.rate).collect(),
    };
    Chart {
        title: "Orders placed a second (more is better)",
        series: Way::of(Engine::Postgres).iter().map(|way| way.name()).collect(),
        groups: outcomes.iter().map(group).collect(),
    }
    .svg()
}

fn markdown(machine: &Machine, outcomes: &[Outcome], effort: Effort) -> String {
    format!(
        "# Placing orders\n\nWritten by `cargo bench --features full --bench checkout`; every run replaces it.\n\n\
         ![Orders placed a second](checkout.svg)\n\n{}\n\
         - **stockroom**: `shop.checkout().place(Place::quote(quote).key(key))` of a quote that was loaded before, a shop with \
         its default options: one connection writes, what arrives meanwhile shares the next commit.\n\
         - **a transaction each**: BEGIN, unique keys, cart, order, lines, movements, the stock's rows locked in order \
         (FOR UPDATE) and checked, the stock changed, COMMIT; {CONNECTIONS} connections. On SQLite BEGIN IMMEDIATE on the one \
         connection that can write.\n\
         - **a statement each**: all of it as one data-modifying statement, committed by itself; {CONNECTIONS} connections.\n\
         - All ways write the same tables and indexes: two unique keys (the idempotency key, one order per cart), order, \
         lines, movements; beside them they update the cart and the stock's rows. Only stockroom also writes its history \
         (a change row for each aggregate touched) and one commit row a batch: the difference in rows. By hand the pool does \
         not ping before each use, and lines go in as one statement.\n\
         - Guests' carts. {} rounds of {} ms in turns, in a schema (a file) for each way; rate and percentiles are medians \
         over the rounds. Callers place one order after the other. After each round the units sold are compared with stock, \
         ledger, order lines, orders, carts and keys.\n\n{}",
        table(outcomes).markdown(),
        effort.rounds,
        effort.round.as_millis(),
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
    println!("{}\n{}", table(&outcomes).text(), machine.markdown());
    if settings.is_report() {
        support::write_report(
            "checkout",
            &markdown(&machine, &outcomes, effort),
            &chart(&outcomes),
        )?;
    }
    Ok(())
}
