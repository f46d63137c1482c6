//! Reads that may be a while old come from a replica, and are never older than that.

mod contract;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::Place;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Postgres;
use stockroom::testkit::proxy::Line;
use stockroom::testkit::proxy::Proxy;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::until;

/// So long that no test ends it.
const LONG: Duration = Duration::from_secs(600);

/// A writer and a replica, each behind an address that counts, and a shop that knows both.
struct Pair {
    writer: Postgres,
    replica: Postgres,
    to_writer: Proxy,
    to_replica: Proxy,
    ground: Ground,
    shop: Shop,
}

impl Pair {
    async fn start() -> Option<Self> {
        let writer = engines::require(Postgres::spawn().await).unwrap()?;
        let replica = writer.replica().await.unwrap();
        let to_writer = Proxy::start(writer.address()).await.unwrap();
        let to_replica = Proxy::start(replica.address()).await.unwrap();
        let ground = Ground::at(&writer.url_through(to_writer.address()));
        let options = PostgresOptions::new(ground.url())
            .schema(ground.schema().unwrap())
            .replica(replica.url_through(to_replica.address()));
        let shop = Shop::on(PostgresStore::connect(options).await.unwrap()).await;
        shop.stock("MUG", 1).await;
        Some(Self {
            writer,
            replica,
            to_writer,
            to_replica,
            ground,
            shop,
        })
    }

    fn on(&self, server: &Postgres) -> Ground {
        self.ground.with_url(server.url())
    }

    /// Reads until the replica answers.
    async fn proven(&self, shop: &Shop) {
        until("the replica is proven", async || self.asks_replica(shop).await).await;
    }

    /// Whether the replica was asked for a level that was read just now, and gave it.
    async fn asks_replica(&self, shop: &Shop) -> bool {
        self.to_replica.reset_counts();
        self.to_writer.reset_counts();
        drop(shop.level("MUG").await);
        let read = |text: &String| text.contains("stockroom inventory.");
        self.to_replica.recent().iter().any(read) && !self.to_writer.recent().iter().any(read)
    }
}

/// How many mugs there are for somebody who may be late.
async fn mugs(shop: &Shop) -> i64 {
    shop.level("MUG").await.on_hand
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_proven_replica_answers_and_nothing_else_is_asked() {
    let Some(pair) = Pair::start().await else { return };
    let late = pair.shop.stale_up_to(LONG);
    pair.proven(&late).await;
    // The statement is prepared on this session now.
    mugs(&late).await;
    pair.to_replica.reset_counts();
    pair.to_writer.reset_counts();
    for _ in 0..50 {
        assert_eq!(mugs(&late).await, 1);
    }
    assert_eq!(
        pair.to_replica.counts().round_trips,
        50,
        "{:?}",
        pair.to_replica.recent()
    );
    assert_eq!(
        pair.to_writer.counts().round_trips,
        0,
        "{:?}",
        pair.to_writer.recent()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_decides_is_read_from_the_writer() {
    let Some(pair) = Pair::start().await else { return };
    let late = pair.shop.stale_up_to(LONG);
    pair.proven(&late).await;
    pair.on(&pair.replica)
        .texts("SELECT pg_wal_replay_pause()::text")
        .await;
    pair.shop.inventory().receive("MUG", &berlin(), 9).await.unwrap();
    assert_eq!(mugs(&late).await, 1, "the replica was not asked");
    // Ten are there for a quote, for a unit of work and for an order; the replica knows of one.
    let cart = late.cart(&[("MUG", 10)]).await;
    let quote = late.checkout().quote(cart).await.unwrap();
    let place = Place::quote(quote).key(key("ten"));
    let order = late.checkout().place(place).await.unwrap().order.id;
    late.transaction(move |tx| async move { tx.orders().require(order).await.map(drop) })
        .await
        .unwrap();
    assert!(late.inventory().verify_ledger().await.unwrap().is_consistent());
    assert_eq!(
        late.orders().get(order).await.unwrap(),
        None,
        "the replica was not asked"
    );
}

/// What was acknowledged, and when.
type Log = Arc<Mutex<Vec<(Instant, i64)>>>;

/// The least that a read must show that begins now and may be so old.
fn least(log: &Log, bound: Duration, at: Instant) -> i64 {
    let log = log.lock().unwrap();
    let known = log.iter().rev().find(|(when, _)| *when + bound < at);
    known.map_or(0, |(_, units)| *units)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_is_older_than_the_bound_while_the_replica_stops_and_goes_and_dies() {
    const BOUND: Duration = Duration::from_millis(120);
    let Some(pair) = Pair::start().await else { return };
    let (log, stop): (Log, _) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let (shop, log, stop) = (pair.shop.clone(), log.clone(), stop.clone());
        async move {
            for units in 2.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                shop.inventory().receive("MUG", &berlin(), 1).await.unwrap();
                log.lock().unwrap().push((Instant::now(), units));
            }
        }
    });
    let late = pair.shop.stale_up_to(BOUND);
    let replica = pair.on(&pair.replica);
    let look = async |reads: usize| {
        for _ in 0..reads {
            let begun = Instant::now();
            let found = mugs(&late).await;
            let least = least(&log, BOUND, begun);
            assert!(
                found >= least,
                "{found} were read, {least} were there before the bound"
            );
        }
    };
    for _ in 0..3 {
        until("the replica answers", async || {
            look(1).await;
            pair.asks_replica(&late).await
        })
        .await;
        replica.texts("SELECT pg_wal_replay_pause()::text").await;
        until("the writer answers", async || {
            look(20).await;
            !pair.asks_replica(&late).await
        })
        .await;
        look(200).await;
        replica.texts("SELECT pg_wal_replay_resume()::text").await;
    }
    until("the replica answers", async || pair.asks_replica(&late).await).await;
    pair.replica.crash().await.unwrap();
    look(200).await;
    pair.replica.restart().await.unwrap();
    until("the replica answers", async || {
        look(1).await;
        pair.asks_replica(&late).await
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_is_down_or_silent_costs_no_answer() {
    let Some(pair) = Pair::start().await else { return };
    let late = pair.shop.stale_up_to(LONG).within(Duration::from_secs(4));
    pair.proven(&late).await;
    for line in [Line::Silent, Line::Refusing] {
        pair.to_replica.set_line(line).await;
        pair.to_replica.cut_all().await;
        assert_eq!(mugs(&late).await, 1);
        pair.to_replica.heal().await;
        pair.proven(&late).await;
    }
    pair.replica.crash().await.unwrap();
    for _ in 0..5 {
        assert_eq!(mugs(&late).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_a_promoted_replica_are_never_given() {
    let Some(pair) = Pair::start().await else { return };
    let late = pair.shop.stale_up_to(LONG);
    pair.proven(&late).await;
    pair.replica.promote().await.unwrap();
    // The sessions go on, the proof is fresh, and what is written there is not the shop's.
    let astray = pair.on(&pair.replica).open().await;
    astray.inventory().receive("MUG", &berlin(), 700).await.unwrap();
    assert_eq!(mugs(&late).await, 1);
    // Nor is what is absent there.
    let there = pair.shop.stock("CUP", 1).await;
    assert!(late.products().get(there.id).await.unwrap().is_some());
}

/// Two replicas: one becomes the writer, the other goes on following the writer of before, and gets further in its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_of_the_writer_before_a_failover_is_not_believed() {
    let Some(pair) = Pair::start().await else { return };
    let heir = pair.writer.replica().await.unwrap();
    let late = pair.shop.stale_up_to(LONG);
    pair.proven(&late).await;
    heir.promote().await.unwrap();
    pair.to_writer.lead_to(heir.address()).await;
    pair.shop.inventory().receive("MUG", &berlin(), 4).await.unwrap();
    assert_eq!(mugs(&late).await, 5, "the proof is of before the failover");
    let old = pair.on(&pair.writer).open().await;
    for _ in 0..20 {
        old.inventory().receive("MUG", &berlin(), 100).await.unwrap();
    }
    let lsn = pair.on(&heir).texts("SELECT pg_current_wal_lsn()::text").await;
    let further = format!("SELECT (pg_last_wal_replay_lsn() > '{}')::text", lsn[0]);
    let replica = pair.on(&pair.replica);
    until("it is further", async || {
        replica.texts(&further).await == ["true"]
    })
    .await;
    for bound in [LONG, Duration::from_millis(200)] {
        let late = pair.shop.stale_up_to(bound);
        for _ in 0..20 {
            assert_eq!(mugs(&late).await, 5, "read from a line of history that was left");
        }
    }
}

/// After a failover a replica that follows the new writer is believed, as soon as it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_of_the_new_writer_is_used_after_a_failover() {
    let Some(pair) = Pair::start().await else { return };
    let late = pair.shop.stale_up_to(Duration::from_secs(2));
    pair.proven(&late).await;
    pair.writer.crash().await.unwrap();
    pair.replica.promote().await.unwrap();
    pair.to_writer.lead_to(pair.replica.address()).await;
    pair.shop.inventory().receive("MUG", &berlin(), 4).await.unwrap();
    let next = pair.replica.replica().await.unwrap();
    pair.to_replica.lead_to(next.address()).await;
    pair.proven(&late).await;
    assert_eq!(mugs(&late).await, 5);
}
