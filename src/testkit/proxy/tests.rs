//! Behaviour of the proxy, in front of a real PostgreSQL: what is counted, and what is lost.

mod line;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Loss, Proxy, When};
use crate::testkit::engines::{Postgres, require};

/// Long enough for a slow machine; no test waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A table of its own behind a proxy of its own.
struct Bench {
    postgres: &'static Postgres,
    proxy: Arc<Proxy>,
    table: String,
}

impl Bench {
    /// `None` where no server is installed.
    async fn start(table: &str) -> Option<Self> {
        let postgres = require(Postgres::shared().await).expect("a server")?;
        let proxy = Arc::new(Proxy::start(postgres.address()).await.expect("a proxy"));
        let bench = Self {
            postgres,
            proxy,
            table: format!("proxy_{table}"),
        };
        let table = &bench.table;
        let create = format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (n BIGINT PRIMARY KEY)");
        bench
            .direct()
            .await
            .execute(sqlx::AssertSqlSafe(create))
            .await
            .expect("a table");
        Some(bench)
    }

    async fn direct(&self) -> PgConnection {
        PgConnection::connect(self.postgres.url())
            .await
            .expect("a direct connection")
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.postgres.url_through(self.proxy.address())).await
    }

    async fn client(&self) -> PgConnection {
        self.connect().await.expect("a connection through the proxy")
    }

    async fn insert(&self, connection: &mut PgConnection, n: i64) -> sqlx::Result<()> {
        let sql = format!("INSERT INTO {} VALUES ($1)", self.table);
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(n)
            .execute(connection)
            .await
            .map(drop)
    }

    async fn rows(&self) -> Vec<i64> {
        let sql = format!("SELECT n FROM {} ORDER BY n", self.table);
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut self.direct().await)
            .await
            .expect("the rows")
    }

    async fn until_rows(&self, wanted: &[i64]) {
        let deadline = Instant::now() + PATIENCE;
        while self.rows().await != wanted {
            assert!(Instant::now() < deadline, "the rows did not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn round_trips_are_counted_as_the_server_sees_them() {
    let Some(bench) = Bench::start("counts").await else {
        return;
    };
    let mut client = bench.client().await;
    bench.proxy.reset_counts();

    bench.insert(&mut client, 1).await.expect("a row");
    assert_eq!(
        bench.proxy.counts().round_trips,
        2,
        "prepare, run: {:?}",
        bench.proxy.recent()
    );
    bench.insert(&mut client, 2).await.expect("a row");
    assert_eq!(
        bench.proxy.counts().round_trips,
        3,
        "a prepared statement is run in one"
    );
    client
        .execute("SELECT 1; SELECT 2")
        .await
        .expect("two statements");
    assert_eq!(
        bench.proxy.counts().round_trips,
        4,
        "a simple query is one, however many statements"
    );

    let recent = bench.proxy.recent();
    assert!(recent[0].starts_with("prepare: INSERT INTO"), "{recent:?}");
    assert!(recent[1].starts_with("INSERT INTO"), "{recent:?}");
    assert_eq!(recent[1], recent[2]);
    assert_eq!(recent[3], "SELECT 1; SELECT 2");
    assert_eq!(
        (bench.proxy.counts().connections, bench.proxy.counts().lost),
        (0, 0)
    );
    bench.client().await;
    assert_eq!(bench.proxy.counts().connections, 1);
}

#[tokio::test]
async fn a_large_reply_passes_whole() {
    let Some(bench) = Bench::start("large").await else {
        return;
    };
    let sql = "SELECT repeat('x', 3000000) FROM generate_series(1, 3)";
    let rows: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&mut bench.client().await)
        .await
        .expect("rows");
    assert_eq!(rows.iter().map(String::len).collect::<Vec<_>>(), [3_000_000; 3]);
}

#[tokio::test]
async fn a_lost_request_is_never_applied() {
    let Some(bench) = Bench::start("request").await else {
        return;
    };
    let mut client = bench.client().await;
    bench.insert(&mut client, 1).await.expect("a row");
    bench.proxy.lose(Loss::Request, When::Next);
    assert!(bench.insert(&mut client, 2).await.is_err());
    assert_eq!(bench.rows().await, [1]);
    bench
        .insert(&mut bench.client().await, 3)
        .await
        .expect("the fault struck once");
    assert_eq!(bench.rows().await, [1, 3]);
    assert_eq!(bench.proxy.counts().lost, 1);
}

#[tokio::test]
async fn a_lost_reply_was_applied_before_the_client_knew() {
    let Some(bench) = Bench::start("reply").await else {
        return;
    };
    let mut client = bench.client().await;
    for n in 0..50 {
        bench.proxy.lose_sql("INSERT INTO", Loss::Reply, When::Next);
        assert!(bench.insert(&mut client, n).await.is_err());
        assert_eq!(
            bench.rows().await,
            (0..=n).collect::<Vec<_>>(),
            "it is there at once"
        );
        client = bench.client().await;
    }
    assert_eq!(bench.proxy.counts().lost, 50);
}

#[tokio::test]
async fn a_late_request_is_applied_after_the_client_was_cut() {
    let Some(bench) = Bench::start("late").await else {
        return;
    };
    let mut client = bench.client().await;
    bench.insert(&mut client, 1).await.expect("a row");
    bench
        .proxy
        .lose_sql("INSERT INTO", Loss::LateRequest(Duration::ZERO), When::Next);
    assert!(bench.insert(&mut client, 2).await.is_err());
    bench.until_rows(&[1, 2]).await;

    let mut client = bench.client().await;
    bench
        .proxy
        .lose_sql("INSERT INTO", Loss::LateRequest(PATIENCE * 100), When::Next);
    assert!(bench.insert(&mut client, 3).await.is_err());
    assert_eq!(bench.rows().await, [1, 2], "not yet");
}

#[tokio::test]
async fn only_the_commit_is_lost_when_only_the_commit_is_named() {
    let Some(bench) = Bench::start("commit").await else {
        return;
    };
    for (loss, rows) in [(Loss::Request, vec![]), (Loss::Reply, vec![1])] {
        let mut client = bench.client().await;
        bench.proxy.lose_sql("COMMIT", loss, When::Next);
        let mut transaction = client.begin().await.expect("a transaction");
        bench
            .insert(&mut transaction, 1)
            .await
            .expect("an insert within it");
        assert!(transaction.commit().await.is_err(), "{loss:?}");
        assert_eq!(bench.rows().await, rows, "{loss:?}");
    }
}

#[tokio::test]
async fn under_load_every_loss_is_one_error_and_one_known_outcome() {
    let Some(bench) = Bench::start("load").await else {
        return;
    };
    let bench = Arc::new(bench);
    bench.proxy.lose_sql("INSERT INTO", Loss::Reply, When::Every(5));
    bench.proxy.lose_sql("INSERT INTO", Loss::Request, When::Every(7));
    let tasks: Vec<_> = (0..8_i64)
        .map(|task| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let (mut client, mut errors) = (bench.client().await, 0_u64);
                for n in 0..100 {
                    if bench.insert(&mut client, task * 100 + n).await.is_err() {
                        errors += 1;
                        client = bench.client().await;
                    }
                }
                errors
            })
        })
        .collect();
    let mut errors = 0;
    for task in tasks {
        errors += task.await.expect("a task");
    }
    // Both rules count the 800 runs; every 35th is the first rule's.
    let (replies, requests) = (800 / 5, 800 / 7 - 800 / 35);
    assert_eq!(errors, replies + requests);
    assert_eq!(bench.proxy.counts().lost, errors);
    assert_eq!(bench.rows().await.len() as u64, 800 - requests);
}

#[tokio::test]
async fn an_opaque_proxy_breaks_any_protocol_of_requests_and_replies() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = server.local_addr().expect("its address");
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = server.accept().await {
            let mut bytes = [0; 16];
            while let Ok(length @ 1..) = client.read(&mut bytes).await {
                heard.send(bytes[0]).expect("a listener");
                client.write_all(&bytes[..length]).await.expect("a client");
            }
        }
    });
    let proxy = Proxy::start_opaque(target).await.expect("a proxy");
    let ask = async |byte: u8| {
        let mut client = TcpStream::connect(proxy.address()).await.expect("a connection");
        client.write_all(&[byte]).await.expect("sent");
        let mut reply = [0];
        matches!(client.read(&mut reply).await, Ok(1) if reply[0] == byte)
    };
    assert!(ask(1).await);
    assert_eq!(hears.recv().await, Some(1));
    proxy.lose(Loss::Reply, When::Next);
    assert!(!ask(2).await);
    assert_eq!(hears.recv().await, Some(2), "heard, not answered");
    proxy.lose(Loss::Request, When::Next);
    assert!(!ask(3).await);
    assert!(ask(4).await);
    assert_eq!(hears.recv().await, Some(4), "the third was never heard");
    assert_eq!(proxy.counts().lost, 2);
}
