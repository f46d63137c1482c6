//! Reading from SQLite.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqliteRow;
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

/// The reading connections, and the clock of the store.
#[derive(Debug)]
pub(super) struct SqliteReads {
    pool: SqlitePool,
    shift: AtomicI64,
}

impl SqliteReads {
    pub(super) fn new(pool: SqlitePool) -> Self {
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

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    pub(super) async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.fetch(Text::Composed("SELECT 1".to_owned()), Vec::new(), deadline)
            .await
            .map(|_| ())
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

pub(super) fn bind(
    query: Query<'_, Sqlite, SqliteArguments>,
    arg: Arg,
) -> Query<'_, Sqlite, SqliteArguments> {
    match arg {
        Arg::Ids(ids) => query.bind(json(&ids)),
        Arg::Texts(texts) => query.bind(json(&texts)),
        Arg::Id(id) => query.bind(id.hyphenated().to_string()),
        Arg::Text(text) => query.bind(text),
        Arg::Int(int) => query.bind(int),
    }
}

fn json<T: serde::Serialize>(values: &[T]) -> String {
    // A list of texts or ids always serialises.
    serde_json::to_string(values).unwrap_or_else(|_| "[]".to_owned())
}

fn decode(error: sqlx::Error) -> Error {
    error::map(error)
}

#[async_trait]
impl Reads for SqliteReads {
    type Row = SqliteRow;

    async fn fetch(&self, text: Text, args: Vec<Arg>, deadline: Deadline) -> Result<Vec<SqliteRow>> {
        let query = match text {
            Text::Constant(statement) => sqlx::query(statement.sqlite),
            Text::Composed(sql) => sqlx::query(AssertSqlSafe(sql)),
        };
        let query = args.into_iter().fold(query, bind);
        match deadline.bound(query.fetch_all(&self.pool)).await {
            Some(rows) => rows.map_err(error::map),
            None => Err(Error::new(
                ErrorKind::Timeout,
                "the deadline ended before the rows came",
            )),
        }
    }

    fn shift(&self) -> i64 {
        self.shift.load(Ordering::Relaxed)
    }

    fn now(parameter: usize) -> String {
        format!("(${parameter} + CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER))")
    }

    fn spell(statement: &Statement) -> &'static str {
        statement.sqlite
    }

    fn id(row: &SqliteRow, column: usize) -> Result<Uuid> {
        Self::opt_id(row, column)?
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("column {column} is empty")))
    }

    fn opt_id(row: &SqliteRow, column: usize) -> Result<Option<Uuid>> {
        let text: Option<&str> = row.try_get(column).map_err(decode)?;
        text.map(Uuid::parse_str).transpose().map_err(|error| {
            Error::new(ErrorKind::Corrupt, format!("column {column} is no id")).caused_by(error)
        })
    }

    fn opt_text(row: &SqliteRow, column: usize) -> Result<Option<String>> {
        row.try_get(column).map_err(decode)
    }

    fn opt_int(row: &SqliteRow, column: usize) -> Result<Option<i64>> {
        row.try_get(column).map_err(decode)
    }
}
