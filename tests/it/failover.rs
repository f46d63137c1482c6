//! The writer is lost and a replica takes its place: what was acknowledged is there, once, and nothing else works on.

mod told;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::ErrorKind;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::spi::store::Migrate;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Postgres;
use stockroom::testkit::proxy::Direction;
use stockroom::testkit::proxy::Line;
use stockroom::testkit::proxy::Loss;
use stockroom::testkit::proxy::Proxy;
use stockroom::testkit::proxy::When;

use self::told::Told;
use self::told::assert_true;
use self::told::trade;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::until;

/// What the commit of a batch begins with, and no other statement.
const COMMIT: &str = "/* stockroom commit */";
/// Longer than a failover takes here.
const DEADLINE: Duration = Duration::from_secs(20);
const CALLERS: usize = 16;

/// A writer and its replica, and an address that leads to the writer.
struct Pair {
    writer: Postgres,
    replica: Postgres,
    address: Proxy,
    ground: Ground,
}

impl Pair {
    async fn start() -> Option<Self> {
        let writer = engines::require(Postgres::spawn().await).unwrap()?;
        let replica = writer.replica().await.unwrap();
        let address = Proxy::start(writer.address()).await.unwrap();
        let ground = Ground::at(&writer.url_through(address.address()));
        Some(Self {
            writer,
            replica,
            address,
            ground,
        })
    }

    /// The same shop as `ground`, straight on one of the servers.
    fn on(&self, server: &Postgres) -> Ground {
        self.ground.with_url(server.url())
    }
}

async fn prepare(ground: &Ground) -> Shop {
    let shop = ground.open().await;
    shop.stock("MUG", 1_000_000).await;
    for sku in ["INBOX", "CART"] {
        shop.stock(sku, 1).await;
    }
    shop
}

/// Waits until the replica has what the writer has; it cannot be waited for otherwise, since commits do not.
async fn caught_up(pair: &Pair) {
    let lsn = pair
        .on(&pair.writer)
        .texts("SELECT pg_current_wal_lsn()::text")
        .await;
    let there = format!("SELECT (pg_last_wal_replay_lsn() >= '{}')::text", lsn[0]);
    let replica = pair.on(&pair.replica);
    until("the replica has it", async || {
        replica.texts(&there).await == ["true"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_failovers_once() {
    let Some(mut pair) = Pair::start().await else {
        return;
    };
    let rounds = if engines::setting("STOCKROOM_SOAK").is_some() {
        20
    } else {
        2
    };
    pair.writer.wait_for_replicas().await.unwrap();
    let shop = prepare(&pair.ground).await;
    let mut carts = Vec::new();
    for _ in 0..CALLERS {
        carts.push(shop.cart(&[]).await);
    }
    let told = Arc::new(Mutex::new(Told::default()));
    for round in 0..rounds {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let seller = shop.within(DEADLINE);
        let trading = tokio::spawn({
            let (stop, done, told, carts) = (stop.clone(), done.clone(), told.clone(), carts.clone());
            async move {
                let all = crowd(CALLERS, move |caller| {
                    let (stop, done, seller) = (stop.clone(), done.clone(), seller.clone());
                    let cart = carts[caller];
                    async move {
                        let mut mine = Told::default();
                        for number in 0.. {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            let before = mine.receipts.len();
                            trade(&seller, cart, &format!("{round}-{caller}-{number}"), &mut mine).await;
                            done.fetch_add(u64::from(mine.receipts.len() > before), Ordering::Relaxed);
                        }
                        mine
                    }
                });
                for mine in all.await {
                    told.lock().unwrap().add(mine);
                }
            }
        });
        until("trade goes on", async || done.load(Ordering::Relaxed) > 100).await;
        pair.writer.crash().await.unwrap();
        pair.replica.promote().await.unwrap();
        pair.address.lead_to(pair.replica.address()).await;
        let (begun, before) = (Instant::now(), done.load(Ordering::Relaxed));
        until("writes resume", async || done.load(Ordering::Relaxed) > before).await;
        println!(
            "round {round}: writes resumed {:?} after the promotion",
            begun.elapsed()
        );
        until("trade goes on", async || {
            done.load(Ordering::Relaxed) > before + 100
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        trading.await.unwrap();
        let so_far = told.lock().unwrap().clone();
        assert_true(&shop, &carts, &so_far).await;
        if round + 1 < rounds {
            let fresh = pair.replica.replica().await.unwrap();
            pair.writer = std::mem::replace(&mut pair.replica, fresh);
            pair.writer.wait_for_replicas().await.unwrap();
        }
    }
    let told = told.lock().unwrap();
    println!(
        "{} receipts, {} orders, {} lines; in doubt: {} lines; refused {}",
        told.receipts.len(),
        told.orders.len(),
        told.lines,
        told.doubtful_lines,
        told.refused
    );
}

/// The commit reaches the old writer, which nobody follows any more, and its reply is lost. The truth is with the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reply_lost_in_a_failover_is_resolved_on_the_new_writer() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let shop = prepare(&pair.ground).await;
    caught_up(&pair).await;
    pair.replica.promote().await.unwrap();
    pair.address.lead_new_to(pair.replica.address());
    pair.address.lose_sql(COMMIT, Loss::Reply, When::Next);

    shop.inventory().receive("INBOX", &berlin(), 5).await.unwrap();

    let [old, new] = [
        pair.on(&pair.writer).open().await,
        pair.on(&pair.replica).open().await,
    ];
    assert_eq!(
        old.level("INBOX").await.on_hand,
        6,
        "the old writer had committed"
    );
    assert_eq!(
        new.level("INBOX").await.on_hand,
        6,
        "the new one was not told, or twice"
    );
    assert_eq!(shop.level("INBOX").await.on_hand, 6);
    shop.assert_sound().await;
}

/// As before, but the reply comes late, on a session to the old writer that is alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reply_that_takes_too_long_is_resolved_on_the_new_writer() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    prepare(&pair.ground).await.close().await;
    let (url, schema) = (pair.ground.url(), pair.ground.schema().unwrap());
    let options = PostgresOptions::new(url)
        .schema(schema)
        .statement_timeout(Duration::from_millis(200));
    let shop = Shop::on(PostgresStore::connect(options).await.unwrap()).await;
    shop.inventory().receive("INBOX", &berlin(), 1).await.unwrap();
    caught_up(&pair).await;
    pair.replica.promote().await.unwrap();
    pair.address.lead_new_to(pair.replica.address());
    // Past the limit of the statement and its grace; the connections of before are led to the old writer.
    pair.address.delay(Direction::ToClient, Duration::from_secs(3));
    let connections = pair.address.counts().connections;
    let (writer, address) = (shop.clone(), &pair.address);
    let write = tokio::spawn(async move { writer.inventory().receive("INBOX", &berlin(), 5).await });
    until("it was given up", async || {
        address.counts().connections > connections
    })
    .await;
    pair.address.heal().await;
    write.await.unwrap().unwrap();

    let new = pair.on(&pair.replica).open().await;
    assert_eq!(new.level("INBOX").await.on_hand, 7);
    shop.assert_sound().await;
}

/// The commit is on the new writer, though its reply was lost with the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_that_reached_the_replica_is_not_repeated() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.writer.wait_for_replicas().await.unwrap();
    let shop = prepare(&pair.ground).await;
    pair.address.set_line(Line::Refusing).await;
    pair.address.lose_sql(COMMIT, Loss::Reply, When::Next);
    let (writer, address) = (shop.clone(), &pair.address);
    let write = tokio::spawn(async move { writer.inventory().receive("INBOX", &berlin(), 5).await });
    until("the reply is lost", async || address.counts().lost > 0).await;
    let old = pair.on(&pair.writer);
    let levels = "SELECT sum(on_hand)::text FROM stockroom_levels WHERE sku = 'INBOX'";
    until("it is committed", async || old.texts(levels).await == ["6"]).await;
    pair.writer.crash().await.unwrap();
    pair.replica.promote().await.unwrap();
    pair.address.lead_to(pair.replica.address()).await;
    pair.address.heal().await;
    write.await.unwrap().unwrap();

    assert_eq!(shop.level("INBOX").await.on_hand, 6);
    shop.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_session_learns_of_a_failover_ends_the_others() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let shop = prepare(&pair.ground).await;
    // Several sessions lie idle in the pool.
    let reader = shop.clone();
    crowd(4, move |_| {
        let reader = reader.clone();
        async move { drop(reader.level("INBOX").await) }
    })
    .await;
    caught_up(&pair).await;
    pair.replica.promote().await.unwrap();
    pair.address.lead_new_to(pair.replica.address());
    // The committer's sessions alone are ended; the old writer is up, and the readers' sessions with it are alive.
    let old = pair.on(&pair.writer);
    let ended = old
        .texts(&format!(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE query LIKE '{COMMIT}%'"
        ))
        .await;
    assert!(!ended.is_empty() && ended.iter().all(|ended| ended == "true"));
    shop.inventory().receive("INBOX", &berlin(), 5).await.unwrap();
    for _ in 0..8 {
        assert_eq!(shop.level("INBOX").await.on_hand, 6, "read from the old writer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_is_no_writer_and_writes_wait_for_one() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let shop = prepare(&pair.ground).await;
    caught_up(&pair).await;
    let on_replica = PostgresOptions::new(pair.replica.url())
        .schema(pair.ground.schema().unwrap())
        .migrate(Migrate::Check);
    let refused = PostgresStore::connect(on_replica).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);

    pair.address.lead_to(pair.replica.address()).await;
    let connections = pair.address.counts().connections;
    let writing = tokio::spawn({
        let shop = shop.clone();
        async move { shop.inventory().receive("INBOX", &berlin(), 5).await }
    });
    let reading = tokio::spawn({
        let shop = shop.clone();
        async move { shop.inventory().level("INBOX", &berlin()).await }
    });
    let address = &pair.address;
    until("they try", async || {
        address.counts().connections > connections + 20
    })
    .await;
    assert!(!reading.is_finished(), "a replica was read as the writer");
    assert!(!writing.is_finished(), "a replica was taken for the writer");
    pair.replica.promote().await.unwrap();
    writing.await.unwrap().unwrap();
    reading.await.unwrap().unwrap();
    assert_eq!(shop.level("INBOX").await.on_hand, 6);
    shop.assert_sound().await;
}
