//! Reading from PostgreSQL.
//!
//! A read that was cut short closes its connection; a read that met a dead one is repeated on another.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::Postgres;
use sqlx::Row as _;
use sqlx::postgres::PgArguments;
use sqlx::postgres::PgRow;
use sqlx::query::Query;
use uuid::Uuid;

use super::error;
use super::line::Closed;
use super::line::Generation;
use super::pool::Pool;
use super::session::StatementPlan;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Backoff;
use crate::resilience::Deadline;

/// Attempts of one read: a stale connection is noticed only when it is used.
const ATTEMPTS: u32 = 3;

/// The reading connections, and the clock of the store.
#[derive(Debug)]
pub(super) struct PostgresReads {
    pool: Pool,
    shift: AtomicI64,
}

impl PostgresReads {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            shift: AtomicI64::new(0),
        }
    }

    #[cfg(feature = "testkit")]
    pub(super) fn shift_clock(&self, by: std::time::Duration) {
        self.shift.fetch_add(
            i64::try_from(by.as_micros()).unwrap_or(i64::MAX / 2),
            Ordering::Relaxed,
        );
    }

    pub(super) async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.fetch(Text::Composed("SELECT 1".to_owned()), Vec::new(), deadline)
            .await
            .map(|_| ())
    }

    /// Which of the sessions to the writer are up to date.
    pub(super) fn generation(&self) -> &Generation {
        self.pool.generation()
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs a statement whose plan is made for these parameters and forgotten: a plan that was made while a table was small
    /// would read it from end to end when it has grown.
    pub(super) async fn fetch_planned_anew(
        &self,
        sql: String,
        args: Vec<Arg>,
        deadline: Deadline,
    ) -> Result<Vec<PgRow>> {
        self.repeat(&Text::Composed(sql), &args, StatementPlan::Once, deadline)
            .await
    }

    async fn attempt(&self, text: &Text, args: &[Arg], plan: StatementPlan) -> Result<Vec<PgRow>, Failed> {
        let mut borrowed = self.pool.borrow().await.map_err(Failed::Connecting)?;
        let query = match text {
            Text::Constant(statement) => sqlx::query(statement.postgres),
            Text::Composed(sql) => sqlx::query(AssertSqlSafe(sql.clone())),
        };
        let query = args.iter().fold(query, bind);
        let fetched = borrowed.session.fetch(query, plan).await;
        borrowed.give_back();
        fetched.map_err(|error| {
            if error::is_connection(&error) {
                Failed::Connection(error)
            } else {
                Failed::Statement(error)
            }
        })
    }

    /// Repeats the statement where a connection turns out to be stale.
    async fn repeat(
        &self,
        text: &Text,
        args: &[Arg],
        plan: StatementPlan,
        deadline: Deadline,
    ) -> Result<Vec<PgRow>> {
        let mut attempt = 1;
        let mut waits = 0;
        loop {
            match deadline.bound(self.attempt(text, args, plan)).await {
                None => {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "the deadline ended before the rows came",
                    ));
                }
                Some(Ok(rows)) => return Ok(rows),
                Some(Err(Failed::Connection(_))) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Some(Err(Failed::Connecting(Closed::NotYet(error)))) => {
                    // A failover is under way: the address will lead to the new writer.
                    let pause = Backoff::default().next(waits);
                    waits += 1;
                    if pause >= deadline.remaining() {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                }
                Some(Err(Failed::Connecting(Closed::Failed(error)))) => return Err(error),
                Some(Err(Failed::Connection(error) | Failed::Statement(error))) => {
                    return Err(error::map(&error));
                }
            }
        }
    }
}

/// How an attempt to read failed.
enum Failed {
    /// No connection could be had.
    Connecting(Closed),
    /// The connection was lost, or prepared for an older schema.
    Connection(sqlx::Error),
    /// The statement was refused.
    Statement(sqlx::Error),
}

pub(super) fn bind<'q>(
    query: Query<'q, Postgres, PgArguments>,
    arg: &'q Arg,
) -> Query<'q, Postgres, PgArguments> {
    match arg {
        Arg::Ids(ids) => query.bind(ids),
        Arg::Texts(texts) => query.bind(texts),
        Arg::Id(id) => query.bind(id),
        Arg::Text(text) => query.bind(text),
        Arg::Int(int) => query.bind(int),
    }
}

#[async_trait]
impl Reads for PostgresReads {
    type Row = PgRow;

    async fn fetch(&self, text: Text, args: Vec<Arg>, deadline: Deadline) -> Result<Vec<PgRow>> {
        self.repeat(&text, &args, StatementPlan::Kept, deadline).await
    }

    fn shift(&self) -> i64 {
        self.shift.load(Ordering::Relaxed)
    }

    fn now(parameter: usize) -> String {
        format!("(${parameter} + (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)")
    }

    fn spell(statement: &Statement) -> &'static str {
        statement.postgres
    }

    fn id(row: &PgRow, column: usize) -> Result<Uuid> {
        row.try_get(column).map_err(|error| error::map(&error))
    }

    fn opt_id(row: &PgRow, column: usize) -> Result<Option<Uuid>> {
        row.try_get(column).map_err(|error| error::map(&error))
    }

    fn opt_text(row: &PgRow, column: usize) -> Result<Option<String>> {
        row.try_get(column).map_err(|error| error::map(&error))
    }

    fn opt_int(row: &PgRow, column: usize) -> Result<Option<i64>> {
        // CASE gives the server's int4 where every branch is a small number.
        row.try_get::<Option<i64>, _>(column)
            .or_else(|_| {
                row.try_get::<Option<i32>, _>(column)
                    .map(|small| small.map(i64::from))
            })
            .map_err(|error| error::map(&error))
    }
}
