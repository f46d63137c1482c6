//! The embedded store: one SQLite file, or memory.
//!
//! - Writes go through one connection in WAL mode with `synchronous = FULL`: what was answered survives a power cut.
//! - There is one write lock for the whole file: a transaction that is joined, or another process that writes, delays
//!   every write until it ends. Keep such transactions short; a committer gives up a batch after some twenty seconds.
//! - Reads have their own connections and are not blocked by writes. A shop in memory has one connection for both.

mod backup;
mod changes;
mod commit;
mod engine;
mod error;
mod history;
mod join;
mod letters;
mod reads;
mod record;
mod schema;
#[cfg(test)]
mod tests;
mod values;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use self::changes::SqliteChanges;
use self::engine::SqliteEngine;
use self::history::SqliteHistory;
use self::reads::SqliteReads;
use super::committer::Committer;
use super::coordination::SqlCoordination;
use super::epoch;
use crate::backend::epoch::Epoch;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::store::Capability;
use crate::spi::store::CommitStatus;
use crate::spi::store::Committed;
use crate::spi::store::Migrate;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// How long a writer waits for another process that writes to the same file.
const BUSY: Duration = Duration::from_secs(5);
/// Statements kept prepared on each connection: the commit program has about fifty.
const STATEMENTS: usize = 512;

static CAPABILITY: Capability = super::capability("sqlite");

/// How to open a SQLite shop.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// `sqlite://path/to/shop.db`, or `sqlite::memory:`.
    pub url: String,
    /// What to do about the schema.
    pub migrate: Migrate,
    /// Connections for reads; 4 unless told otherwise. A shop in memory has one.
    pub readers: u32,
}

impl SqliteOptions {
    /// Opens `url`, creating the file and its schema if there is none.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            migrate: Migrate::Create,
            readers: 4,
        }
    }

    /// What to do about the schema.
    #[must_use]
    pub fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connections for reads.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers;
        self
    }
}

/// A shop in one SQLite file, or in memory.
///
/// - Several processes may open one file; their writes wait for each other.
/// - A file must lie on a local disk: the locks of network file systems do not hold.
#[derive(Debug)]
pub struct SqliteStore {
    reads: Arc<SqliteReads>,
    readers: Readers,
    writer: SqlitePool,
    /// How the file is opened; a shop in memory has none.
    file: Option<SqliteConnectOptions>,
    /// The connection of a copy that was dropped, which may be under way yet.
    copying: Arc<tokio::sync::Mutex<Option<SqliteConnection>>>,
    committer: Committer,
    epoch: Epoch,
    /// Whose database it is, for transactions that are joined.
    shop: i64,
}

impl SqliteStore {
    /// Opens a shop.
    ///
    /// # Errors
    /// - `Config` when the path cannot be opened, is not a database, or its schema does not fit.
    /// - `Unavailable` when another process keeps it locked.
    pub async fn open(options: SqliteOptions) -> Result<Self> {
        let memory = options.url.contains(":memory:") || options.url.contains("mode=memory");
        let connect = SqliteConnectOptions::from_str(&options.url)
            .map_err(|error| {
                Error::new(ErrorKind::Config, "not a SQLite address, as in sqlite://shop.db").caused_by(error)
            })?
            .create_if_missing(options.migrate != Migrate::Check)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .statement_cache_capacity(STATEMENTS)
            .foreign_keys(false);
        // A connection to memory is the shop itself: it is never closed, and it is the only one.
        let pool = |size: u32| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .min_connections(u32::from(memory))
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool(1)
            .connect_with(connect.clone())
            .await
            .map_err(|error| error::opening(&error))?;
        schema::prepare(&writer, options.migrate).await?;
        let readers = if memory {
            writer.clone()
        } else {
            pool(options.readers.max(1))
                .connect_with(connect.clone())
                .await
                .map_err(|error| error::opening(&error))?
        };
        let (epoch, shop) = schema::identity(&writer).await.map_err(error::map)?;
        let epoch = Epoch::new(epoch);
        let reads = Arc::new(SqliteReads::new(readers));
        let committer = Committer::start(SqliteEngine::new(writer.clone(), reads.clone()), epoch.clone());
        Ok(Self {
            readers: super::readers(&reads, Arc::new(SqliteHistory(reads.clone()))),
            reads,
            writer,
            file: (!memory).then_some(connect),
            copying: Arc::default(),
            committer,
            epoch,
            shop,
        })
    }

    /// Moves the store's clock, for tests of what expires.
    #[cfg(feature = "testkit")]
    pub fn shift_clock(&self, by: Duration) {
        self.reads.shift_clock(by);
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn capability(&self) -> &Capability {
        &CAPABILITY
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn epoch(&self) -> i64 {
        self.epoch.get()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        Some(Arc::new(SqliteChanges {
            reads: self.reads.clone(),
            epoch: self.epoch.clone(),
        }))
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        Some(Arc::new(SqlCoordination(self.reads.clone())))
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        self.committer.commit(set, deadline, &CAPABILITY).await
    }

    fn commits(&self) -> CommitStatus {
        self.committer.status()
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        epoch::raise(&self.epoch, &*self.reads, deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.reads.ping(deadline).await
    }

    async fn close(&self) {
        self.committer.close().await;
        self.writer.close().await;
        self.reads.close().await;
    }
}
