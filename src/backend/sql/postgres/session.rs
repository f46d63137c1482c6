//! One session on a server, used by one at a time: it knows whether it may be used again.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::postgres::PgConnection;
use sqlx::postgres::PgRow;
use sqlx::query::Query;

use super::error;
use super::line::Access;
use super::line::Generation;
use super::replica::Proof;

/// A session of ours, or behind a pooler the end of one that is ours for each transaction.
pub(super) struct Session {
    connection: PgConnection,
    access: Access,
    generation: Generation,
    born_in: u64,
    state: State,
    /// What is known of a replica's server.
    pub(super) proof: Proof,
}

/// What becomes of a statement's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatementPlan {
    /// It is kept on the session, where that is ours.
    Kept,
    /// It is made for these parameters, and forgotten.
    Once,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// A transaction was begun or a statement is under way; where a future was dropped, for ever.
    Busy,
    Lost,
}

impl Session {
    pub(super) fn new(
        connection: PgConnection,
        access: Access,
        generation: Generation,
        born_in: u64,
    ) -> Self {
        Self {
            connection,
            access,
            generation,
            born_in,
            state: State::Idle,
            proof: Proof::default(),
        }
    }

    /// Whether it may be used again: nothing is under way on it, and nothing was heard of a failover since it was opened.
    pub(super) fn is_sound(&self) -> bool {
        self.state == State::Idle && self.generation.get() == self.born_in
    }

    /// Gives the server up, and every session to it: it did not answer when it had to.
    pub(super) fn give_up(self) {
        self.generation.turn_over(self.born_in);
    }

    /// Runs one statement in a transaction of its own.
    pub(super) async fn fetch(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        plan: StatementPlan,
    ) -> sqlx::Result<Vec<PgRow>> {
        if matches!(self.access, Access::Own) {
            return self.run(query, plan).await;
        }
        self.begin().await?;
        let rows = self.run(query, plan).await?;
        self.commit().await?;
        Ok(rows)
    }

    /// Begins a transaction; until [`Session::commit`] has returned, the session counts as in use.
    pub(super) async fn begin(&mut self) -> sqlx::Result<()> {
        let begin = match &self.access {
            Access::Own => Arc::from("BEGIN"),
            Access::Pooled(begin) => Arc::clone(begin),
        };
        self.command(&begin, State::Busy).await
    }

    /// Commits; a transaction in which a statement failed was rolled back by [`Session::run`] before.
    pub(super) async fn commit(&mut self) -> sqlx::Result<()> {
        self.command("COMMIT", State::Idle).await
    }

    /// Runs a statement. All rows are fetched, even where there is one: only then has the server said that it committed.
    ///
    /// - Behind a pooler it has no name: a name is known to one session of the server, and the next may be another. And it
    ///   runs within a transaction, since the driver prepares and runs in two trips, which could reach two servers' sessions.
    pub(super) async fn run(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        plan: StatementPlan,
    ) -> sqlx::Result<Vec<PgRow>> {
        let before = self.state;
        self.state = State::Busy;
        let named = plan == StatementPlan::Kept && matches!(self.access, Access::Own);
        match query.persistent(named).fetch_all(&mut self.connection).await {
            Ok(rows) => {
                self.state = before;
                Ok(rows)
            }
            Err(error) => {
                self.met(&error);
                if self.state != State::Lost && before == State::Busy {
                    // Its own trouble shows in the state; the caller's is the statement's.
                    let _ = self.command("ROLLBACK", State::Idle).await;
                } else if self.state != State::Lost {
                    self.state = before;
                }
                Err(error)
            }
        }
    }

    /// Asks whether the server is there.
    pub(super) async fn ping(&mut self) -> sqlx::Result<()> {
        self.connection.ping().await
    }

    /// The connection alone, for what looks after itself.
    pub(super) fn into_inner(self) -> PgConnection {
        self.connection
    }

    /// Says good-bye.
    pub(super) async fn close(self) -> sqlx::Result<()> {
        self.connection.close().await
    }

    async fn command(&mut self, sql: &str, after: State) -> sqlx::Result<()> {
        self.state = State::Busy;
        // Composed from constants and checked names only.
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.connection)
            .await;
        match done {
            Ok(_) => {
                self.state = after;
                Ok(())
            }
            Err(error) => {
                self.met(&error);
                self.state = State::Lost;
                Err(error)
            }
        }
    }

    fn met(&mut self, error: &sqlx::Error) {
        if error::is_connection(error) {
            self.generation.turn_over(self.born_in);
            self.state = State::Lost;
        } else if error.as_database_error().is_none() {
            self.state = State::Lost;
        }
    }
}
