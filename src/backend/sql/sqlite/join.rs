//! Joins write sets to a transaction of the caller's own.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::SqliteStore;
use super::commit::steps;
use super::error;
use super::schema;
use crate::backend::sql::committer::Ran;
use crate::backend::sql::dialect::Reads as _;
use crate::backend::sql::epoch::Identity;
use crate::backend::sql::join;
use crate::backend::sql::join::Guest;
use crate::backend::sql::join::Host;
use crate::backend::sql::join::elsewhere;
use crate::backend::sql::plan::History;
use crate::backend::sql::plan::Plan;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Retry;
use crate::transaction::Pending;
use crate::transaction::Staged;

const SAVEPOINT: &str = "SAVEPOINT stockroom_join";
const ROLLBACK_TO: &str = "ROLLBACK TO SAVEPOINT stockroom_join";
const RELEASE: &str = "RELEASE SAVEPOINT stockroom_join";

impl SqliteStore {
    /// Writes what a unit of work staged into the caller's transaction, which must be one on this shop's file: it becomes
    /// true with the caller's COMMIT, or not at all.
    ///
    /// - Begin the transaction with `BEGIN IMMEDIATE` (`connection.begin_with("BEGIN IMMEDIATE")`): one that has read
    ///   before it writes cannot wait for the lock, and fails where another one wrote since.
    /// - Until the transaction ends, nobody else writes to the file; do not call the shop in between.
    /// - After an error nothing of the set is left, and the transaction is as it was before.
    /// - The set is checked as every other one: versions that were read, guards, keys. A repetition of an idempotency key
    ///   is a success, told by [`Committed::replay`](crate::spi::store::Committed::replay).
    /// - A shop in memory cannot be joined: no other connection leads to it.
    ///
    /// # Errors
    /// - `Config` when the connection is not on this shop's file, or the set was staged for another store.
    /// - `InvalidInput`, field `transaction`, when no transaction is open.
    /// - Those of a commit: `Conflict`, `NotFound`, `AlreadyExists`, `InsufficientStock`, `KeyReused`, `TooLarge`.
    /// - `Conflict` also when another one wrote since the transaction read (roll back, and begin with `BEGIN IMMEDIATE`),
    ///   and when the shop was restored since the set was staged.
    /// - `Unavailable` when another one has the lock; `Timeout` when the deadline ends, or an observer is not ready in time.
    ///
    /// # Cancel safety
    /// A future that is dropped leaves the savepoint open, with a part of the set: roll the transaction back. A sqlx
    /// transaction that is dropped does that.
    pub async fn join<T: Send>(
        &self,
        staged: Staged<T>,
        connection: &mut SqliteConnection,
    ) -> Result<Pending<T>> {
        let deadline = staged.deadline();
        let mut guest = SqliteGuest {
            connection,
            shift: self.reads.shift(),
        };
        let host = Host {
            store: self,
            shop: self.shop,
            history: History::Rows,
            epoch: &self.epoch,
        };
        join::join(host, staged, deadline, &mut guest).await
    }
}

struct SqliteGuest<'c> {
    connection: &'c mut SqliteConnection,
    shift: i64,
}

impl SqliteGuest<'_> {
    async fn execute(&mut self, sql: &'static str) -> Result<()> {
        match sqlx::query(sql).execute(&mut *self.connection).await {
            Ok(_) => Ok(()),
            Err(error) => Err(joining(error)),
        }
    }

    /// A savepoint outside of a transaction would be one of its own, and its release a commit. Only `BEGIN` tells whether
    /// one is open: the driver does not know of those that were begun by hand.
    async fn require_transaction(&mut self) -> Result<()> {
        if sqlx::query("BEGIN").execute(&mut *self.connection).await.is_err() {
            return Ok(());
        }
        self.execute("ROLLBACK").await?;
        Err(Error::invalid(
            "transaction",
            "begin one: there is none open on this connection",
        ))
    }
}

#[async_trait]
impl Guest for SqliteGuest<'_> {
    async fn enter(&mut self) -> Result<Identity> {
        self.require_transaction().await?;
        self.execute(SAVEPOINT).await?;
        match schema::identity(&mut *self.connection).await {
            Ok((epoch, shop)) => Ok(Identity { shop, epoch }),
            Err(error) => {
                self.undo().await?;
                // A file without our tables is a wrong one, whatever its error is called.
                Err(if error::is_busy(&error) {
                    joining(error)
                } else {
                    elsewhere().caused_by(error)
                })
            }
        }
    }

    async fn run(&mut self, commit: Uuid, plan: &mut Plan) -> Ran {
        match steps(self.connection, commit, self.shift, &[], plan).await {
            Ok(ran) => ran,
            Err(error) => Ran::Failed {
                error: joining(error),
                again: false,
            },
        }
    }

    async fn again(&mut self) -> Result<()> {
        self.execute(ROLLBACK_TO).await
    }

    async fn keep(&mut self) -> Result<()> {
        self.execute(RELEASE).await
    }

    async fn undo(&mut self) -> Result<()> {
        self.execute(ROLLBACK_TO).await?;
        self.execute(RELEASE).await
    }
}

/// What an error means to whoever owns the transaction.
fn joining(error: sqlx::Error) -> Error {
    if error::is_stale(&error) {
        return Error::new(
            ErrorKind::Conflict,
            "another one wrote since the transaction read: roll back, and begin with BEGIN IMMEDIATE",
        )
        .caused_by(error);
    }
    if error::is_busy(&error) {
        return Error::new(
            ErrorKind::Unavailable,
            "another one writes to the file: roll back, and begin with BEGIN IMMEDIATE",
        )
        .retry(Retry::Safe)
        .caused_by(error);
    }
    error::map(error)
}
