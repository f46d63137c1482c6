//! What cannot be opened says why, by its kind, and never repeats a password.

use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Migrate;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use stockroom::testkit::engines;
use stockroom::testkit::proxy::Line;
use stockroom::testkit::proxy::Proxy;

use crate::support::Ground;
use crate::support::on;

/// In every address below; in no text that comes back.
const PASSWORD: &str = "s3cret-Passw0rd";

/// Demands the kind, and an error that keeps the secrets of its address.
fn assert_refused<T>(opened: Result<T, Error>, kind: ErrorKind, what: &str) -> Error {
    let Err(error) = opened else {
        panic!("{what} was opened")
    };
    assert_eq!(error.kind(), kind, "{what}: {error:?}");
    assert!(!error.message().is_empty());
    let mut texts = vec![error.to_string(), format!("{error:?}"), format!("{error:#?}")];
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        texts.extend([cause.to_string(), format!("{cause:?}")]);
        source = cause.source();
    }
    for text in texts {
        assert!(
            !text.contains(PASSWORD) && !text.contains("anna"),
            "{what} tells its address: {text}"
        );
    }
    error
}

/// A port that nobody listens on.
fn nowhere() -> String {
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    format!("postgres://anna:{PASSWORD}@127.0.0.1:{port}/shop?sslmode=disable")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_of_no_engine_is_refused() {
    let addresses = [
        String::new(),
        "shop.db".to_owned(),
        format!("mysql://anna:{PASSWORD}@127.0.0.1/shop"),
        format!("://anna:{PASSWORD}@127.0.0.1"),
        format!("postgres://anna:{PASSWORD}@127.0.0.1:not-a-port/shop"),
        format!("postgres://anna:{PASSWORD}@127.0.0.1/shop?sslmode=perhaps"),
    ];
    for address in addresses {
        assert_refused(Stockroom::open(&address).await, ErrorKind::Config, &address);
    }
    assert_refused(Stockroom::builder().open().await, ErrorKind::Config, "no address");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_no_database_file_is_refused() {
    let ground = Ground::file();
    let folder = ground.folder().unwrap();
    let (text, empty_folder) = (folder.join("text.db"), folder.join("folder.db"));
    let words = "A text that is no database, whatever the name of its file says. ".repeat(100);
    std::fs::write(&text, &words).unwrap();
    std::fs::create_dir(&empty_folder).unwrap();
    for path in [&text, &empty_folder, &folder.join("missing").join("shop.db")] {
        let opened = Stockroom::open(&format!("sqlite://{}", path.display())).await;
        let Err(error) = opened else {
            panic!("{} was opened", path.display())
        };
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    }
    assert_eq!(std::fs::read_to_string(&text).unwrap(), words);
    assert!(!folder.join("missing").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_of_something_else_is_left_as_it_is() {
    let ground = Ground::file();
    let path = ground.folder().unwrap().join("other.db");
    let other = Ground::given(format!("sqlite://{}?mode=rwc", path.display()), None);
    other.texts("CREATE TABLE recipes (name TEXT)").await;
    let url = format!("sqlite://{}", path.display());
    let checked = SqliteStore::open(SqliteOptions::new(&url).migrate(Migrate::Check)).await;
    assert_eq!(checked.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(
        other
            .texts("SELECT name FROM sqlite_master WHERE type = 'table'")
            .await,
        ["recipes"]
    );
}

on!([file postgres]
    a_newer_schema_is_refused_and_left_as_it_is
    an_empty_database_is_not_created_when_only_checked
    what_was_opened_before_opens_again
);

/// Opens a store in each way that is asked for.
async fn open(ground: &Ground, migrate: Migrate) -> Result<(), Error> {
    match ground.schema() {
        Some(schema) => {
            let options = PostgresOptions::new(ground.url()).schema(schema).migrate(migrate);
            PostgresStore::connect(options).await.map(drop)
        }
        None => SqliteStore::open(SqliteOptions::new(ground.url()).migrate(migrate))
            .await
            .map(drop),
    }
}

async fn a_newer_schema_is_refused_and_left_as_it_is(ground: Ground) {
    ground.open().await.close().await;
    ground
        .texts("INSERT INTO stockroom_migrations (version) VALUES (999)")
        .await;
    let before = ground.dump().await;
    for migrate in [Migrate::Check, Migrate::Create, Migrate::Apply] {
        let error = open(&ground, migrate).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    }
    assert_eq!(ground.dump().await, before);
}

async fn an_empty_database_is_not_created_when_only_checked(ground: Ground) {
    let error = open(&ground, Migrate::Check).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    match (ground.schema(), ground.folder()) {
        (Some(schema), _) => {
            let sql = format!("SELECT nspname::text FROM pg_namespace WHERE nspname = '{schema}'");
            assert!(ground.texts(&sql).await.is_empty());
        }
        (None, Some(folder)) => assert!(!folder.join("shop.db").exists()),
        (None, None) => panic!("not a ground of this test"),
    }
}

async fn what_was_opened_before_opens_again(ground: Ground) {
    let shop = ground.open().await;
    let id = shop.stock("MUG", 3).await.id;
    shop.close().await;
    assert_eq!(
        shop.products().get(id).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(
        shop.carts()
            .create(stockroom::Owner::Guest)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unavailable
    );
    for migrate in [Migrate::Check, Migrate::Create, Migrate::Apply] {
        open(&ground, migrate).await.unwrap();
    }
    assert_eq!(ground.open().await.products().require(id).await.unwrap().id, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_not_there_is_unavailable() {
    let begun = Instant::now();
    let url = nowhere();
    assert_refused(Stockroom::open(&url).await, ErrorKind::Unavailable, "no server");
    let options = PostgresOptions::new(&url);
    assert_refused(
        PostgresStore::connect(options).await,
        ErrorKind::Unavailable,
        "no server",
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_does_not_answer_is_unavailable() {
    let Some(server) = engines::require(engines::Postgres::shared().await).unwrap() else {
        return;
    };
    let proxy = Proxy::start(server.address()).await.unwrap();
    proxy.set_line(Line::Silent).await;
    let url = format!(
        "postgres://anna:{PASSWORD}@{}/shop?sslmode=disable",
        proxy.address()
    );
    let begun = Instant::now();
    assert_refused(
        Stockroom::open(&url).await,
        ErrorKind::Unavailable,
        "a silent server",
    );
    assert!(begun.elapsed() < Duration::from_secs(15));
}

/// The address of the server with another user, password and database.
fn address_of(server: &engines::Postgres, credentials: &str, database: &str) -> String {
    format!(
        "postgres://{credentials}@{}/{database}?sslmode=disable",
        server.address()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_may_not_come_in_is_told_so() {
    let Some((server, ground)) = Ground::own_server().await else {
        return;
    };
    ground
        .texts(&format!("CREATE ROLE anna LOGIN PASSWORD '{PASSWORD}'"))
        .await;
    ground.texts("CREATE DATABASE shop").await;

    let wrong = address_of(&server, &format!("anna:{PASSWORD}-not"), "shop");
    assert_refused(
        Stockroom::open(&wrong).await,
        ErrorKind::Unauthenticated,
        "a wrong password",
    );
    let nobody = address_of(&server, &format!("nobody:{PASSWORD}"), "shop");
    assert_refused(
        Stockroom::open(&nobody).await,
        ErrorKind::Unauthenticated,
        "an unknown user",
    );
    let elsewhere = address_of(&server, &format!("anna:{PASSWORD}"), "elsewhere");
    assert_refused(
        Stockroom::open(&elsewhere).await,
        ErrorKind::Config,
        "an unknown database",
    );
    // Since PostgreSQL 15 not everyone may create tables in the schema that is there.
    let guest = address_of(&server, &format!("anna:{PASSWORD}"), "shop");
    assert_refused(
        Stockroom::open(&guest).await,
        ErrorKind::PermissionDenied,
        "a role without privileges",
    );
    let unschooled = PostgresOptions::new(&guest).schema("no such; DROP");
    assert_refused(
        PostgresStore::connect(unschooled).await,
        ErrorKind::Config,
        "a schema of no name",
    );

    ground.texts("ALTER DATABASE shop OWNER TO anna").await;
    let shop = Stockroom::open(&guest).await.unwrap();
    shop.ping().await.unwrap();
    assert!(!format!("{shop:?}").contains(PASSWORD));
    shop.close().await;
}

#[test]
fn options_keep_their_password() {
    let url = format!("postgres://anna:{PASSWORD}@127.0.0.1/shop?password={PASSWORD}");
    let texts = [
        format!("{:?}", PostgresOptions::new(&url).schema("shop")),
        format!("{:#?}", PostgresOptions::new(&url)),
        format!("{:?}", Stockroom::builder().url(&url)),
        format!("{:#?}", Stockroom::builder().url(&url)),
    ];
    for text in texts {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}
