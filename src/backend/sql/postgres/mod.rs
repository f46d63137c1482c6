//! PostgreSQL 15 and later, as on Amazon RDS.
//!
//! - Writes go through one connection that the committer owns, one round trip a batch, with the server's
//!   `synchronous_commit` as it is set there.
//! - Rows that another transaction keeps locked delay the writes to these rows only, until their deadlines: see
//!   the committer's lanes.
//! - Reads have a pool of their own. A connection on which a read was cut short is closed, never reused.
//! - Only a server that takes writes is worked with. After a failover no connection to the old one is used again.

mod arrays;
mod changes;
mod commit;
mod connect;
mod engine;
mod error;
mod history;
mod join;
mod letters;
mod line;
mod options;
mod place;
mod pool;
mod reads;
mod record;
mod replica;
mod schema;
mod session;
#[cfg(test)]
#[cfg(all(unix, feature = "testkit"))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::options::PostgresOptions;

use self::changes::PostgresChanges;
use self::engine::PostgresEngine;
use self::history::PackedHistory;
use self::line::Generation;
use self::line::Line;
use self::pool::Pool;
use self::reads::PostgresReads;
use self::replica::Replica;
use self::replica::TolerantReads;
use self::schema::Home;
use super::committer::Committer;
use super::coordination::SqlCoordination;
use super::dialect::Reads;
use super::epoch;
use crate::backend::epoch::Epoch;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::store::Capability;
use crate::spi::store::CommitStatus;
use crate::spi::store::Committed;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

static CAPABILITY: Capability = super::capability("postgresql");

/// A shop on PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    reads: Arc<PostgresReads>,
    readers: Readers,
    replica: Option<Arc<Replica>>,
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
    /// - `Unavailable` when no server answers, or one that takes no writes.
    pub async fn connect(options: PostgresOptions) -> Result<Self> {
        let generation = Generation::default();
        let direct = Line::direct(&options, generation.clone())?;
        let home = schema::prepare(&direct, &options).await?;
        let epoch = Epoch::new(home.epoch);
        let size = options.readers.max(1);
        let reads = Arc::new(PostgresReads::new(Pool::new(
            Line::shared(&options, generation)?,
            size,
        )));
        let replica = match &options.replica {
            Some(url) => {
                let pool = Pool::new(Line::replica(url, &options)?, size);
                Some(Arc::new(Replica::new(pool, reads.clone())))
            }
            None => None,
        };
        let engine = PostgresEngine::new(direct, reads.clone(), options.statement_timeout);
        let committer = Committer::start(engine, epoch.clone());
        Ok(Self {
            readers: readers(&reads),
            reads,
            replica,
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

    fn tolerant(&self, bound: Duration) -> Option<Readers> {
        let replica = self.replica.clone().filter(|_| !bound.is_zero())?;
        Some(readers(&Arc::new(TolerantReads { replica, bound })))
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
        self.committer.commit(set, deadline, &CAPABILITY).await
    }

    fn commits(&self) -> CommitStatus {
        self.committer.status()
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        changes::adopt(&self.reads, deadline).await?;
        epoch::raise(&self.epoch, &*self.reads, deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.reads.ping(deadline).await
    }

    async fn close(&self) {
        self.committer.close().await;
        self.reads.close().await;
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
    }
}

fn readers<R: Reads>(reads: &Arc<R>) -> Readers {
    super::readers(reads, Arc::new(PackedHistory(reads.clone())))
}
