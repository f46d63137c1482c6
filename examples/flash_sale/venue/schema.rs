//! A schema of its own on a PostgreSQL server.

use std::str::FromStr as _;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgPool;
use sqlx::postgres::PgPoolOptions;
use stockroom::OrderId;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::Stockroom;

use crate::Outcome;

/// Connections of who does it by hand.
const CONNECTIONS: u32 = 16;

/// A schema of its own on a PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Schema {
    url: String,
    name: String,
}

impl Schema {
    pub(super) async fn create(url: &str) -> Outcome<Self> {
        let schema = Self {
            url: url.to_owned(),
            name: format!("flash_sale_{}", OrderId::new().uuid().simple()),
        };
        schema.run("CREATE SCHEMA").await?;
        Ok(schema)
    }

    pub(super) async fn shop(&self) -> Outcome<Stockroom> {
        let options = PostgresOptions::new(&self.url).schema(&self.name);
        let store = PostgresStore::connect(options).await?;
        Ok(Stockroom::builder().store(store).open().await?)
    }

    pub(super) async fn pool(&self) -> Outcome<PgPool> {
        let connect = PgConnectOptions::from_str(&self.url)?.options([("search_path", &self.name)]);
        let pool = PgPoolOptions::new()
            .min_connections(CONNECTIONS)
            .max_connections(CONNECTIONS)
            .test_before_acquire(false);
        Ok(pool.connect_with(connect).await?)
    }

    pub(super) async fn remove(self) -> Outcome {
        self.run("DROP SCHEMA IF EXISTS").await?;
        Ok(())
    }

    async fn run(&self, verb: &str) -> Outcome {
        let pool = PgPoolOptions::new().max_connections(1).connect(&self.url).await?;
        let cascade = if verb.starts_with("DROP") { " CASCADE" } else { "" };
        // The name is ours: letters, digits and underscores.
        let sql = format!("{verb} {}{cascade}", self.name);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await?;
        pool.close().await;
        Ok(())
    }
}
