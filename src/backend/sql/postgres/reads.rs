//! Reading from PostgreSQL.
//!
//! A connection goes back to the pool only after its read ended well. The driver would put one back whose read was
//! cancelled, with the reply still to come or a permit lost on a dead peer (launchbadge/sqlx#4349, #4385); closing it
//! instead costs a connection and nothing else.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::Postgres;
use sqlx::Row as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgArguments;
use sqlx::postgres::PgPool;
use sqlx::postgres::PgRow;
use sqlx::query::Query;
use uuid::Uuid;

use super::error;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;

/// Attempts of one read: a stale connection is noticed only when it is used.
const ATTEMPTS: u32 = 3;

/// The reading connections, and the clock of the store.
#[derive(Debug)]
pub(super) struct PostgresReads {
    pool: PgPool,
    shift: AtomicI64,
}

/// A connection that is closed unless its use ended well.
struct Borrowed {
    connection: Option<PoolConnection<Postgres>>,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}

impl PostgresReads {
    pub(super) fn new(pool: PgPool) -> Self {
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

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    async fn attempt(&self, text: &Text, args: &[Arg]) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut borrowed = Borrowed {
            connection: Some(self.pool.acquire().await?),
        };
        let Some(connection) = borrowed.connection.as_deref_mut() else {
            return Err(sqlx::Error::PoolClosed);
        };
        let query = match text {
            Text::Constant(statement) => sqlx::query(statement.postgres),
            Text::Composed(sql) => sqlx::query(AssertSqlSafe(sql.clone())),
        };
        let rows = args.iter().fold(query, bind).fetch_all(connection).await;
        let kept = match &rows {
            Ok(_) => true,
            Err(error) => error.as_database_error().is_some() && !error::is_connection(error),
        };
        if kept {
            drop(borrowed.connection.take());
        }
        rows
    }
}

fn bind<'q>(query: Query<'q, Postgres, PgArguments>, arg: &'q Arg) -> Query<'q, Postgres, PgArguments> {
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
        let mut attempt = 1;
        loop {
            match deadline.bound(self.attempt(&text, &args)).await {
                None => {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "the deadline ended before the rows came",
                    ));
                }
                Some(Ok(rows)) => return Ok(rows),
                Some(Err(error)) if attempt < ATTEMPTS && error::is_connection(&error) => attempt += 1,
                Some(Err(error)) => return Err(error::map(&error)),
            }
        }
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
