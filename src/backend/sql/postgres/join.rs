//! Joins write sets to a transaction of the caller's own: three round trips.
//!
//! 1. The savepoint, the caller's settings, whose database it is, our settings: one message.
//! 2. The commit program. On a connection that runs it for the first time, one round trip more prepares it.
//! 3. The caller's settings again, and the release: one message. After an error instead: back to the savepoint, which brings
//!    the settings back as well.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::PostgresStore;
use super::engine::GRACE;
use super::engine::Way;
use super::engine::ask;
use super::engine::first;
use super::engine::ran;
use super::engine::unsent;
use super::error;
use super::schema::Home;
use crate::backend::sql::committer::Link;
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
use crate::resilience::Deadline;
use crate::transaction::Pending;
use crate::transaction::Staged;

const UNDO: &str = "ROLLBACK TO SAVEPOINT stockroom_join; RELEASE SAVEPOINT stockroom_join";

/// How long the program waits for a lock at most. The caller keeps locks of its own meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(2);

impl PostgresStore {
    /// Writes what a unit of work staged into the caller's transaction, which must be one on this shop's database: it
    /// becomes true with the caller's COMMIT, or not at all.
    ///
    /// - After an error nothing of the set is left, and the transaction is as it was before, unless the error says that it
    ///   has to be rolled back.
    /// - The set is checked as every other one: versions that were read, guards, keys. A repetition of an idempotency key
    ///   is a success, told by [`Committed::replay`](crate::spi::store::Committed::replay).
    /// - The rows stay locked until the transaction ends. Other writes to them wait, until their deadlines; keep the
    ///   transaction short, and join last.
    /// - Any isolation level will do. Under `REPEATABLE READ` and `SERIALIZABLE` a row that changed since the transaction's
    ///   snapshot is a `Conflict`.
    /// - Role, search path and time-outs of the session do not matter, and are afterwards what they were; the role needs the
    ///   privileges of a shop's.
    /// - Three round trips; a fourth where the connection runs it for the first time. A wait for a lock ends after 2 s.
    ///
    /// # Errors
    /// - `Config` when the connection is not on this shop's database and schema, or the set was staged for another store.
    /// - `InvalidInput`, field `transaction`, when no transaction is open, it is read-only, or it has failed already.
    /// - Those of a commit: `Conflict`, `NotFound`, `AlreadyExists`, `InsufficientStock`, `KeyReused`, `TooLarge`.
    /// - `Conflict` also after a deadlock or a serialization failure (roll back, and begin anew), and when the shop was
    ///   restored since the set was staged.
    /// - `Unavailable` when another transaction keeps the rows locked, or the connection is lost; `Timeout` when the
    ///   deadline ends, or an observer is not ready in time. Nothing of the set is applied in any of these.
    ///
    /// # Cancel safety
    /// A future that is dropped leaves the savepoint open, with the set or a part of it: roll the transaction back, or close
    /// the connection. A sqlx transaction that is dropped does that. The next statement may be answered with the error of
    /// what was cut off; then roll back once more.
    pub async fn join<T: Send>(
        &self,
        staged: Staged<T>,
        connection: &mut PgConnection,
    ) -> Result<Pending<T>> {
        let deadline = staged.deadline();
        let mut guest = PostgresGuest {
            connection,
            home: &self.home,
            shift: self.reads.shift(),
            statement_timeout: self.statement_timeout,
            deadline,
            theirs: Settings::default(),
        };
        let host = Host {
            store: self,
            shop: self.home.shop,
            history: History::Packed,
            epoch: &self.epoch,
        };
        join::join(host, staged, deadline, &mut guest).await
    }
}

struct PostgresGuest<'c> {
    connection: &'c mut PgConnection,
    home: &'c Home,
    shift: i64,
    statement_timeout: Duration,
    deadline: Deadline,
    theirs: Settings,
}

/// What a session is set to, as the server spells it.
#[derive(Debug, Default)]
struct Settings {
    search_path: String,
    lock_timeout: String,
    statement_timeout: String,
}

impl Settings {
    /// The statement that sets them for the rest of the transaction.
    fn set(&self) -> String {
        format!(
            "SELECT set_config('search_path', {}, true), set_config('lock_timeout', {}, true), \
             set_config('statement_timeout', {}, true)",
            literal(&self.search_path),
            literal(&self.lock_timeout),
            literal(&self.statement_timeout)
        )
    }
}

/// A text in SQL, whatever `standard_conforming_strings` is set to.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

impl PostgresGuest<'_> {
    /// What the program runs under. No limit is 0, which the server would take for none.
    fn ours(&self) -> Settings {
        let left = self.deadline.remaining();
        let millis = |most: Duration| left.min(most).as_millis().max(1).to_string();
        Settings {
            search_path: self.home.schema.clone(),
            lock_timeout: millis(LOCK_WAIT),
            statement_timeout: millis(self.statement_timeout),
        }
    }

    /// One message of several statements.
    async fn send(&mut self, sql: String) -> Result<Vec<PgRow>, sqlx::Error> {
        let patience = self.statement_timeout + GRACE;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *self.connection);
        within(patience, rows).await
    }
}

/// A peer that is gone answers nothing, and its transaction will be rolled back.
async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

#[async_trait]
impl Guest for PostgresGuest<'_> {
    async fn enter(&mut self) -> Result<Identity> {
        let schema = &self.home.schema;
        let sql = format!(
            "SAVEPOINT stockroom_join; \
             SELECT current_setting('search_path') AS search_path, current_setting('lock_timeout') AS lock_timeout, \
             current_setting('statement_timeout') AS statement_timeout, \
             (SELECT m.value FROM {schema}.stockroom_meta AS m WHERE m.name = 'shop') AS shop, \
             (SELECT m.value FROM {schema}.stockroom_meta AS m WHERE m.name = 'epoch') AS epoch; {}",
            self.ours().set()
        );
        let rows = match self.send(sql).await {
            Ok(rows) => rows,
            Err(error) => {
                if !error::is_outside(&error) {
                    // Where this fails too, the connection is lost.
                    let _ = self.undo().await;
                }
                return Err(if error::is_undefined(&error) {
                    elsewhere()
                } else {
                    joining(&error)
                });
            }
        };
        match read(&rows) {
            Ok((theirs, identity)) => {
                self.theirs = theirs;
                Ok(identity)
            }
            Err(error) => {
                self.undo().await?;
                Err(elsewhere().caused_by(error.to_string()))
            }
        }
    }

    async fn run(&mut self, commit: Uuid, plan: &mut Plan) -> Ran {
        let patience = self.statement_timeout + GRACE;
        // Session and transaction are the caller's: plans and durability are left alone.
        let way = Way {
            relaxed: false,
            anew: false,
            guarded: plan.guarded,
        };
        let link = Link { commit, after: None };
        let call = match ask(link, self.shift, way, plan) {
            Ok(call) => call,
            Err(error) => return unsent(error),
        };
        let rows = call.fetch_all(&mut *self.connection);
        match within(patience, rows).await {
            Ok(rows) => ran(first(&rows), plan),
            Err(error) => Ran::Failed {
                // Whoever took the key has committed: the next look sees it.
                again: error::is_raced(&error),
                error: joining(&error),
            },
        }
    }

    async fn again(&mut self) -> Result<()> {
        let sql = format!("ROLLBACK TO SAVEPOINT stockroom_join; {}", self.ours().set());
        self.send(sql).await.map(drop).map_err(|error| joining(&error))
    }

    async fn keep(&mut self) -> Result<()> {
        let sql = format!("{}; RELEASE SAVEPOINT stockroom_join", self.theirs.set());
        self.send(sql).await.map(drop).map_err(|error| joining(&error))
    }

    async fn undo(&mut self) -> Result<()> {
        self.send(UNDO.to_owned())
            .await
            .map(drop)
            .map_err(|error| joining(&error))
    }
}

/// The answer to the first message.
fn read(rows: &[PgRow]) -> Result<(Settings, Identity), sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let theirs = Settings {
        search_path: row.try_get("search_path")?,
        lock_timeout: row.try_get("lock_timeout")?,
        statement_timeout: row.try_get("statement_timeout")?,
    };
    let identity = Identity {
        shop: row.try_get("shop")?,
        epoch: row.try_get("epoch")?,
    };
    Ok((theirs, identity))
}

/// What an error means to whoever owns the transaction.
fn joining(error: &sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|database| database.code());
    let unfit = |message: &'static str| Error::invalid("transaction", message);
    let joined = match code.as_deref() {
        Some("25P01") => unfit("begin one: there is none open on this connection"),
        Some("25P02") => unfit("it has failed already: roll it back"),
        Some("25006") => unfit("it is read-only: begin one that may write, on the primary"),
        Some("40001") => Error::new(
            ErrorKind::Conflict,
            "a row changed since the transaction began: roll back, and begin anew",
        ),
        Some("40P01") => Error::new(
            ErrorKind::Conflict,
            "the transaction and another one wait for each other: roll back, and begin anew",
        ),
        Some(_) => return error::map(error),
        // Nothing was applied, since nobody sent COMMIT.
        None => return error::map(error).retry(Retry::Safe),
    };
    joined.caused_by(format!("SQLSTATE {}", code.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn a_literal_is_the_text_whatever_it_holds() {
        assert_eq!(literal("\"$user\", public"), "E'\"$user\", public'");
        assert_eq!(literal("it's \\ odd"), "E'it''s \\\\ odd'");
    }
}
