//! The database behind a shop, for questions that no shop answers.

use sqlx::Row as _;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use crate::support::Result;

/// The database behind a shop, for questions that no shop answers.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Database {
    /// One row of whole numbers.
    pub(crate) async fn numbers(&self, sql: &'static str) -> Result<Vec<i64>> {
        match self {
            Self::Postgres(pool) => {
                let row = sqlx::query(sql).fetch_one(pool).await?;
                Ok((0..row.len())
                    .map(|column| row.try_get(column))
                    .collect::<std::result::Result<_, _>>()?)
            }
            Self::Sqlite(pool) => {
                let row = sqlx::query(sql).fetch_one(pool).await?;
                Ok((0..row.len())
                    .map(|column| row.try_get(column))
                    .collect::<std::result::Result<_, _>>()?)
            }
        }
    }

    /// Runs a statement that a server may not let us run.
    pub(crate) async fn try_execute(&self, postgres: &'static str, sqlite: &'static str) {
        let done = match self {
            Self::Postgres(pool) => sqlx::raw_sql(postgres).execute(pool).await.map(drop),
            Self::Sqlite(pool) => sqlx::raw_sql(sqlite).execute(pool).await.map(drop),
        };
        if let Err(error) = done {
            eprintln!("left out: {error}");
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}
