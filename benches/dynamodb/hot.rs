//! A hot SKU: many orders of one thing, through the shop and with a transaction for each order, while every item takes one
//! write after the other, 5 ms each.

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
    for (name, meeting) in [
        (
            "who meets a write is cancelled, as on the service",
            Meeting::Conflicts,
        ),
        ("who meets a write waits, kinder than the service", Meeting::Waits),
    ] {
        let prefix = format!("hot-{meeting:?}-").to_lowercase();
        let own = shop(url, &prefix, orders, meeting).await?;
        let other = by_hand(url, &format!("{prefix}by-hand"), orders, meeting).await?;
        println!("{name}");
        for (way, took) in [("stockroom", &own), ("one transaction an order", &other)] {
            println!(
                "  {way:<52} {:>10.0} {:>14} {:>16}",
                took.rate, took.transactions, took.writes
            );
        }
        println!("  {:<52} {:>9.1}x", "stockroom beside it", own.rate / other.rate);
    }
    Ok(())
}

fn faults(meeting: Meeting) -> DynamoFaults {
    let faults = DynamoFaults::new(1);
    faults.set_busy(BUSY, meeting);
    faults
}

async fn shop(url: &str, prefix: &str, orders: usize, meeting: Meeting) -> Result<Took> {
    let faults = faults(meeting);
    let ground = Arc::new(Ground::open(url, prefix, &faults).await?);
    ground.stock("MUG", i64::try_from(orders)?).await?;
    let mut quotes = Vec::new();
    for _ in 0..orders {
        let cart = ground.cart(&["MUG"]).await?;
        quotes.push(ground.shop.checkout().quote(cart).await?);
    }
    let (quotes, seller) = (Arc::new(quotes), ground.clone());
    let took = timed(&faults, orders, move |number| {
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

async fn by_hand(url: &str, table: &str, orders: usize, meeting: Meeting) -> Result<Took> {
    let faults = faults(meeting);
    let stand = ByHand::open(client(url, &faults), table, orders).await?;
    let seller = stand.clone();
    let took = timed(&faults, orders, move |number| {
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
