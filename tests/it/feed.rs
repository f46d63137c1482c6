//! The feed of PostgreSQL under transactions that end in another order than they begin and number in.

mod pages;
mod schedule;
mod ways;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use schedule::Step;
use schedule::Step::Abort;
use schedule::Step::Begin;
use schedule::Step::Commit;
use schedule::Step::Live;
use schedule::Step::Number;
use schedule::Step::Page;
use schedule::Step::Poll;
use schedule::Step::PollWhile;
use schedule::Wrong;
use schedule::connect;
use schedule::execute;
use stockroom::NewProduct;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::error::ErrorKind;
use stockroom::spi::changes::FeedRead;
use stockroom::spi::changes::PartitionId;
use stockroom::spi::store::Store as _;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Postgres;
use uuid::Uuid;
use ways::Broken;
use ways::Feed;
use ways::Plant;
use ways::Way as _;
use ways::deadline;

use crate::support::Dice;
use crate::support::Ground;
use crate::support::until;

/// The transaction of the lower id waits for that of the higher one, and commits the newer version after it.
const LOWER_ID_HAS_THE_NEWER_VERSION: &[Step] = &[
    Begin(1),
    Begin(2),
    Number(2, 1, 1),
    Commit(2),
    Number(1, 1, 2),
    Commit(1),
];

/// A change is numbered, and commits after one of a higher number was read.
const LOWER_NUMBER_COMMITS_LATER: &[Step] = &[
    Begin(1),
    Number(1, 1, 1),
    Begin(2),
    Number(2, 2, 1),
    Commit(2),
    Poll,
    Live,
    Commit(1),
];

/// As before, and the one that is still open has the higher id: no snapshot lists it, since none past it has ended.
const OPEN_PAST_THE_LAST_THAT_ENDED: &[Step] = &[
    Begin(1),
    Begin(2),
    Number(2, 2, 1),
    Number(1, 1, 1),
    Commit(1),
    Poll,
    Live,
    Commit(2),
];

/// A transaction commits while the reader looks for the floor and the snapshot.
const COMMITS_BETWEEN_TWO_LOOKS: &[Step] = &[
    Begin(1),
    Number(1, 1, 1),
    PollWhile(1),
    Poll,
    Begin(2),
    Number(2, 2, 1),
    Commit(2),
];

/// Pages of one change, and commits of lower and of higher numbers between them.
const COMMITS_BETWEEN_PAGES: &[Step] = &[
    Begin(1),
    Number(1, 1, 1),
    Begin(2),
    Number(2, 2, 1),
    Number(2, 3, 1),
    Number(2, 4, 1),
    Begin(3),
    Number(3, 5, 1),
    Commit(2),
    Page,
    Commit(1),
    Begin(4),
    Number(4, 1, 2),
    Commit(4),
    Page,
    Commit(3),
    Page,
    Begin(2),
    Number(2, 2, 2),
    Abort(2),
    Begin(2),
    Number(2, 2, 2),
    Commit(2),
    Page,
    Page,
    Page,
];

const SCHEDULES: [(&str, &[Step]); 5] = [
    ("lower id has the newer version", LOWER_ID_HAS_THE_NEWER_VERSION),
    ("lower number commits later", LOWER_NUMBER_COMMITS_LATER),
    ("open past the last that ended", OPEN_PAST_THE_LAST_THAT_ENDED),
    ("commits between two looks", COMMITS_BETWEEN_TWO_LOOKS),
    ("commits between pages", COMMITS_BETWEEN_PAGES),
];

/// A server on which no other transactions run, so that ids are as the schedules want them.
async fn quiet() -> Option<(Postgres, Ground)> {
    let (server, ground) = Ground::own_server().await?;
    let mut connection = connect(server.url(), "public").await;
    execute(&mut connection, "ALTER SYSTEM SET autovacuum = off").await;
    execute(&mut connection, "SELECT pg_reload_conf()").await;
    Some((server, ground))
}

/// A store in a schema of its own.
async fn store(url: &str) -> (PostgresStore, String) {
    let schema = format!("feed_{}", Uuid::now_v7().simple());
    let store = PostgresStore::connect(PostgresOptions::new(url).schema(&schema)).await;
    (store.unwrap(), schema)
}

async fn by_the_feed(url: &str, steps: &[Step], limit: usize) -> BTreeSet<Wrong> {
    let (store, schema) = store(url).await;
    let mut feed = Feed::new(store.changes().unwrap(), limit);
    let wrong = schedule::run(url, &schema, steps, &mut feed).await;
    store.close().await;
    wrong
}

async fn by_a_broken_reader(url: &str, steps: &[Step], plant: Plant) -> BTreeSet<Wrong> {
    let (store, schema) = store(url).await;
    let mut broken = Broken::new(plant, connect(url, &schema).await);
    let wrong = schedule::run(url, &schema, steps, &mut broken).await;
    store.close().await;
    wrong
}

#[tokio::test]
async fn every_schedule_is_read_exactly_once_and_in_order() {
    let Some((server, _ground)) = quiet().await else {
        return;
    };
    for (name, steps) in SCHEDULES {
        for limit in [1, 2, 100] {
            let wrong = by_the_feed(server.url(), steps, limit).await;
            assert_eq!(wrong, BTreeSet::new(), "{name}, in pages of {limit}");
        }
    }
}

#[tokio::test]
async fn each_planted_way_to_read_is_caught_by_a_schedule() {
    let Some((server, _ground)) = quiet().await else {
        return;
    };
    let mut caught: BTreeMap<Plant, Vec<&str>> = BTreeMap::new();
    for plant in Plant::ALL {
        for (name, steps) in SCHEDULES {
            let wrong = by_a_broken_reader(server.url(), steps, plant).await;
            if !wrong.is_empty() {
                println!("{plant:?} | {name} | {wrong:?}");
                caught.entry(plant).or_default().push(name);
            }
        }
    }
    let by = |plant| caught.get(&plant).cloned().unwrap_or_default();
    assert!(by(Plant::ByNumber).contains(&"lower number commits later"));
    assert!(by(Plant::ByTransaction).contains(&"lower id has the newer version"));
    assert!(by(Plant::ByTransaction).contains(&"lower number commits later"));
    assert!(by(Plant::SyntheticSnapshot).contains(&"lower number commits later"));
    assert!(by(Plant::ListedOnly).contains(&"open past the last that ended"));
    assert!(by(Plant::WithoutListed).contains(&"commits between pages"));
    assert!(by(Plant::FloorBefore).contains(&"commits between two looks"));
}

#[tokio::test]
async fn sixteen_sessions_in_any_order_are_read_exactly_once_and_in_order() {
    let Some(ground) = Ground::postgres().await else {
        return;
    };
    let mut dice = Dice::new("feed");
    for limit in [1, 3, 50] {
        let steps = schedule::random(&mut dice, 600);
        let wrong = by_the_feed(ground.url(), &steps, limit).await;
        assert_eq!(wrong, BTreeSet::new(), "in pages of {limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transaction_that_stays_open_holds_no_writer_back() {
    let Some(ground) = Ground::postgres().await else {
        return;
    };
    let shop = ground.open().await;
    let options = PostgresOptions::new(ground.url()).schema(ground.schema().unwrap());
    let store = Arc::new(PostgresStore::connect(options).await.unwrap());
    let mut feed = Feed::new(store.changes().unwrap(), 10);
    let mut open = connect(ground.url(), ground.schema().unwrap()).await;
    execute(&mut open, &format!("BEGIN; {}", schedule::insert(&[(1, 1)]))).await;
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let shop = shop.clone();
            tokio::spawn(async move {
                let product = NewProduct::new(format!("Mug {number}"));
                shop.products().create(product).await.unwrap();
            })
        })
        .collect();
    let mut given = BTreeSet::new();
    let mut count = 0;
    until("everything of the others comes", async || {
        let changes = feed.poll().await;
        count += changes.len();
        given.extend(changes);
        given.len() == 64
    })
    .await;
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(!given.contains(&(1, 1)), "what is not committed was given");
    execute(&mut open, "COMMIT").await;
    assert_eq!(feed.poll().await, [(1, 1)]);
    assert_eq!(count, 64, "something was given twice");
    let mut onlooker = connect(ground.url(), ground.schema().unwrap()).await;
    assert_eq!(ways::table(&mut onlooker).await.len(), 65);
    store.close().await;
}

#[tokio::test]
async fn a_server_in_recovery_is_refused() {
    let Some(server) = engines::require(Postgres::spawn().await).unwrap() else {
        return;
    };
    let (store, _) = store(server.url()).await;
    let source = store.changes().unwrap();
    let tail = source.tail(deadline()).await.unwrap();
    let mut connection = connect(server.url(), "public").await;
    let row = sqlx::query("SHOW data_directory")
        .fetch_one(&mut connection)
        .await;
    let folder: String = sqlx::Row::get(&row.unwrap(), 0);
    server.stop().await.unwrap();
    std::fs::write(format!("{folder}/standby.signal"), "").unwrap();
    server.restart().await.unwrap();
    // No session is worked with on such a server; if one were, it could not tell what is complete.
    let soon = || stockroom::resilience::Deadline::within(Duration::from_millis(500));
    let refusals = [ErrorKind::Unavailable, ErrorKind::Unsupported, ErrorKind::Timeout];
    for after in [None, Some(&tail[0].1)] {
        let read = FeedRead {
            partition: &PartitionId::new("0"),
            after,
            limit: 10,
        };
        let answer = source.read(read, soon()).await;
        assert!(refusals.contains(&answer.unwrap_err().kind()));
    }
    assert!(refusals.contains(&source.tail(soon()).await.unwrap_err().kind()));
    store.close().await;
}
