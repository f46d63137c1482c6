//! One way of writing, with a shop of its own.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use stockroom::CartId;
use stockroom::Sku;
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::caller::Round;
use crate::caller::Written;
use crate::case::Case;
use crate::case::Way;
use crate::case::Work;
use crate::compared::goods;
use crate::compared::goods::Prices;
use crate::compared::ground::Counted;
use crate::compared::ground::Ground;
use crate::compared::random::Random;
use crate::compared::rounds::Run;
use crate::compared::rounds::Stand;
use crate::compared::till::Till;
use crate::desk::Held;
use crate::support::Cpu;
use crate::support::Engine;
use crate::support::Places;
use crate::support::Result;

/// Carts that lines are added to.
const CARTS: usize = 10_000;

/// Lines of an order.
const LINES: usize = 3;

/// Products that are asked for at once.
const CHUNK: usize = 500;

/// Rows of every table that is added to.
const INSERTED: &str = "SELECT (SELECT count(*) FROM stockroom_claims), (SELECT count(*) FROM stockroom_orders), \
     (SELECT count(*) FROM stockroom_order_lines), (SELECT count(*) FROM stockroom_movements), \
     (SELECT count(*) FROM stockroom_cart_lines), \
     (SELECT count(*) FROM stockroom_changes), (SELECT count(*) FROM stockroom_commits)";

/// Changes of products, units in carts, orders, and what was sold as the stock and the ledger tell it.
const FACTS: &str = "SELECT (SELECT CAST(sum(version) AS bigint) FROM stockroom_products), \
     (SELECT CAST(coalesce(sum(quantity), 0) AS bigint) FROM stockroom_cart_lines), \
     (SELECT count(*) FROM stockroom_orders), \
     (SELECT CAST(sum(allocated) AS bigint) FROM stockroom_levels), \
     (SELECT CAST(coalesce(sum(allocated), 0) AS bigint) FROM stockroom_movements)";

/// A shop of its own for one way of writing.
#[derive(Debug)]
pub(crate) struct WriteStand {
    case: Case,
    way: Way,
    ground: Ground,
    server: Option<u32>,
    skus: Arc<Vec<Sku>>,
    prices: Prices,
    carts: Arc<Vec<CartId>>,
    callers: Vec<Caller>,
    random: Random,
}

impl WriteStand {
    pub(crate) async fn open(case: Case, way: Way, places: &Places, products: usize) -> Result<Self> {
        let ground = Ground::open(case.engine, places, case.distance, Counted::Full, 1).await?;
        let skus = goods::stock(&ground.shop, products, 1).await?;
        let baskets = skus.iter().cycle().take(CARTS).map(|sku| vec![sku.clone()]);
        let carts = goods::carts(&ground.shop, baskets).await?;
        ground.count(Counted::Full).await;
        let mut held = Vec::new();
        for skus in skus.chunks(CHUNK) {
            let products = ground.shop.products().find_by_skus(skus).await?;
            for product in products.into_iter().flatten() {
                held.push(Held::new(product)?);
            }
        }
        let mut callers = Vec::new();
        let each = held.len() / case.callers;
        for seed in 0..case.callers as u64 {
            callers.push(Caller::new(held.split_off(held.len() - each), seed));
        }
        Ok(Self {
            server: places.server.filter(|_| case.engine == Engine::Postgres),
            case,
            way,
            prices: Prices::ask(&ground.shop, &skus).await?,
            ground,
            skus: Arc::new(skus),
            carts: Arc::new(carts),
            callers,
            random: Random::new(0x5eed),
        })
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.ground.close().await
    }

    fn till(&self) -> Till {
        match self.way {
            Way::Shop => Till::Shop(self.ground.shops[0].clone()),
            Way::ByHand(how) => Till::by_hand(&self.ground.by_hand, how),
        }
    }

    /// Quotes for the orders of a mix, with some to spare.
    async fn prepare(&mut self, most: usize) -> Result<Round> {
        let orders = if self.case.work == Work::Mix {
            most / 2 + 64
        } else {
            0
        };
        let baskets = (0..orders).map(|_| self.basket()).collect();
        let quotes = self.prices.quotes(&self.ground.shop, baskets).await?;
        self.ground.settle().await;
        Ok(Round {
            work: self.case.work,
            till: self.till(),
            skus: Arc::clone(&self.skus),
            carts: Arc::clone(&self.carts),
            quotes: Mutex::new(quotes),
            until: Instant::now(),
        })
    }

    fn basket(&mut self) -> Vec<Sku> {
        let mut basket = Vec::new();
        while basket.len() < LINES {
            let sku = &self.skus[self.random.below(self.skus.len())];
            if !basket.contains(sku) {
                basket.push(sku.clone());
            }
        }
        basket
    }

    /// So many callers, each doing one write after the other.
    async fn write(&mut self, round: Round, most: usize) -> Result<Written> {
        let round = Arc::new(round);
        let each = most.div_ceil(self.callers.len());
        let mut tasks = JoinSet::new();
        for mut caller in self.callers.drain(..) {
            let round = Arc::clone(&round);
            tasks.spawn(async move {
                let written = caller.write(&round, each).await?;
                Result::Ok((caller, written))
            });
        }
        let mut all = Written::default();
        while let Some(done) = tasks.join_next().await {
            let (caller, written) = done??;
            self.callers.push(caller);
            all.append(written);
        }
        Ok(all)
    }

    async fn numbers(&self) -> Result<(Vec<i64>, i64)> {
        let facts = self.ground.database.numbers(FACTS).await?;
        let rows = self.ground.database.numbers(INSERTED).await?;
        Ok((facts, rows.iter().sum()))
    }
}

impl Stand for WriteStand {
    async fn round(&mut self, most: usize, limit: Duration) -> Result<Run> {
        let mut round = self.prepare(most).await?;
        let (before, rows_before) = self.numbers().await?;
        let commits = self.ground.commits();
        let cpu = Cpu::now(self.server);
        let begun = Instant::now();
        round.until = begun + limit;
        let written = self.write(round, most).await?;
        let took = begun.elapsed();
        let cpu = Cpu::now(self.server).since(cpu);
        let commits = self.ground.commits().since(commits);
        let (after, rows_after) = self.numbers().await?;
        let changed: Vec<i64> = after
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before)
            .collect();
        let told = [
            written.renamed,
            written.added,
            written.orders,
            written.units,
            written.units,
        ];
        let told: Vec<i64> = told
            .iter()
            .map(|count| i64::try_from(*count))
            .collect::<std::result::Result<_, _>>()?;
        if changed != told {
            return Err(format!("{}: told {told:?}, found {changed:?}", self.way.name()).into());
        }
        Ok(Run {
            written: written.renamed + written.added + written.orders,
            samples: written.samples,
            took,
            cpu,
            commits,
            inserted: rows_after - rows_before,
        })
    }
}
