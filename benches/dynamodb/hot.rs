//! A hot SKU: many orders of one thing, through the shop and with a transaction for each order, while every item takes one
//! write after the other, 5 ms each.
//!
//! Twice: on DynamoDB Local, which takes longer for a large transaction than an item is busy, so that its own time is most of
//! what is measured; and on items in memory that answer at once, where nothing is left but the items that are busy and the
//! crate.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::IdempotencyKey;
use stockroom::Place;
use stockroom::testkit::dynamodb::DynamoFault;
use stockroom::testkit::dynamodb::DynamoFaults;
use stockroom::testkit::dynamodb::Meeting;
use tokio::task::JoinSet;

use crate::Result;
use crate::by_hand::ByHand;
use crate::ground::Ground;
use crate::ground::client;

/// Callers at once.
const CALLERS: usize = 128;

/// How long a write has an item to itself.
const BUSY: Duration = Duration::from_millis(5);

/// What stands behind the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Local,
    Memory,
}

/// What one way took.
struct Took {
    rate: f64,
    transactions: u64,
    writes: u64,
}

pub(crate) async fn measure(url: &str, orders: usize) -> Result<()> {
    println!("{orders} orders of one SKU, {CALLERS} callers, every item takes a write each {BUSY:?}");
    println!(
        "{:<54} {:>10} {:>14} {:>16}",
        "", "orders/s", "transactions", "writes of level"
    );
    for (engine, name) in [
        (
            Engine::Memory,
            "items in memory, a double of the service that takes no time",
        ),
        (Engine::Local, "DynamoDB Local"),
    ] {
        println!("{name}");
        for (meeting, name) in [
            (
                Meeting::Conflicts,
                "who meets a write is cancelled, as on the service",
            ),
            (Meeting::Waits, "who meets a write waits, kinder than the service"),
        ] {
            println!("  {name}");
            let prefix = format!("hot-{engine:?}-{meeting:?}-").to_lowercase();
            let own = shop(url, &prefix, orders, &faults(engine, meeting)).await?;
            tell("stockroom", &own);
            let other = by_hand(url, &format!("{prefix}by-hand"), orders, &faults(engine, meeting)).await?;
            tell("one transaction an order", &other);
            println!(
                "    {:<50} {:>9.1}x",
                "stockroom beside it",
                own.rate / other.rate
            );
        }
    }
    Ok(())
}

fn tell(way: &str, took: &Took) {
    println!(
        "    {way:<50} {:>10.0} {:>14} {:>16}",
        took.rate, took.transactions, took.writes
    );
}

fn faults(engine: Engine, meeting: Meeting) -> DynamoFaults {
    let faults = DynamoFaults::new(1);
    faults.set_busy(BUSY, meeting);
    if engine == Engine::Memory {
        faults.answer_from_memory();
    }
    faults
}

async fn shop(url: &str, prefix: &str, orders: usize, faults: &DynamoFaults) -> Result<Took> {
    let ground = Arc::new(Ground::open(url, prefix, faults).await?);
    ground.stock("MUG", i64::try_from(orders)?).await?;
    let mut quotes = Vec::new();
    for _ in 0..orders {
        let cart = ground.cart(&["MUG"]).await?;
        quotes.push(ground.shop.checkout().quote(cart).await?);
    }
    let (quotes, seller) = (Arc::new(quotes), ground.clone());
    let took = timed(faults, orders, move |number| {
        let (ground, quote) = (seller.clone(), quotes[number].clone());
        async move {
            let key = IdempotencyKey::new(format!("order-{number}"))?;
            ground.shop.checkout().place(Place::quote(quote).key(key)).await?;
            Ok(())
        }
    });
    let took = took.await?;
    let level = ground.shop.inventory().levels("MUG").await?;
    let available: i64 = level.iter().map(stockroom::Level::available).sum();
    ground.shop.close().await;
    sold_out(available == 0)?;
    Ok(took)
}

async fn by_hand(url: &str, table: &str, orders: usize, faults: &DynamoFaults) -> Result<Took> {
    let stand = ByHand::open(client(url, faults), table, orders).await?;
    let seller = stand.clone();
    let took = timed(faults, orders, move |number| {
        let stand = seller.clone();
        async move { stand.place(number).await.map(drop) }
    });
    let took = took.await?;
    sold_out(stand.available().await? == "0")?;
    Ok(took)
}

fn sold_out(is_so: bool) -> Result<()> {
    if is_so {
        Ok(())
    } else {
        Err("not every unit was sold".into())
    }
}

/// Does the work of every number with all callers, while items are busy.
async fn timed<F, Fut>(faults: &DynamoFaults, orders: usize, work: F) -> Result<Took>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    faults.plant(DynamoFault::BusyItem, 100);
    faults.reset_counts();
    let (next, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (work, next) = (work.clone(), next.clone());
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= orders {
                    return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(());
                }
                work(number).await?;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    let length = begun.elapsed();
    faults.heal();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = orders as f64 / length.as_secs_f64();
    Ok(Took {
        rate,
        transactions: faults.counts().requests("TransactWriteItems"),
        writes: faults.hottest_item(),
    })
}
