//! The engines, and the shop that is placed on them.

use std::time::Duration;
use std::time::Instant;

use stockroom::Aggregate;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::Migrate;
use stockroom::OrderId;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::RedisStore;
use stockroom::RedisStoreOptions;
use stockroom::Stockroom;
use stockroom::testkit::engines::DynamoDb;
use stockroom::testkit::engines::Postgres;
use stockroom::testkit::engines::Redis;

use crate::Outcome;

/// A Redis that is to keep carts: it writes each commit to its log before it answers.
const KEEPS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// DynamoDB Local shares a machine with everything else here.
const PATIENCE: Duration = Duration::from_secs(15);

/// Three servers of this example's own.
#[derive(Debug)]
pub(crate) struct Site {
    postgres: Postgres,
    dynamodb: DynamoDb,
    redis: Redis,
    /// What is this run's, where a server was given and keeps what others have made.
    name: String,
}

impl Site {
    /// Starts them side by side.
    pub(crate) async fn start() -> Outcome<Self> {
        let begun = Instant::now();
        let (postgres, dynamodb, redis) =
            tokio::join!(Postgres::start(), DynamoDb::start(), Redis::start_with(&KEEPS));
        let site = Self {
            postgres: postgres?,
            dynamodb: dynamodb?,
            redis: redis?,
            name: format!("polyglot_{}", OrderId::new().uuid().simple()),
        };
        println!("  PostgreSQL on {}", site.postgres.address());
        println!("  DynamoDB Local on {}", site.dynamodb.url());
        println!("  Redis on {}, with a log", site.redis.address());
        println!("  up in {:.1?}", begun.elapsed());
        Ok(site)
    }

    /// The shop: what is not placed elsewhere lies on PostgreSQL.
    pub(crate) async fn open(&self) -> Outcome<Stockroom> {
        let orders =
            PostgresStore::connect(PostgresOptions::new(self.postgres.url()).schema(&self.name)).await?;
        let catalogue = DynamoOptions::new(format!("{}-", self.name))
            .region("eu-central-1")
            .endpoint(self.dynamodb.url())
            .credentials("local", "local", None)
            .migrate(Migrate::Apply)
            .attempt_timeout(PATIENCE);
        let catalogue = DynamoStore::connect(catalogue).await?;
        let carts = RedisStoreOptions::new(self.redis.url().as_str()).prefix(&self.name);
        let carts = RedisStore::connect(carts).await?;
        if !carts.has_log() {
            return Err("the server of the carts has no log".into());
        }
        Ok(Stockroom::builder()
            .store(orders)
            .place([Aggregate::Product], catalogue)
            .place([Aggregate::Cart], carts)
            .deadline(Duration::from_secs(30))
            .open()
            .await?)
    }

    pub(crate) const fn redis(&self) -> &Redis {
        &self.redis
    }
}
