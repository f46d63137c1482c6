//! Behaviour of the PostgreSQL engine, on the real one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::{EngineError, Postgres, judge, require, setting};

/// Set in the child process of the test that kills a process.
const VICTIM: &str = "STOCKROOM_TEST_ENGINE_VICTIM";

async fn connect(postgres: &Postgres) -> PgConnection {
    PgConnection::connect(postgres.url()).await.expect("a connection")
}

async fn ask(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql)
        .fetch_one(connection)
        .await
        .expect("an answer")
}

async fn data_folder(postgres: &Postgres) -> String {
    ask(&mut connect(postgres).await, "SHOW data_directory").await
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_of_our_own_is_durable_and_wants_a_password() {
    let Some(postgres) = require(Postgres::shared().await).expect("a server") else {
        return;
    };
    if !postgres.is_ours() {
        return;
    }
    let mut connection = connect(postgres).await;
    assert_eq!(ask(&mut connection, "SHOW fsync").await, "on");
    assert_eq!(ask(&mut connection, "SHOW synchronous_commit").await, "on");
    assert_eq!(ask(&mut connection, "SHOW full_page_writes").await, "on");
    assert_eq!(ask(&mut connection, "SHOW max_connections").await, "300");
    assert_eq!(ask(&mut connection, "SHOW server_encoding").await, "UTF8");

    let wrong = postgres
        .url()
        .replacen("postgres://stockroom:", "postgres://stockroom:wrong", 1);
    let refused = PgConnection::connect(&wrong).await.expect_err("a wrong password");
    assert_eq!(
        refused
            .as_database_error()
            .and_then(|error| error.code())
            .as_deref(),
        Some("28P01")
    );
    assert!(
        !format!("{postgres:?}").contains("stockroom:"),
        "the password stays out of Debug"
    );
}

#[tokio::test]
async fn what_was_committed_outlives_a_crash_and_a_stop() {
    let Some(postgres) = require(Postgres::spawn().await).expect("a server") else {
        return;
    };
    let (url, address) = (postgres.url().to_owned(), postgres.address());
    let mut connection = connect(&postgres).await;
    sqlx::query("CREATE TABLE kept (n INT)")
        .execute(&mut connection)
        .await
        .expect("a table");
    sqlx::query("INSERT INTO kept VALUES (1)")
        .execute(&mut connection)
        .await
        .expect("a row");

    postgres.crash().await.expect("a crash");
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nothing listens after a crash"
    );
    assert!(
        sqlx::query("SELECT 1").execute(&mut connection).await.is_err(),
        "its sessions are gone"
    );
    postgres.crash().await.expect("a crash of nothing");

    postgres.restart().await.expect("a start after a crash");
    assert_eq!((postgres.url(), postgres.address()), (url.as_str(), address));
    let mut connection = connect(&postgres).await;
    assert_eq!(ask(&mut connection, "SELECT sum(n)::text FROM kept").await, "1");

    postgres.stop().await.expect("a stop with an open session");
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nothing listens after a stop"
    );
    postgres.restart().await.expect("a start after a stop");
    postgres.restart().await.expect("a restart while it runs");
    assert_eq!(
        ask(&mut connect(&postgres).await, "SELECT sum(n)::text FROM kept").await,
        "1"
    );
}

#[tokio::test]
async fn a_dropped_server_is_gone_with_its_folder() {
    let Some(postgres) = require(Postgres::spawn().await).expect("a server") else {
        return;
    };
    let (address, folder) = (postgres.address(), data_folder(&postgres).await);
    assert!(Path::new(&folder).exists());
    drop(postgres);
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!Path::new(&folder).exists());
}

/// Runs itself as a child process, which starts a server and waits to be killed.
#[tokio::test]
async fn the_server_of_a_killed_process_goes_with_it() {
    let Some(postgres) = require(Postgres::spawn().await).expect("a server") else {
        return;
    };
    if setting(VICTIM).is_some() {
        println!("\nserver {} {}", postgres.address(), data_folder(&postgres).await);
        std::future::pending::<()>().await;
    }
    drop(postgres);

    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "--nocapture",
            "testkit::engines::tests::the_server_of_a_killed_process_goes_with_it",
        ])
        .env(VICTIM, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child process");
    let output = BufReader::new(victim.stdout.take().expect("its output"));
    let line = output
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("server "))
        .expect("its server");
    let (address, folder) = line
        .trim_start_matches("server ")
        .split_once(' ')
        .expect("two words");
    std::net::TcpStream::connect(address).expect("it runs");

    victim.kill().expect("SIGKILL");
    victim.wait().expect("its end");
    eventually("the server ended", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    eventually("its folder gone", || !Path::new(folder).exists()).await;
}

#[tokio::test]
async fn a_given_server_is_not_ours_to_stop() {
    let given = Postgres::given("postgres://me:word@127.0.0.1:6000/shop")
        .await
        .expect("a URL");
    assert!(!given.is_ours());
    assert_eq!(given.address().to_string(), "127.0.0.1:6000");
    assert!(matches!(given.stop().await, Err(EngineError::NotOurs { .. })));
    assert!(matches!(given.crash().await, Err(EngineError::NotOurs { .. })));
    assert!(matches!(
        Postgres::given("nonsense").await,
        Err(EngineError::Setting { .. })
    ));
    let proxy = std::net::SocketAddr::from(([127, 0, 0, 1], 7000));
    assert_eq!(given.url_through(proxy), "postgres://me:word@127.0.0.1:7000/shop");
}

fn missing() -> Result<(), EngineError> {
    Err(EngineError::Missing {
        engine: "An engine that no one has",
        install: "nothing to do",
    })
}

#[test]
fn a_missing_engine_is_a_skip_on_a_laptop_and_a_failure_in_ci() {
    let mut said = Vec::new();
    assert!(matches!(judge(missing(), false, &mut said), Ok(None)));
    let said = String::from_utf8(said).expect("text");
    assert!(
        said.starts_with("SKIPPED ") && said.contains("nothing to do"),
        "{said}"
    );

    let mut said = Vec::new();
    assert!(matches!(
        judge(missing(), true, &mut said),
        Err(EngineError::Missing { .. })
    ));
    assert!(matches!(judge(Ok(7), true, &mut said), Ok(Some(7))));
    assert!(said.is_empty());
}

#[test]
fn an_engine_that_fails_to_start_is_a_failure_everywhere() {
    for is_ci in [false, true] {
        let failed = Err::<(), _>(EngineError::Failed {
            engine: "x",
            step: "start",
            output: String::new(),
        });
        assert!(judge(failed, is_ci, &mut std::io::sink()).is_err());
    }
}
