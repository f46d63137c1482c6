//! Where pages of the feed of PostgreSQL end, and what a read of one costs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::spi::changes::PartitionEnd;
use stockroom::spi::store::Store as _;
use stockroom::testkit::engines::Postgres;

use super::quiet;
use super::schedule;
use super::schedule::connect;
use super::schedule::execute;
use super::store;
use super::ways;
use super::ways::Feed;
use super::ways::Way as _;
use super::ways::deadline;
use crate::support::Dice;
use crate::support::Ground;
use crate::support::until;

/// Rows of one to so many changes as there is room for; pages end anywhere in them, and transactions commit meanwhile.
#[tokio::test]
async fn a_page_that_ends_inside_a_row_goes_on_behind_its_last_change() {
    let Some(ground) = Ground::postgres().await else {
        return;
    };
    let mut dice = Dice::new("cuts");
    let (store, schema) = store(ground.url()).await;
    let mut sessions = [
        connect(ground.url(), &schema).await,
        connect(ground.url(), &schema).await,
    ];
    let mut feed = Feed::new(store.changes().unwrap(), 1);
    let (mut versions, mut written, mut given) = (BTreeMap::new(), [Vec::new(), Vec::new()], Vec::new());
    let mut committed = Vec::new();
    for session in &mut sessions {
        execute(session, "BEGIN; SELECT pg_current_xact_id()").await;
    }
    for _ in 0..60 {
        // Each session has aggregates of its own, as if it kept their locks.
        let session = usize::try_from(dice.below(2)).unwrap();
        let count = [1, 2, 30, 128][usize::try_from(dice.below(4)).unwrap()];
        let row: Vec<(u64, i64)> = (0..count)
            .map(|_| {
                let aggregate = 2 * dice.below(5) + u64::try_from(session).unwrap();
                let version = versions.entry(aggregate).or_insert(0);
                *version += 1;
                (aggregate, *version)
            })
            .collect();
        execute(&mut sessions[session], &schedule::insert(&row)).await;
        written[session].extend(row);
        if dice.below(3) == 0 {
            execute(&mut sessions[session], "COMMIT; BEGIN").await;
            committed.append(&mut written[session]);
        }
        let limit = 1 + usize::try_from(dice.below(70)).unwrap();
        let page = feed.read(limit).await;
        assert!(page.changes.len() <= limit);
        given.extend(ways::names(&page));
    }
    for (session, written) in sessions.iter_mut().zip(&mut written) {
        execute(session, "COMMIT").await;
        committed.append(written);
    }
    feed.limit = 50;
    given.extend(feed.poll().await);
    assert_eq!(schedule::judge(&committed, &given), BTreeSet::new());
    assert_eq!(given.len(), committed.len());
    store.close().await;
}

/// Every number of the table is read, however it is planned, without reading the table from end to end.
#[tokio::test]
async fn no_read_of_a_long_table_reads_it_from_end_to_end() {
    let Some((server, _ground)) = quiet().await else {
        return;
    };
    let (store, schema) = store(server.url()).await;
    let mut beside = connect(server.url(), &schema).await;
    let fill = |from: u64, to: u64| {
        format!(
            "INSERT INTO stockroom_changes (entries, versions, keys, at, commit_id) \
             SELECT ARRAY['[\"product\",\"' || gen_random_uuid() || '\",\"put\",\"system\",[]]'], '{{1}}', '{{}}', 0, gen_random_uuid() \
             FROM generate_series({from}, {to})"
        )
    };
    // A transaction that stays open, so that there is something to look for below the floor.
    let mut open = connect(server.url(), &schema).await;
    execute(&mut open, &format!("BEGIN; {}", fill(1, 10))).await;
    execute(&mut beside, &fill(1, 100_000)).await;
    // How often it was read from end to end, and how many rows were fetched by an index.
    let told = |column: &str| {
        format!(
            "SELECT {column} FROM pg_stat_user_tables WHERE relname = 'stockroom_changes' AND schemaname = '{schema}'"
        )
    };
    for analyzed in [false, true] {
        if analyzed {
            execute(&mut beside, "ANALYZE stockroom_changes").await;
        }
        // Opening the store counts nothing: the shop exists.
        let options = PostgresOptions::new(server.url()).schema(&schema);
        let reader = PostgresStore::connect(options).await.unwrap();
        let whole = count(&server, &told("seq_scan")).await;
        let rows = count(&server, &told("idx_tup_fetch")).await;
        let mut feed = Feed::new(reader.changes().unwrap(), 500);
        // From nothing, then inside of the window.
        assert_eq!(feed.read(500).await.end, PartitionEnd::More);
        assert_eq!(feed.read(500).await.changes.len(), 500);
        // A small window at the end, with what was open below the floor.
        let (_, tail) = reader
            .changes()
            .unwrap()
            .tail(deadline())
            .await
            .unwrap()
            .remove(0);
        feed.place = Some(tail);
        execute(&mut beside, &fill(1, 5)).await;
        assert_eq!(feed.read(3).await.changes.len(), 3);
        if !analyzed {
            execute(&mut open, "COMMIT").await;
        }
        let rest = feed.poll().await.len();
        assert_eq!(rest, if analyzed { 2 } else { 12 });
        reader.close().await;
        // Sessions have told what they did when they have ended.
        until("the sessions have ended", async || {
            let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stockroom'";
            count(&server, sessions).await <= 1
        })
        .await;
        assert_eq!(
            count(&server, &told("seq_scan")).await,
            whole,
            "analyzed: {analyzed}"
        );
        let fetched = count(&server, &told("idx_tup_fetch")).await - rows;
        assert!(
            (1_000..5_000).contains(&fetched),
            "{fetched} rows were read, analyzed: {analyzed}"
        );
    }
    store.close().await;
}

async fn count(server: &Postgres, sql: &str) -> i64 {
    use sqlx::Row as _;
    let mut connection = connect(server.url(), "public").await;
    let row = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut connection)
        .await;
    row.unwrap().get(0)
}
