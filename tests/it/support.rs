//! Where the shops of a test live, the goods that they sell, and crowds of callers.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::Row as _;
use stockroom::CartId;
use stockroom::Currency;
use stockroom::Error;
use stockroom::IdempotencyKey;
use stockroom::Level;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Order;
use stockroom::OrderQuery;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::Product;
use stockroom::Quantity;
use stockroom::Reference;
use stockroom::Sku;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use stockroom::testkit::engines;
use stockroom::testkit::proxy::Proxy;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Longer than a loaded machine takes for anything that ends at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs each case on each engine, as `case::engine`.
macro_rules! on {
    ($engines:tt $($case:ident)+) => {
        $(crate::support::on!(@case $case $engines);)+
    };
    (@case $case:ident [$($engine:ident)+]) => {
        mod $case {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $engine() {
                    if let Some(ground) = crate::support::Ground::$engine().await {
                        super::$case(ground).await;
                    }
                }
            )+
        }
    };
}

pub(crate) use on;

/// An empty database for the shops of one test, gone after it.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    place: Place,
    folder: Option<Arc<Folder>>,
}

#[derive(Clone, Debug)]
enum Place {
    Memory,
    File(String),
    Postgres { url: String, schema: String },
}

#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Ground {
    /// Memory: one shop has it to itself.
    pub(crate) async fn memory() -> Option<Self> {
        Some(Self { place: Place::Memory, folder: None })
    }

    /// A file that is not there yet, in a folder of its own.
    pub(crate) async fn file() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("stockroom-it-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let url = format!("sqlite://{}/shop.db", folder.display());
        Some(Self { place: Place::File(url), folder: Some(Arc::new(Folder(folder))) })
    }

    /// A schema of the server that all tests share.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = engines::require(engines::Postgres::shared().await).unwrap()?;
        Some(Self::at(server.url()))
    }

    /// A schema of the server at this address. Its sessions are named after the schema.
    pub(crate) fn at(url: &str) -> Self {
        let schema = format!("it_{}", Uuid::now_v7().simple());
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}application_name={schema}");
        Self { place: Place::Postgres { url, schema }, folder: None }
    }

    /// A ground that is given by another process.
    pub(crate) fn given(url: String, schema: Option<String>) -> Self {
        let place = match schema {
            Some(schema) => Place::Postgres { url, schema },
            None => Place::File(url),
        };
        Self { place, folder: None }
    }

    /// A server of this test's own, which it may stop, and a schema on it.
    pub(crate) async fn own_server() -> Option<(engines::Postgres, Self)> {
        let server = engines::require(engines::Postgres::spawn().await).unwrap()?;
        let ground = Self::at(server.url());
        Some((server, ground))
    }

    /// A schema of the shared server, and the way to it through a proxy.
    pub(crate) async fn proxied() -> Option<(Proxy, Self)> {
        let server = engines::require(engines::Postgres::shared().await).unwrap()?;
        let proxy = Proxy::start(server.address()).await.unwrap();
        let ground = Self::at(&server.url_through(proxy.address()));
        Some((proxy, ground))
    }

    pub(crate) fn url(&self) -> &str {
        match &self.place {
            Place::Memory => "sqlite::memory:",
            Place::File(url) | Place::Postgres { url, .. } => url,
        }
    }

    pub(crate) fn schema(&self) -> Option<&str> {
        match &self.place {
            Place::Postgres { schema, .. } => Some(schema),
            Place::Memory | Place::File(_) => None,
        }
    }

    /// The folder of a file's ground.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|folder| folder.0.as_path())
    }

    /// Whether several shops can be opened on it.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self.place, Place::Memory)
    }

    /// A shop on this ground.
    pub(crate) async fn open(&self) -> Shop {
        self.open_with(4).await
    }

    /// A shop with so many reading connections.
    pub(crate) async fn open_with(&self, readers: u32) -> Shop {
        match &self.place {
            Place::Memory | Place::File(_) => {
                let options = SqliteOptions::new(self.url()).readers(readers);
                let store = Arc::new(SqliteStore::open(options).await.unwrap());
                let clock = Arc::clone(&store);
                Shop::new(Stockroom::builder().store_arc(store), move |by| clock.shift_clock(by)).await
            }
            Place::Postgres { url, schema } => {
                let options = PostgresOptions::new(url).schema(schema).readers(readers);
                let store = Arc::new(PostgresStore::connect(options).await.unwrap());
                let clock = Arc::clone(&store);
                Shop::new(Stockroom::builder().store_arc(store), move |by| clock.shift_clock(by)).await
            }
        }
    }

    /// Two shops as of two processes; in memory twice the same.
    pub(crate) async fn open_two(&self) -> [Shop; 2] {
        let one = self.open().await;
        let other = if self.is_shared() { self.open().await } else { one.clone() };
        [one, other]
    }

    /// The first column of what a statement answers, outside of any shop.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        match &self.place {
            Place::Memory => panic!("a shop in memory cannot be looked at from outside"),
            Place::File(url) => {
                let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.try_get(0).unwrap_or_default()).collect()
            }
            Place::Postgres { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let name = format!("SET search_path = {schema}; SET application_name = 'onlooker'");
                sqlx::raw_sql(AssertSqlSafe(name)).execute(&mut connection).await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.try_get(0).unwrap_or_default()).collect()
            }
        }
    }

    /// Everything that is stored, by table.
    pub(crate) async fn dump(&self) -> BTreeMap<String, String> {
        let mut dump = BTreeMap::new();
        let tables = match &self.place {
            Place::Postgres { schema, .. } => format!(
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = '{schema}'"
            ),
            Place::Memory | Place::File(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'stockroom%'".to_owned()
            }
        };
        for table in self.texts(&tables).await {
            let sql = match &self.place {
                Place::Postgres { .. } => format!("SELECT t::text FROM {table} AS t ORDER BY 1"),
                Place::Memory | Place::File(_) => {
                    let columns = self.texts(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
                    let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
                    format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || ',' || "))
                }
            };
            dump.insert(table, self.texts(&sql).await.join("\n"));
        }
        assert!(dump.len() > 10, "the tables were not found: {:?}", dump.keys());
        dump
    }
}

/// A shop and the clock of its store.
#[derive(Clone)]
pub(crate) struct Shop {
    room: Stockroom,
    shift: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl Deref for Shop {
    type Target = Stockroom;

    fn deref(&self) -> &Stockroom {
        &self.room
    }
}

impl Shop {
    async fn new(builder: stockroom::Builder, shift: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        let room = builder.deadline(PATIENCE).open().await.unwrap();
        Self { room, shift: Arc::new(shift) }
    }

    /// The same shop with another deadline.
    pub(crate) fn within(&self, deadline: Duration) -> Self {
        Self { room: self.room.with_deadline(deadline), shift: Arc::clone(&self.shift) }
    }

    /// Moves the clock of the store that this shop was opened with.
    pub(crate) fn shift_clock(&self, by: Duration) {
        (self.shift)(by);
    }

    /// A product of one variant at 9.00 USD, and so many units of it in Berlin.
    pub(crate) async fn stock(&self, sku: &str, units: i64) -> Arc<Product> {
        let price = Money::new(9_00, Currency::USD);
        let product = self.products().create(NewProduct::new("Mug").variant(sku, price)).await.unwrap();
        if units > 0 {
            self.inventory().receive(sku, &berlin(), units).await.unwrap();
        }
        product
    }

    /// A guest's cart with these lines, in this order.
    pub(crate) async fn cart(&self, lines: &[(&str, i64)]) -> CartId {
        self.try_cart(lines).await.unwrap()
    }

    pub(crate) async fn try_cart(&self, lines: &[(&str, i64)]) -> Result<CartId, Error> {
        let lines: Vec<_> = lines.iter().map(|(name, count)| (sku(name), units(*count))).collect();
        self.transaction(|tx| {
            let lines = lines.clone();
            async move {
                let cart = tx.carts().create(Owner::Guest)?;
                for (sku, count) in &lines {
                    tx.carts().add(cart.id, sku, *count)?;
                }
                Ok::<_, Error>(cart.id)
            }
        })
        .await
    }

    /// The level of a SKU in Berlin.
    pub(crate) async fn level(&self, sku: &str) -> Level {
        self.inventory().level(sku, &berlin()).await.unwrap().unwrap()
    }

    /// Every order.
    pub(crate) async fn every_order(&self) -> Vec<Arc<Order>> {
        let mut orders = Vec::new();
        let mut page = PageRequest::new(200).unwrap();
        loop {
            let found = self.orders().list(&OrderQuery::default(), page).await.unwrap();
            orders.extend(found.items);
            match found.next {
                Some(next) => page = PageRequest::new(200).unwrap().after(next),
                None => return orders,
            }
        }
    }

    /// Demands that the ledger adds up and that what is allocated is what placed orders wait for.
    pub(crate) async fn assert_sound(&self) {
        let report = self.inventory().verify_ledger().await.unwrap();
        assert!(report.is_consistent(), "{report:?}");
        let mut awaited: BTreeMap<(Sku, LocationId), i64> = BTreeMap::new();
        for order in self.every_order().await {
            let waits = order.status == OrderStatus::Placed;
            for line in &order.lines {
                let sum = awaited.entry((line.sku.clone(), line.location.clone())).or_default();
                *sum += if waits { line.quantity.get() - line.shipped } else { 0 };
            }
        }
        let skus: Vec<Sku> = awaited.keys().map(|(sku, _)| sku.clone()).collect();
        let levels = self.inventory().levels_many(&skus).await.unwrap();
        for ((sku, location), sum) in awaited {
            let level = levels.iter().find(|level| level.sku == sku && level.location == location);
            assert_eq!(level.map_or(0, |level| level.allocated), sum, "allocated of {sku} in {location}");
        }
    }
}

pub(crate) fn berlin() -> LocationId {
    LocationId::new("berlin").unwrap()
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

pub(crate) fn units(number: i64) -> Quantity {
    Quantity::new(number).unwrap()
}

pub(crate) fn key(text: impl Into<String>) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

pub(crate) fn reference(text: impl Into<String>) -> Reference {
    Reference::new(text).unwrap()
}

pub(crate) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

/// Runs `work` for 0 to `attempts`, by so many tasks that begin together; the outcomes by number.
pub(crate) async fn share<T, F, Fut>(tasks: usize, attempts: usize, work: F) -> Vec<T>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + Send,
    T: Send + 'static,
{
    let (begin, next) = (Arc::new(Barrier::new(tasks)), Arc::new(AtomicUsize::new(tasks)));
    let mut crowd = JoinSet::new();
    for task in 0..tasks {
        let (work, begin, next) = (work.clone(), Arc::clone(&begin), Arc::clone(&next));
        crowd.spawn(async move {
            begin.wait().await;
            let mut outcomes = Vec::new();
            let mut number = task;
            while number < attempts {
                outcomes.push((number, work(number).await));
                number = next.fetch_add(1, Ordering::Relaxed);
            }
            outcomes
        });
    }
    let mut outcomes: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// So many callers at once.
pub(crate) async fn crowd<T, F, Fut>(callers: usize, work: F) -> Vec<T>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + Send,
    T: Send + 'static,
{
    share(callers, callers, work).await
}

/// Looks again and again until it is so; fails when that takes too long.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Random numbers of a seed that is printed, and replayed where `STOCKROOM_SEED` gives it (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(what: &str) -> Self {
        let given = engines::setting("STOCKROOM_SEED").map(|seed| seed.parse().unwrap());

        let seed = given.unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1);
        println!("{what}: STOCKROOM_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound`, without it.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}
