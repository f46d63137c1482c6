//! The reply to a commit is lost: every caller that has time learns the truth, and nothing is applied twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::OrderId;
use stockroom::Place;
use stockroom::Quote;
use stockroom::testkit::proxy::Line;
use stockroom::testkit::proxy::Loss;
use stockroom::testkit::proxy::Proxy;
use stockroom::testkit::proxy::When;

use crate::support::Dice;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::key;
use crate::support::until;

/// What the commit of a batch begins with, and no other statement.
const COMMIT: &str = "/* stockroom commit */";
/// Beyond any reconnection.
const DEADLINE: Duration = Duration::from_secs(20);
const CALLERS: usize = 16;

/// What the callers of a load were told.
#[derive(Debug, Default)]
struct Told {
    received: i64,
    placed: Vec<OrderId>,
    errors: Vec<Error>,
    failed_reads: u64,
    /// Orders that were said to be there before, though nobody had used their key.
    replays: u64,
}

/// Whether nothing was written and the same may be tried again, as with a read whose connections were all lost.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// A quote of one mug, tried until the reads come through.
async fn quote(shop: &Shop, told: &mut Told) -> Result<Quote, Error> {
    let cart = shop.try_cart(&[("MUG", 1)]).await?;
    let begun = Instant::now();
    loop {
        match shop.checkout().quote(cart).await {
            Err(error) if is_passing(&error) && begun.elapsed() < DEADLINE => {
                told.failed_reads += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            outcome => return outcome,
        }
    }
}

/// One write with a key, and one without.
async fn trade(shop: &Shop, name: String, told: &mut Told) -> Result<(), Error> {
    shop.inventory().receive("INBOX", &berlin(), 1).await?;
    told.received += 1;
    let quote = quote(shop, told).await?;
    let placed = shop.checkout().place(Place::quote(quote).key(key(name))).await?;
    told.replays += u64::from(placed.replayed);
    told.placed.push(placed.order.id);
    Ok(())
}

/// Trades by many callers until it is enough; every call has the whole deadline.
async fn load(
    shop: &Shop,
    callers: usize,
    enough: impl Fn() -> bool + Clone + Send + Sync + 'static,
) -> Told {
    let seller = shop.within(DEADLINE);
    let told = crowd(callers, move |caller| {
        let (shop, enough) = (seller.clone(), enough.clone());
        async move {
            let mut told = Told::default();
            for number in 0.. {
                if enough() || told.errors.len() > 20 {
                    break;
                }
                if let Err(error) = trade(&shop, format!("order-{caller}-{number}"), &mut told).await {
                    told.errors.push(error);
                }
            }
            told
        }
    });
    told.await.into_iter().fold(Told::default(), |mut sum, told| {
        sum.received += told.received;
        sum.placed.extend(told.placed);
        sum.errors.extend(told.errors);
        sum.failed_reads += told.failed_reads;
        sum.replays += told.replays;
        sum
    })
}

/// Demands that every call was answered with success, and that what was told is what is stored.
async fn assert_true(shop: &Shop, told: &Told) {
    let kinds: BTreeSet<_> = told
        .errors
        .iter()
        .map(|error| format!("{:?}", error.kind()))
        .collect();
    assert!(
        told.errors.is_empty(),
        "{} calls of {kinds:?}, such as {:?}",
        told.errors.len(),
        told.errors[0]
    );
    assert_eq!(shop.level("INBOX").await.on_hand, told.received);
    assert_eq!(
        told.replays, 0,
        "a write was applied twice, which its key has made good"
    );
    let stored: BTreeSet<_> = shop.every_order().await.iter().map(|order| order.id).collect();
    let placed: BTreeSet<_> = told.placed.iter().copied().collect();
    assert_eq!(placed.len(), told.placed.len(), "two calls were given one order");
    assert_eq!(stored, placed);
    assert_eq!(
        shop.level("MUG").await.allocated,
        i64::try_from(placed.len()).unwrap()
    );
    shop.assert_sound().await;
}

async fn prepare(ground: &Ground) -> Shop {
    let shop = ground.open().await;
    shop.stock("MUG", 1_000_000).await;
    shop.inventory().receive("INBOX", &berlin(), 1).await.unwrap();
    shop.inventory()
        .adjust("INBOX", &berlin(), -1, "so that the level is there")
        .await
        .unwrap();
    shop
}

/// Cuts commits before the server has them, after it, and while it gets them late.
fn lose_commits(proxy: &Proxy, dice: &mut Dice) {
    let losses = [
        (Loss::Request, 12),
        (Loss::Reply, 20),
        (Loss::LateRequest(Duration::from_millis(15)), 8),
    ];
    for (loss, percent) in losses {
        proxy.lose_sql(
            COMMIT,
            loss,
            When::Chance {
                percent,
                seed: dice.draw(),
            },
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_lost_replies_leave_no_doubt_and_no_double() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    let shop = prepare(&ground).await;
    let proxy = Arc::new(proxy);
    lose_commits(&proxy, &mut Dice::new("lost commits"));
    proxy.reset_counts();
    let (line, begun) = (Arc::clone(&proxy), Instant::now());
    let told = load(&shop, CALLERS, move || line.counts().lost >= 1_000).await;
    let lost = proxy.counts().lost;
    proxy.heal().await;
    let trades = told.placed.len();
    println!(
        "{lost} commits lost in {:?} under {trades} trades of 3 writes each",
        begun.elapsed()
    );
    assert!(lost >= 1_000);
    assert_true(&shop, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_lost_leaves_no_doubt_and_no_double() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    let shop = prepare(&ground).await;
    let proxy = Arc::new(proxy);
    let mut dice = Dice::new("lost requests of every kind");
    for loss in [
        Loss::Request,
        Loss::Reply,
        Loss::LateRequest(Duration::from_millis(15)),
    ] {
        proxy.lose(
            loss,
            When::Chance {
                percent: 4,
                seed: dice.draw(),
            },
        );
    }
    proxy.reset_counts();
    let line = Arc::clone(&proxy);
    let told = load(&shop, CALLERS, move || line.counts().lost >= 400).await;
    let counts = proxy.counts();
    proxy.heal().await;
    let (trades, reads) = (told.placed.len(), told.failed_reads);
    println!("{counts:?} under {trades} trades; {reads} reads failed and were repeated by the caller");
    assert_true(&shop, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_could_not_wait_learns_the_truth_by_the_same_key() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    let shop = prepare(&ground).await;
    lose_commits(&proxy, &mut Dice::new("impatient callers"));
    let (seller, unknown) = (shop.clone(), Arc::new(AtomicU64::new(0)));
    let doubts = Arc::clone(&unknown);
    let placed = crowd(CALLERS, move |caller| {
        let (patient, doubts) = (seller.within(DEADLINE), Arc::clone(&doubts));
        async move {
            let mut placed = Vec::new();
            for number in 0..40 {
                let quote = quote(&patient, &mut Told::default()).await.unwrap();
                let place = Place::quote(quote).key(key(format!("order-{caller}-{number}")));
                let hasty = patient.within(Duration::from_millis(8));
                if let Err(error) = hasty.checkout().place(place.clone()).await {
                    let expected = [
                        ErrorKind::OutcomeUnknown,
                        ErrorKind::Timeout,
                        ErrorKind::Unavailable,
                    ];
                    assert!(expected.contains(&error.kind()), "{error:?}");
                    doubts.fetch_add(u64::from(error.is(ErrorKind::OutcomeUnknown)), Ordering::Relaxed);
                }
                placed.push(patient.checkout().place(place).await.unwrap().order.id);
            }
            placed
        }
    });
    let placed: BTreeSet<_> = placed.await.into_iter().flatten().collect();
    proxy.heal().await;
    println!(
        "{} calls of 640 ended with an unknown outcome",
        unknown.load(Ordering::Relaxed)
    );
    assert_eq!(placed.len(), CALLERS * 40);
    let stored: BTreeSet<_> = shop.every_order().await.iter().map(|order| order.id).collect();
    assert_eq!(stored, placed);
    shop.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_line_that_goes_silent_under_load_costs_time_and_nothing_else() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    let shop = prepare(&ground).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (seller, done) = (shop.clone(), Arc::clone(&stop));
    let trading = tokio::spawn(async move { load(&seller, 8, move || done.load(Ordering::Relaxed)).await });
    let trades = async || shop.level("INBOX").await.on_hand;
    until("trade goes on", async || trades().await > 40).await;
    proxy.set_line(Line::Silent).await;
    // Not a wait for something: this long the line is cut. It is past the limit of a statement, so that replies count as
    // lost that arrive after all.
    tokio::time::sleep(Duration::from_secs(7)).await;
    proxy.set_line(Line::Up).await;
    let before = trades().await;
    until("trade goes on", async || trades().await > before + 40).await;
    stop.store(true, Ordering::Relaxed);
    let told = trading.await.unwrap();
    println!("{} trades, {} reads failed", told.placed.len(), told.failed_reads);
    assert_true(&shop, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_restarts_under_load_costs_time_and_nothing_else() {
    let Some((server, ground)) = Ground::own_server().await else {
        return;
    };
    let shop = prepare(&ground).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (seller, done) = (shop.clone(), Arc::clone(&stop));
    let trading = tokio::spawn(async move { load(&seller, 8, move || done.load(Ordering::Relaxed)).await });
    let inbox = async || match shop.inventory().level("INBOX", &berlin()).await {
        Ok(level) => level.map_or(0, |level| level.on_hand),
        // The onlooker's own connections are stale too.
        Err(_) => 0,
    };
    for crash in [false, true, false, true] {
        let before = inbox().await;
        until("trade goes on", async || inbox().await > before + 40).await;
        if crash {
            server.crash().await.unwrap();
        }
        server.restart().await.unwrap();
        until("the server answers", async || shop.ping().await.is_ok()).await;
    }
    stop.store(true, Ordering::Relaxed);
    let told = trading.await.unwrap();
    println!("{} trades over two restarts and two crashes", told.placed.len());
    assert_true(&shop, &told).await;
}
