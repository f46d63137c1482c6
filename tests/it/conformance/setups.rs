//! Fresh stores of each engine.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Result;
use stockroom::backend::DynamoOptions;
use stockroom::backend::DynamoStore;
use stockroom::backend::Migrate;
use stockroom::backend::PostgresOptions;
use stockroom::backend::PostgresStore;
use stockroom::backend::RedisStore;
use stockroom::backend::RedisStoreOptions;
use stockroom::backend::SqliteOptions;
use stockroom::backend::SqliteStore;
use stockroom::spi::store::Store;
use stockroom::testkit::conformance::Harness;
use stockroom::testkit::conformance::Setup;
use stockroom::testkit::engines;
use uuid::Uuid;

/// SQLite in memory.
pub(super) struct InMemory;

#[async_trait]
impl Setup for InMemory {
    async fn fresh(&self) -> Result<Harness> {
        sqlite("sqlite::memory:").await
    }
}

async fn sqlite(url: &str) -> Result<Harness> {
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(url)).await?);
    let clock = Arc::clone(&store);
    Ok(Harness::new(store, move |by| clock.shift_clock(by)))
}

/// Opens the shop of a file, which may be there already.
async fn sqlite_again(url: String) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(SqliteOptions::new(url)).await?))
}

/// Opens the shop of a schema, which may be there already.
async fn postgres_again(options: PostgresOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(PostgresStore::connect(options).await?))
}

/// SQLite in files of a temporary folder, which goes with it.
pub(super) struct OnDisk(PathBuf);

impl OnDisk {
    pub(super) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("stockroom-conformance-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// The URL of a file that is not there yet.
    pub(super) fn url(&self) -> String {
        format!("sqlite://{}/{}.db", self.0.display(), Uuid::now_v7())
    }

    /// A store in the file of this URL.
    pub(super) async fn open(&self, url: &str) -> Result<Harness> {
        let again = url.to_owned();
        Ok(sqlite(url)
            .await?
            .opened_again(move || sqlite_again(again.clone())))
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[async_trait]
impl Setup for OnDisk {
    async fn fresh(&self) -> Result<Harness> {
        self.open(&self.url()).await
    }
}

/// Schemas of one PostgreSQL server.
pub(super) struct OnPostgres(String);

impl OnPostgres {
    /// The server that the tests of this process share; `None` when there is none and that is allowed.
    pub(super) async fn start() -> Option<Self> {
        let server = engines::require(engines::Postgres::shared().await).unwrap()?;
        Some(Self(server.url().to_owned()))
    }

    pub(super) fn url(&self) -> &str {
        &self.0
    }

    /// A store in this schema.
    pub(super) async fn open(&self, schema: &str) -> Result<Harness> {
        let options = PostgresOptions::new(&self.0).schema(schema);
        let store = Arc::new(PostgresStore::connect(options.clone()).await?);
        let clock = Arc::clone(&store);
        let harness = Harness::new(store, move |by| clock.shift_clock(by));
        Ok(harness.opened_again(move || postgres_again(options.clone())))
    }
}

#[async_trait]
impl Setup for OnPostgres {
    async fn fresh(&self) -> Result<Harness> {
        self.open(&schema()).await
    }
}

/// The name of a schema that is not there yet.
pub(super) fn schema() -> String {
    format!("conformance_{}", Uuid::now_v7().simple())
}

/// Table prefixes of the DynamoDB Local that tests share.
pub(super) struct OnDynamoDb {
    level_shares: usize,
}

impl OnDynamoDb {
    /// `None` when there is no server and that is allowed.
    pub(super) async fn start() -> Option<Self> {
        engines::require(engines::DynamoDb::shared().await)
            .unwrap()
            .map(|_| Self { level_shares: 1 })
    }

    /// The same, with every level spread over so many items.
    pub(super) fn spread(self, level_shares: usize) -> Self {
        Self { level_shares }
    }

    /// A fresh prefix on the server.
    fn options(&self, server: &engines::DynamoDb) -> DynamoOptions {
        DynamoOptions::new(format!("conformance-{}-", Uuid::now_v7().simple()))
            .region("eu-central-1")
            .endpoint(server.url())
            .level_shares(self.level_shares)
            .credentials("local", "local", None)
            .migrate(Migrate::Apply)
            // The server shares a machine with everything else.
            .attempt_timeout(std::time::Duration::from_secs(15))
    }
}

async fn dynamodb_again(options: DynamoOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(DynamoStore::connect(options).await?))
}

#[async_trait]
impl Setup for OnDynamoDb {
    async fn fresh(&self) -> Result<Harness> {
        let server = engines::DynamoDb::shared().await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "DynamoDB Local did not start").caused_by(error)
        })?;
        let options = self.options(&server);
        let store = Arc::new(DynamoStore::connect(options.clone()).await?);
        let clock = Arc::clone(&store);
        let harness = Harness::new(store, move |by| {
            // As long as the case needs it.
            let _ = &server;
            clock.shift_clock(by);
        });
        Ok(harness.opened_again(move || dynamodb_again(options.clone())))
    }
}

/// Prefixes of one Redis server, for carts alone.
pub(super) struct OnRedis(String);

impl OnRedis {
    /// The server that the tests of this process share; `None` when there is none and that is allowed.
    pub(super) async fn start() -> Option<Self> {
        let server = engines::require(engines::Redis::shared().await).unwrap()?;
        Some(Self(server.url()))
    }

    /// A cluster of the test's own: whatever the prefix, its slot is on one of the masters.
    pub(super) async fn start_cluster() -> Option<(engines::RedisCluster, Self)> {
        let cluster = engines::require(engines::RedisCluster::start().await).unwrap()?;
        let setup = Self(cluster.url());
        Some((cluster, setup))
    }
}

async fn redis_again(options: RedisStoreOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedisStore::connect(options).await?))
}

#[async_trait]
impl Setup for OnRedis {
    async fn fresh(&self) -> Result<Harness> {
        let prefix = format!("conformance-{}", Uuid::now_v7().simple());
        let options = RedisStoreOptions::new(self.0.as_str()).prefix(prefix);
        let store = Arc::new(RedisStore::connect(options.clone()).await?);
        let clock = Arc::clone(&store);
        let harness = Harness::new(store, move |by| clock.shift_clock(by));
        Ok(harness.opened_again(move || redis_again(options.clone())))
    }
}
