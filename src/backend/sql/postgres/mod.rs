//! PostgreSQL 15 and later, as on Amazon RDS.
//!
//! - Writes go through one connection that the committer owns, one round trip a batch, with the server's
//!   `synchronous_commit` as it is set there.
//! - Rows that another transaction keeps locked delay the writes to these rows only, until their deadlines: see
//!   the committer's lanes.
//! - Reads have a pool of their own. A connection on which a read was cut short is closed, never reused.

mod changes;
mod commit;
mod connect;
mod engine;
mod error;
mod join;
mod letters;
mod place;
mod pool;
mod reads;
mod schema;
#[cfg(test)]
#[cfg(all(unix, feature = "testkit"))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::changes::PostgresChanges;
use self::engine::PostgresEngine;
use self::pool::Pool;
use self::reads::PostgresReads;
use self::schema::Home;
use super::committer::Committer;
use super::coordination::SqlCoordination;
use super::epoch::Epoch;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::store::Capability;
use crate::spi::store::Committed;
use crate::spi::store::Migrate;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

static CAPABILITY: Capability = super::capability("postgresql");

/// How to open a shop on PostgreSQL. `Debug` shows neither user nor password.
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    url: String,
    /// The schema of the shop; the first of the role's search path unless told otherwise.
    pub schema: Option<String>,
    /// What to do about the tables.
    pub migrate: Migrate,
    /// Connections for reads; 10 unless told otherwise.
    pub readers: u32,
    /// How long one statement may take on the server; 5 s unless told otherwise. A write whose reply takes longer is
    /// looked for on a fresh connection.
    pub statement_timeout: Duration,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("migrate", &self.migrate)
            .field("readers", &self.readers)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// Opens the database at `url`, as in `postgres://user:password@host/database`.
    ///
    /// - Unless the address says otherwise (`sslmode=`), TLS is used where the server offers it. Over a network use
    ///   `sslmode=verify-full` with `sslrootcert=`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema: None,
            migrate: Migrate::Create,
            readers: 10,
            statement_timeout: Duration::from_secs(5),
        }
    }

    /// The schema of the shop, one of lower-case letters, digits and underscores; it is created with the tables.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// What to do about the tables.
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

    /// How long one statement may take on the server.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }
}

/// A shop on PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    reads: Arc<PostgresReads>,
    readers: Readers,
    committer: Committer,
    epoch: Epoch,
    /// Whose database it is, for transactions that are joined.
    home: Home,
    statement_timeout: Duration,
}

impl PostgresStore {
    /// Connects, and checks or creates the tables.
    ///
    /// # Errors
    /// - `Config` when the address, the database or the tables do not fit.
    /// - `Unauthenticated` when user or password are wrong; `PermissionDenied` when the role may not create tables.
    /// - `Unavailable` when no server answers.
    pub async fn connect(options: PostgresOptions) -> Result<Self> {
        let connect = connect::options(&options)?;
        let home = schema::prepare(&connect, &options).await?;
        let epoch = Epoch::new(home.epoch);
        let reads = Arc::new(PostgresReads::new(Pool::new(
            connect.clone(),
            options.readers.max(1),
        )));
        let engine = PostgresEngine::new(
            connect::committing(&connect),
            reads.clone(),
            epoch.clone(),
            options.statement_timeout,
        );
        let committer = Committer::start(engine);
        Ok(Self {
            readers: super::readers(&reads),
            reads,
            committer,
            epoch,
            home,
            statement_timeout: options.statement_timeout,
        })
    }

    /// Moves the store's clock, for tests of what expires.
    #[cfg(feature = "testkit")]
    pub fn shift_clock(&self, by: Duration) {
        self.reads.shift_clock(by);
    }
}

#[async_trait]
impl Store for PostgresStore {
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
        Some(Arc::new(PostgresChanges {
            reads: self.reads.clone(),
            epoch: self.epoch.clone(),
        }))
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        Some(Arc::new(SqlCoordination(self.reads.clone())))
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        self.epoch.check(&set)?;
        self.committer.commit(set, deadline, &CAPABILITY).await
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        changes::adopt(&self.reads, deadline).await?;
        self.epoch.raise(&*self.reads, deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.reads.ping(deadline).await
    }

    async fn close(&self) {
        self.committer.close().await;
        self.reads.close().await;
    }
}
