//! The application's side: the store that the shop is opened with, and a connection of its own to the same database.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use stockroom::{Order, OrderId, Pending, PostgresOptions, PostgresStore};
use stockroom::{SqliteOptions, SqliteStore, Staged, Stockroom};
use uuid::Uuid;

type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) struct Desk {
    shop: Stockroom,
    side: Side,
}

enum Side {
    Sqlite {
        store: Arc<SqliteStore>,
        line: SqliteConnection,
        folder: PathBuf,
    },
    Postgres {
        store: Arc<PostgresStore>,
        line: PgConnection,
        schema: String,
    },
}

impl Desk {
    /// A fresh shop: a schema of its own at the address, or a temporary file.
    pub(crate) async fn open(url: Option<String>) -> Outcome<Self> {
        let name = format!("own_tables_{}", Uuid::now_v7().simple());
        let Some(url) = url else {
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir(&folder)?;
            let url = format!("sqlite://{}/shop.db", folder.display());
            let store = Arc::new(SqliteStore::open(SqliteOptions::new(&url)).await?);
            let shop = Stockroom::builder().store_arc(store.clone()).open().await?;
            let line = SqliteConnection::connect(&url).await?;
            let side = Side::Sqlite { store, line, folder };
            return Ok(Self { shop, side });
        };
        let options = PostgresOptions::new(&url).schema(&name);
        let store = Arc::new(PostgresStore::connect(options).await?);
        let shop = Stockroom::builder().store_arc(store.clone()).open().await?;
        let line = PgConnection::connect(&url).await?;
        let schema = name;
        let mut desk = Self {
            shop,
            side: Side::Postgres { store, line, schema },
        };
        if let Side::Postgres { schema, .. } = &desk.side {
            let path = format!("SET search_path = {schema}");
            desk.run(&path).await?;
        }
        Ok(desk)
    }

    pub(crate) fn shop(&self) -> &Stockroom {
        &self.shop
    }

    /// Begins a transaction. SQLite has one write lock: it is taken at once, so that what is read stays the newest.
    pub(crate) async fn begin(&mut self) -> sqlx::Result<()> {
        match self.side {
            Side::Sqlite { .. } => self.run("BEGIN IMMEDIATE").await,
            Side::Postgres { .. } => self.run("BEGIN").await,
        }
    }

    pub(crate) async fn run(&mut self, sql: &str) -> sqlx::Result<()> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &mut self.side {
            Side::Sqlite { line, .. } => sql.execute(line).await.map(drop),
            Side::Postgres { line, .. } => sql.execute(line).await.map(drop),
        }
    }

    /// The shop's part of the transaction.
    pub(crate) async fn join<T: Send>(&mut self, staged: Staged<T>) -> stockroom::Result<Pending<T>> {
        match &mut self.side {
            Side::Sqlite { store, line, .. } => store.join(staged, line).await,
            Side::Postgres { store, line, .. } => store.join(staged, line).await,
        }
    }

    /// The application's part of the transaction.
    pub(crate) async fn give(&mut self, order: &Order, points: i64) -> sqlx::Result<()> {
        const GIVE: &str = "INSERT INTO points (order_id, points) VALUES ($1, $2)";
        let order = order.id.to_string();
        match &mut self.side {
            Side::Sqlite { line, .. } => {
                let give = sqlx::query(GIVE).bind(order).bind(points);
                give.execute(line).await.map(drop)
            }
            Side::Postgres { line, .. } => {
                let give = sqlx::query(GIVE).bind(order).bind(points);
                give.execute(line).await.map(drop)
            }
        }
    }

    /// The points that were given for an order.
    pub(crate) async fn points(&mut self, order: OrderId) -> sqlx::Result<i64> {
        const POINTS: &str =
            "SELECT CAST(coalesce(sum(points), 0) AS bigint) FROM points WHERE order_id = $1";
        let order = order.to_string();
        match &mut self.side {
            Side::Sqlite { line, .. } => sqlx::query(POINTS).bind(order).fetch_one(line).await?.try_get(0),
            Side::Postgres { line, .. } => sqlx::query(POINTS).bind(order).fetch_one(line).await?.try_get(0),
        }
    }

    /// Closes the shop and removes what the example made.
    pub(crate) async fn close(mut self) -> Outcome<()> {
        self.shop.close().await;
        if let Side::Postgres { schema, .. } = &self.side {
            let drop = format!("DROP SCHEMA {schema} CASCADE");
            self.run(&drop).await?;
        }
        match self.side {
            Side::Sqlite { line, folder, .. } => {
                line.close().await?;
                std::fs::remove_dir_all(folder)?;
            }
            Side::Postgres { line, .. } => line.close().await?,
        }
        Ok(())
    }
}
