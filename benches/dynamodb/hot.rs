//! A hot SKU: many orders of one thing, through the shop and with a transaction for each order, while every item takes one
//! write after the other, 5 ms each.
//!
//! Twice: on DynamoDB Local, whose own time for a large transaction is longer than an item is busy; and on items in memory that
//! answer at once, where nothing is left but the items that are busy and the crate.
//!
//! DynamoDB Local is new for each way, and warm: it has done as many orders of another SKU. The streams of the shop's tables are
//! off, as those of the table by hand are: with each write it looks through what the streams of other tables have (0.1 s for a
//! hundred items beside five thousand records), which the service does not.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::StreamSpecification;
use futures_util::future::BoxFuture;
use stockroom::IdempotencyKey;
use stockroom::Place;
use stockroom::testkit::dynamodb::DynamoFault;
use stockroom::testkit::dynamodb::DynamoFaults;
use stockroom::testkit::dynamodb::Meeting;
use stockroom::testkit::engines::DynamoDb;
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

pub(crate) async fn measure(orders: usize) -> Result<()> {
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
            let own = shop(orders, &faults(engine, meeting)).await?;
            tell("stockroom", &own);
            let other = by_hand(orders, &faults(engine, meeting)).await?;
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

async fn shop(orders: usize, faults: &DynamoFaults) -> Result<Took> {
    let server = DynamoDb::start_for_benches().await?;
    let ground = Arc::new(Ground::open(server.url(), "hot-", faults).await?);
    without_streams(&client(server.url(), &DynamoFaults::new(1))).await?;
    let warm = buyers(&ground, "WARM", orders).await?;
    all(orders, warm).await?;
    let buyers = buyers(&ground, "MUG", orders).await?;
    let took = timed(faults, orders, buyers).await?;
    let levels = ground.shop.inventory().levels("MUG").await?;
    ground.shop.close().await;
    sold_out(levels.iter().all(|level| level.available() == 0))?;
    Ok(took)
}

/// Whoever buys one of it, by number; they come with their quotes.
async fn buyers(
    ground: &Arc<Ground>,
    sku: &'static str,
    orders: usize,
) -> Result<impl Fn(usize) -> BoxFuture<'static, Result<()>> + Clone + Send + use<>> {
    ground.stock(sku, i64::try_from(orders)?).await?;
    let mut quotes = Vec::new();
    for _ in 0..orders {
        let cart = ground.cart(&[sku]).await?;
        quotes.push(ground.shop.checkout().quote(cart).await?);
    }
    let (quotes, ground) = (Arc::new(quotes), Arc::clone(ground));
    Ok(move |number: usize| -> BoxFuture<'static, Result<()>> {
        let (ground, quote) = (ground.clone(), quotes[number].clone());
        Box::pin(async move {
            let key = IdempotencyKey::new(format!("{sku}-{number}"))?;
            ground.shop.checkout().place(Place::quote(quote).key(key)).await?;
            Ok(())
        })
    })
}

async fn by_hand(orders: usize, faults: &DynamoFaults) -> Result<Took> {
    let server = DynamoDb::start_for_benches().await?;
    let stand = async |table| ByHand::open(client(server.url(), faults), table, orders).await;
    let buyers = |stand: &ByHand| {
        let stand = stand.clone();
        move |number| {
            let stand = stand.clone();
            async move { stand.place(number).await.map(drop) }
        }
    };
    all(orders, buyers(&stand("warm").await?)).await?;
    let stand = stand("hot").await?;
    let took = timed(faults, orders, buyers(&stand)).await?;
    sold_out(stand.available().await? == "0")?;
    Ok(took)
}

/// Turns the streams of all tables off.
async fn without_streams(client: &Client) -> Result<()> {
    let off = StreamSpecification::builder().stream_enabled(false).build()?;
    for table in client.list_tables().send().await?.table_names() {
        let described = client.describe_table().table_name(table).send().await?;
        if described
            .table()
            .is_some_and(|table| table.stream_specification().is_some())
        {
            let update = client.update_table().table_name(table);
            update.stream_specification(off.clone()).send().await?;
        }
    }
    Ok(())
}

fn sold_out(is_so: bool) -> Result<()> {
    if is_so {
        Ok(())
    } else {
        Err("not every unit was sold".into())
    }
}

/// What the work of every number takes while items are busy.
async fn timed<F, Fut>(faults: &DynamoFaults, orders: usize, work: F) -> Result<Took>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    faults.plant(DynamoFault::BusyItem, 100);
    faults.reset_counts();
    let begun = Instant::now();
    all(orders, work).await?;
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

/// Does the work of every number with all callers.
async fn all<F, Fut>(orders: usize, work: F) -> Result<()>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
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
    Ok(())
}
