//! Empty databases of each engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::Row as _;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::Migrate;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::RedisStore;
use stockroom::RedisStoreOptions;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use stockroom::spi::store::Store;
use stockroom::testkit::dynamodb::DynamoFaults;
use stockroom::testkit::engines;
use stockroom::testkit::proxy::Proxy;
use uuid::Uuid;

use super::shop::Shop;

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
    Postgres {
        url: String,
        schema: String,
    },
    DynamoDb {
        server: Arc<engines::DynamoDb>,
        prefix: String,
        faults: Option<DynamoFaults>,
    },
    /// Of carts alone.
    Redis(String),
}

fn dynamo(url: &str, prefix: &str, faults: Option<&DynamoFaults>) -> DynamoOptions {
    let options = DynamoOptions::new(prefix)
        .region("eu-central-1")
        .endpoint(url)
        .credentials("local", "local", None)
        .migrate(Migrate::Apply)
        // The server shares a machine with everything else.
        .attempt_timeout(std::time::Duration::from_secs(15));
    match faults {
        Some(faults) => options.faults(faults),
        None => options,
    }
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
    pub(crate) fn memory() -> Self {
        Self {
            place: Place::Memory,
            folder: None,
        }
    }

    /// A file that is not there yet, in a folder of its own.
    pub(crate) fn file() -> Self {
        let folder = std::env::temp_dir().join(format!("stockroom-it-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let url = format!("sqlite://{}/shop.db", folder.display());
        Self {
            place: Place::File(url),
            folder: Some(Arc::new(Folder(folder))),
        }
    }

    /// A schema of the server that all tests share.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = engines::require(engines::Postgres::shared().await).unwrap()?;
        Some(Self::at(server.url()))
    }

    /// A table prefix of a DynamoDB that tests share.
    pub(crate) async fn dynamodb() -> Option<Self> {
        let server = engines::require(engines::DynamoDb::shared().await).unwrap()?;
        Some(Self {
            place: Place::DynamoDb {
                server,
                prefix: format!("it-{}-", Uuid::now_v7().simple()),
                faults: None,
            },
            folder: None,
        })
    }

    /// The same prefix of DynamoDB, whose stores are opened behind faults.
    pub(crate) fn behind(mut self, behind: &DynamoFaults) -> Self {
        if let Place::DynamoDb { faults, .. } = &mut self.place {
            *faults = Some(behind.clone());
        }
        self
    }

    /// A prefix of the Redis server that all tests share, for carts alone.
    pub(crate) async fn redis() -> Option<Self> {
        let server = engines::require(engines::Redis::shared().await).unwrap()?;
        let url = format!("{}?prefix=it-{}", server.url(), Uuid::now_v7().simple());
        Some(Self::given(url, None))
    }

    /// A schema of the server at this address. Its sessions are named after the schema.
    pub(crate) fn at(url: &str) -> Self {
        let schema = format!("it_{}", Uuid::now_v7().simple());
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}application_name={schema}");
        Self {
            place: Place::Postgres { url, schema },
            folder: None,
        }
    }

    /// The same schema at another address.
    pub(crate) fn with_url(&self, url: &str) -> Self {
        let mut other = Self::at(url);
        if let (Place::Postgres { schema: theirs, .. }, Place::Postgres { schema, .. }) =
            (&mut other.place, &self.place)
        {
            theirs.clone_from(schema);
        }
        other
    }

    /// A ground that is given by another process.
    pub(crate) fn given(url: String, schema: Option<String>) -> Self {
        let place = match schema {
            Some(schema) => Place::Postgres { url, schema },
            None if url.starts_with("redis:") => Place::Redis(url),
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
            Place::File(url) | Place::Redis(url) | Place::Postgres { url, .. } => url,
            Place::DynamoDb { server, .. } => server.url(),
        }
    }

    pub(crate) fn schema(&self) -> Option<&str> {
        match &self.place {
            Place::Postgres { schema, .. } => Some(schema),
            Place::Memory | Place::File(_) | Place::DynamoDb { .. } | Place::Redis(_) => None,
        }
    }

    /// The folder of a file's ground.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|folder| folder.0.as_path())
    }

    /// Whether each call takes so long that fewer of them have to do.
    pub(crate) fn is_far(&self) -> bool {
        matches!(self.place, Place::DynamoDb { .. })
    }

    /// Whether it can hold carts and nothing else.
    pub(crate) fn is_for_carts(&self) -> bool {
        matches!(self.place, Place::Redis(_))
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
            Place::Redis(_) => panic!("a shop needs more than carts"),
            Place::Memory | Place::File(_) => {
                let options = SqliteOptions::new(self.url()).readers(readers);
                let store = Arc::new(SqliteStore::open(options).await.unwrap());
                let clock = Arc::clone(&store);
                Shop::new(Stockroom::builder().store_arc(store), move |by| {
                    clock.shift_clock(by)
                })
                .await
            }
            Place::DynamoDb {
                server,
                prefix,
                faults,
            } => {
                let options = dynamo(server.url(), prefix, faults.as_ref());
                let store = Arc::new(DynamoStore::connect(options).await.unwrap());
                let (clock, server) = (Arc::clone(&store), Arc::clone(server));
                Shop::new(Stockroom::builder().store_arc(store), move |by| {
                    // As long as there is a shop on it.
                    let _ = &server;
                    clock.shift_clock(by)
                })
                .await
            }
            Place::Postgres { url, schema } => {
                let options = PostgresOptions::new(url).schema(schema).readers(readers);
                let store = Arc::new(PostgresStore::connect(options).await.unwrap());
                let clock = Arc::clone(&store);
                Shop::new(Stockroom::builder().store_arc(store), move |by| {
                    clock.shift_clock(by)
                })
                .await
            }
        }
    }

    /// A store on this ground, for a shop that has more than one.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        match &self.place {
            Place::Memory | Place::File(_) => {
                Arc::new(SqliteStore::open(SqliteOptions::new(self.url())).await.unwrap())
            }
            Place::DynamoDb {
                server,
                prefix,
                faults,
            } => {
                let options = dynamo(server.url(), prefix, faults.as_ref());
                Arc::new(DynamoStore::connect(options).await.unwrap())
            }
            Place::Redis(url) => {
                let options = RedisStoreOptions::from_url(url).unwrap();
                Arc::new(RedisStore::connect(options).await.unwrap())
            }
            Place::Postgres { url, schema } => {
                let options = PostgresOptions::new(url).schema(schema);
                Arc::new(PostgresStore::connect(options).await.unwrap())
            }
        }
    }

    /// Two shops as of two processes; in memory twice the same.
    pub(crate) async fn open_two(&self) -> [Shop; 2] {
        let one = self.open().await;
        let other = if self.is_shared() {
            self.open().await
        } else {
            one.clone()
        };
        [one, other]
    }

    /// The first column of what a statement answers, outside of any shop.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        match &self.place {
            Place::Memory => panic!("a shop in memory cannot be looked at from outside"),
            Place::DynamoDb { .. } | Place::Redis(_) => panic!("this engine does not speak SQL"),
            Place::File(url) => {
                let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
                connection.close().await.unwrap();
                rows.iter()
                    .map(|row| row.try_get(0).unwrap_or_default())
                    .collect()
            }
            Place::Postgres { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let name = format!("SET search_path = {schema}; SET application_name = 'onlooker'");
                sqlx::raw_sql(AssertSqlSafe(name))
                    .execute(&mut connection)
                    .await
                    .unwrap();
                let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
                connection.close().await.unwrap();
                rows.iter()
                    .map(|row| row.try_get(0).unwrap_or_default())
                    .collect()
            }
        }
    }

    /// Runs one statement on the server itself, not prepared and in no transaction of ours.
    pub(crate) async fn plain(&self, sql: &str) {
        let mut connection = sqlx::PgConnection::connect(self.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Everything that is stored, by table.
    pub(crate) async fn dump(&self) -> BTreeMap<String, String> {
        if let Place::DynamoDb { server, prefix, .. } = &self.place {
            return super::items::dump(server.url(), prefix).await;
        }
        let mut dump = BTreeMap::new();
        let tables = match &self.place {
            Place::Postgres { schema, .. } => format!(
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = '{schema}'"
            ),
            Place::Memory | Place::File(_) | Place::DynamoDb { .. } | Place::Redis(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'stockroom%'".to_owned()
            }
        };
        for table in self.texts(&tables).await {
            let sql = match &self.place {
                Place::Postgres { .. } => format!("SELECT t::text FROM {table} AS t ORDER BY 1"),
                Place::Memory | Place::File(_) | Place::DynamoDb { .. } | Place::Redis(_) => {
                    let columns = self
                        .texts(&format!("SELECT name FROM pragma_table_info('{table}')"))
                        .await;
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
