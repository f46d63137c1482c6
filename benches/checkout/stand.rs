//! One way of placing orders, with a shop of its own.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use stockroom::Quote;
use tokio::task::JoinSet;

use crate::basket::Shelf;
use crate::case::Setup;
use crate::case::Supply;
use crate::case::Way;
use crate::compared::ground::Ground;
use crate::compared::rounds::Run;
use crate::compared::rounds::Stand;
use crate::compared::sale::Answer;
use crate::compared::till::Till;
use crate::look;
use crate::support::Cpu;
use crate::support::Engine;
use crate::support::Places;
use crate::support::Result;
use crate::support::Samples;

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

/// Units of what is scarce that are left.
const LEFT: &str = "SELECT CAST(coalesce(sum(on_hand - allocated), 0) AS bigint) FROM stockroom_levels \
     WHERE sku LIKE 'SCARCE-%'";

/// A shop of its own for one way of placing orders.
#[derive(Debug)]
pub(crate) struct CheckoutStand {
    setup: Setup,
    pub(crate) callers: usize,
    way: Way,
    ground: Ground,
    shelf: Shelf,
    server: Option<u32>,
    orders: usize,
    units: usize,
}

impl CheckoutStand {
    pub(crate) async fn open(setup: Setup, way: Way, places: &Places, skus: usize) -> Result<Self> {
        let shops = if way == Way::TwoShops { 2 } else { 1 };
        let ground = Ground::open(setup.engine, places, setup.distance, setup.counted, shops).await?;
        let shelf = Shelf::fill(&ground.shop, skus).await?;
        ground.count(setup.counted).await;
        Ok(Self {
            setup,
            callers: 1,
            way,
            shelf,
            server: places.server.filter(|_| setup.engine == Engine::Postgres),
            ground,
            orders: 0,
            units: 0,
        })
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.ground.close().await
    }

    fn tills(&self) -> Vec<Till> {
        match self.way {
            Way::Shop | Way::TwoShops => self.ground.shops.iter().cloned().map(Till::Shop).collect(),
            Way::ByHand(how) => vec![Till::by_hand(&self.ground.by_hand, how)],
        }
    }

    /// What was sold is what the stock, the ledger, the orders and the carts say.
    async fn check(&self) -> Result<()> {
        let name = self.way.name();
        let (orders, units) = (i64::try_from(self.orders)?, i64::try_from(self.units)?);
        let expected = [units, units, units, orders, orders, 2 * orders];
        let found = self.ground.database.numbers(SOLD).await?;
        if found != expected {
            return Err(format!("{name}: sold {expected:?}, found {found:?}").into());
        }
        if self.ground.database.numbers(LEFT).await? != [0] {
            return Err(format!("{name}: not every unit was sold").into());
        }
        let ledger = self.ground.shop.inventory().verify_ledger().await?;
        if ledger.is_consistent() {
            Ok(())
        } else {
            Err(format!("{name}: the levels differ from their ledger").into())
        }
    }
}

impl Stand for CheckoutStand {
    /// So many carts, quoted; then orders of them until the time is over or none is left.
    async fn round(&mut self, most: usize, mut limit: Duration) -> Result<Run> {
        let supply = self.setup.supply;
        if supply == Supply::Half {
            self.shelf.make_scarce(&self.ground.shop, most / 2).await?;
            // Everybody is answered, however long it takes.
            limit *= 60;
        }
        let quotes = self
            .shelf
            .quotes(&self.ground.shop, self.setup.basket, most)
            .await?;
        let before = self.ground.database.numbers(INSERTED).await?;
        self.ground.settle().await;
        let commits = self.ground.commits();
        let cpu = Cpu::now(self.server);
        let begun = Instant::now();
        let sold = sell(&self.tills(), quotes, self.callers, supply, begun + limit).await?;
        let took = begun.elapsed();
        let cpu = Cpu::now(self.server).since(cpu);
        let commits = self.ground.commits().since(commits);
        let after = self.ground.database.numbers(INSERTED).await?;
        self.orders += sold.orders;
        self.units += sold.units;
        self.check().await?;
        Ok(Run {
            samples: sold.samples,
            took,
            cpu,
            commits,
            written: sold.orders,
            inserted: after.iter().sum::<i64>() - before.iter().sum::<i64>(),
        })
    }
}

/// What callers sold.
#[derive(Debug, Default)]
struct Sold {
    samples: Samples,
    orders: usize,
    units: usize,
}

/// So many callers, each placing one order after the other.
async fn sell(
    tills: &[Till],
    quotes: Vec<Quote>,
    callers: usize,
    supply: Supply,
    until: Instant,
) -> Result<Sold> {
    let quotes = Arc::new(Mutex::new(quotes));
    let mut tasks = JoinSet::new();
    for till in tills.iter().cycle().take(callers.max(tills.len())) {
        let (till, quotes) = (till.clone(), Arc::clone(&quotes));
        tasks.spawn(async move {
            let mut sold = Sold::default();
            while Instant::now() < until {
                let next = quotes.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(quote) = next else { break };
                let lines = quote.lines.len();
                let begun = Instant::now();
                let answer = if supply == Supply::Half && !look::has_enough(&till, &quote).await? {
                    Answer::Refused
                } else {
                    till.place(quote).await?
                };
                sold.samples.push(begun.elapsed());
                match answer {
                    Answer::Placed => {
                        sold.orders += 1;
                        sold.units += lines;
                    }
                    Answer::Refused if supply == Supply::Half => {}
                    Answer::Refused => return Err("refused, and there was enough".into()),
                }
            }
            Result::Ok(sold)
        });
    }
    let mut all = Sold::default();
    while let Some(sold) = tasks.join_next().await {
        let sold = sold??;
        all.samples.append(sold.samples);
        all.orders += sold.orders;
        all.units += sold.units;
    }
    Ok(all)
}
