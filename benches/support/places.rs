//! Where the shops of a bench lie: schemas of one PostgreSQL server, files of one temporary folder.

use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr as _;

use sqlx::Row as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgPool;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Postgres;
use uuid::Uuid;

use super::Engine;
use super::Machine;
use super::Result;
use super::Settings;
use super::cpu;

/// The engines of this run; dropping it ends the server and removes the files.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) postgres: Option<Postgres>,
    folder: Folder,
    /// First process of the server, where it is on this machine.
    pub(crate) server: Option<u32>,
}

impl Places {
    /// Starts what is wanted; a PostgreSQL that is not installed is left out where that is allowed.
    pub(crate) async fn start(settings: Settings, machine: &mut Machine) -> Result<Self> {
        let mut places = Self {
            postgres: None,
            folder: Folder::create()?,
            server: None,
        };
        if settings.wants(Engine::Postgres) {
            places.postgres = engines::require(Postgres::start().await)?;
        }
        if let Some(postgres) = &places.postgres {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .connect(postgres.url())
                .await?;
            let sql = "SELECT current_setting('server_version'), current_setting('fsync'), \
                       current_setting('synchronous_commit'), current_setting('shared_buffers'), pg_backend_pid()";
            let row = sqlx::query(sql).fetch_one(&pool).await?;
            let text = |column: usize| row.try_get::<String, _>(column);
            let facts = format!(
                "{}, fsync {}, synchronous_commit {}, shared_buffers {}",
                text(0)?,
                text(1)?,
                text(2)?,
                text(3)?
            );
            machine.add("PostgreSQL", facts);
            if postgres.is_ours() {
                places.server = cpu::parent(row.try_get(4)?);
            }
            pool.close().await;
        }
        if settings.wants(Engine::Sqlite) {
            let pool = SqlitePoolOptions::new()
                .max_connections(1)
                .connect("sqlite::memory:")
                .await?;
            let row = sqlx::query("SELECT sqlite_version()").fetch_one(&pool).await?;
            let version = row.try_get::<String, _>(0)?;
            machine.add(
                "SQLite",
                format!("{version}, a file in WAL mode, synchronous FULL"),
            );
            pool.close().await;
        }
        Ok(places)
    }

    /// The server's address, if there is one.
    pub(crate) fn postgres(&self) -> Option<&str> {
        self.postgres.as_ref().map(Postgres::url)
    }

    /// A file that is not there yet.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(format!("{name}.db"))
    }
}

/// A shop in this schema.
pub(crate) async fn postgres_shop(url: &str, schema: &str) -> Result<Stockroom> {
    let store = PostgresStore::connect(PostgresOptions::new(url).schema(schema)).await?;
    Ok(Stockroom::builder().store(store).open().await?)
}

/// A pool on the tables of the shop in this schema.
pub(crate) async fn postgres_pool(url: &str, schema: &str, options: PgPoolOptions) -> Result<PgPool> {
    let connect = PgConnectOptions::from_str(url)?.options([("search_path", schema)]);
    Ok(options.connect_with(connect).await?)
}

/// A shop in this file.
pub(crate) async fn sqlite_shop(file: &Path) -> Result<Stockroom> {
    let store = SqliteStore::open(SqliteOptions::new(format!("sqlite://{}", file.display()))).await?;
    Ok(Stockroom::builder().store(store).open().await?)
}

/// A pool on the tables of the shop in this file, as durable as the shop itself.
pub(crate) async fn sqlite_pool(file: &Path, options: SqlitePoolOptions) -> Result<SqlitePool> {
    let connect = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    Ok(options.connect_with(connect).await?)
}

#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("stockroom-bench-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
