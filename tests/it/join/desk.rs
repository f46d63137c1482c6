//! A shop whose application has a table of its own, and callers that write to both.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;
use sqlx::Row as _;
use sqlx::SqliteConnection;
use stockroom::Aggregate;
use stockroom::Error;
use stockroom::NewProduct;
use stockroom::Pending;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::RowKey;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Staged;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Aborted;
use stockroom::spi::store::CommitObserver;
use stockroom::spi::store::Committed;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::sku;
use crate::support::units;
use crate::support::until;

/// A shop, the store that it was opened with, and the application's table `gifts` beside it.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) ground: Ground,
    pub(super) shop: Shop,
    pub(super) log: Arc<Log>,
    store: Keeper,
}

#[derive(Clone)]
enum Keeper {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl Desk {
    pub(super) async fn open(ground: Ground) -> Self {
        let log = Arc::new(Log::default());
        let builder = Stockroom::builder().observer(log.clone());
        let (store, shop) = match ground.schema() {
            None => {
                let store = Arc::new(SqliteStore::open(SqliteOptions::new(ground.url())).await.unwrap());
                let shop = Shop::of(builder.store_arc(store.clone())).await;
                (Keeper::Sqlite(store), shop)
            }
            Some(schema) => {
                let options = PostgresOptions::new(ground.url()).schema(schema);
                let store = Arc::new(PostgresStore::connect(options).await.unwrap());
                let shop = Shop::of(builder.store_arc(store.clone())).await;
                (Keeper::Postgres(store), shop)
            }
        };
        let desk = Self {
            ground,
            shop,
            log,
            store,
        };
        if desk.ground.is_shared() {
            let mut caller = desk.caller().await;
            let gifts = desk.table("gifts");
            caller
                .run(&format!("CREATE TABLE {gifts} (note text PRIMARY KEY)"))
                .await;
        }
        desk
    }

    /// The name of a table as a session without a search path needs it.
    pub(super) fn table(&self, name: &str) -> String {
        match self.ground.schema() {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        }
    }

    /// A connection of the application's own.
    pub(super) async fn caller(&self) -> Caller {
        let line = match &self.store {
            Keeper::Sqlite(_) => Line::Sqlite(SqliteConnection::connect(self.ground.url()).await.unwrap()),
            Keeper::Postgres(_) => Line::Postgres(PgConnection::connect(self.ground.url()).await.unwrap()),
        };
        Caller {
            line,
            desk: self.clone(),
        }
    }

    /// The same, with a transaction begun.
    pub(super) async fn begun(&self) -> Caller {
        let mut caller = self.caller().await;
        let begin = match caller.line {
            Line::Sqlite(_) => "BEGIN IMMEDIATE",
            Line::Postgres(_) => "BEGIN",
        };
        caller.run(begin).await;
        caller
    }

    /// A delivery of one unit.
    pub(super) async fn delivery(&self, name: &str) -> Staged<()> {
        let staged = self.shop.stage(|tx| {
            let name = sku(name);
            async move { tx.inventory().receive(&name, &berlin(), units(1)) }
        });
        staged.await.unwrap()
    }

    /// A new title for a product.
    pub(super) async fn title(&self, product: &Product, title: &str) -> Staged<Arc<Product>> {
        let staged = self.shop.stage(|tx| {
            let patch = ProductPatch::new().title(title);
            async move {
                let product = tx.products().require(product.id).await?;
                tx.products().update(&product, patch)
            }
        });
        staged.await.unwrap()
    }

    /// A new product.
    pub(super) async fn novelty(&self, new: NewProduct) -> Staged<Arc<Product>> {
        let staged = self.shop.stage(|tx| {
            let new = new.clone();
            async move { tx.products().create(new) }
        });
        staged.await.unwrap()
    }

    pub(super) async fn join_sqlite<T: Send>(
        &self,
        staged: Staged<T>,
        line: &mut SqliteConnection,
    ) -> Result<Pending<T>, Error> {
        match &self.store {
            Keeper::Sqlite(store) => store.join(staged, line).await,
            Keeper::Postgres(_) => panic!("the connection is not one of this desk"),
        }
    }

    pub(super) async fn join_postgres<T: Send>(
        &self,
        staged: Staged<T>,
        line: &mut PgConnection,
    ) -> Result<Pending<T>, Error> {
        match &self.store {
            Keeper::Postgres(store) => store.join(staged, line).await,
            Keeper::Sqlite(_) => panic!("the connection is not one of this desk"),
        }
    }

    pub(super) async fn gifts(&self) -> Vec<String> {
        let gifts = self.table("gifts");
        self.ground
            .texts(&format!("SELECT note FROM {gifts} ORDER BY note"))
            .await
    }

    pub(super) async fn on_hand(&self, name: &str) -> i64 {
        self.shop.level(name).await.on_hand
    }
}

/// Whoever has a transaction.
pub(super) struct Caller {
    pub(super) line: Line,
    desk: Desk,
}

pub(super) enum Line {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Caller {
    /// Runs a statement, whose failure is given back.
    pub(super) async fn try_run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &mut self.line {
            Line::Sqlite(line) => sql.execute(line).await.map(drop),
            Line::Postgres(line) => sql.execute(line).await.map(drop),
        }
    }

    pub(super) async fn run(&mut self, sql: &str) {
        if let Err(error) = self.try_run(sql).await {
            panic!("{error}: {sql}");
        }
    }

    /// The first column of the first row.
    pub(super) async fn text(&mut self, sql: &str) -> String {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &mut self.line {
            Line::Sqlite(line) => sql.fetch_one(line).await.unwrap().get(0),
            Line::Postgres(line) => sql.fetch_one(line).await.unwrap().get(0),
        }
    }

    /// Writes to the application's own table.
    pub(super) async fn gift(&mut self, note: &str) {
        let gifts = self.desk.table("gifts");
        self.run(&format!("INSERT INTO {gifts} (note) VALUES ('{note}')"))
            .await;
    }

    pub(super) async fn join<T: Send>(&mut self, staged: Staged<T>) -> Result<Pending<T>, Error> {
        match &mut self.line {
            Line::Sqlite(line) => self.desk.join_sqlite(staged, line).await,
            Line::Postgres(line) => self.desk.join_postgres(staged, line).await,
        }
    }

    pub(super) async fn commit(&mut self) {
        self.run("COMMIT").await;
    }

    pub(super) async fn rollback(&mut self) {
        self.run("ROLLBACK").await;
    }
}

/// What observers are told.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Vec<&'static str>>);

impl Log {
    /// Forgets what it was told so far, as by the preparation of a test.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(super) fn told(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for what a task of the shop tells.
    pub(super) async fn hears(&self, words: &[&'static str]) {
        until(&format!("the observer hears {words:?}"), async || {
            self.told().len() >= words.len()
        })
        .await;
        assert_eq!(self.told(), words);
    }
}

#[async_trait]
impl CommitObserver for Log {
    async fn before(&self, keys: &[(Aggregate, RowKey)], _: Deadline) -> Result<(), Error> {
        assert!(!keys.is_empty());
        self.0.lock().unwrap().push("before");
        Ok(())
    }

    async fn after(&self, committed: &Committed) {
        assert!(!committed.versions.is_empty());
        self.0.lock().unwrap().push("after");
    }

    async fn aborted(&self, keys: &[(Aggregate, RowKey)], _: Aborted) {
        assert!(!keys.is_empty());
        self.0.lock().unwrap().push("aborted");
    }
}
