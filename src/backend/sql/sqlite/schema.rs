//! The schema of a SQLite shop.

use sqlx::Row as _;
use sqlx::sqlite::SqliteExecutor;
use sqlx::sqlite::SqlitePool;

use super::error;
use crate::backend::sql::migrate::Migration;
use crate::backend::sql::migrate::pending;
use crate::error::Result;
use crate::spi::store::Migrate;

static MIGRATIONS: [Migration; 3] = [
    Migration {
        version: 1,
        sql: include_str!("migrations/0001_shop.sql"),
    },
    Migration {
        version: 2,
        sql: include_str!("migrations/0002_changes.sql"),
    },
    Migration {
        version: 3,
        sql: include_str!("migrations/0003_history.sql"),
    },
];

const BEGIN: &str = "BEGIN IMMEDIATE";

const HAS_TABLE: &str = "SELECT count(*) FROM sqlite_master WHERE name = 'stockroom_migrations'";

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS stockroom_migrations \
     (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT";

const FOUND: &str = "SELECT coalesce(max(version), 0) FROM stockroom_migrations";

const APPLIED: &str = "INSERT INTO stockroom_migrations (version) VALUES ($1)";

const IDENTITY: &str = "SELECT (SELECT m.value FROM stockroom_meta AS m WHERE m.name = 'epoch'), \
     (SELECT m.value FROM stockroom_meta AS m WHERE m.name = 'shop')";

/// Checks the schema, or brings it to this version, in one transaction.
pub(super) async fn prepare(pool: &SqlitePool, migrate: Migrate) -> Result<()> {
    let mut connection = pool.acquire().await.map_err(|error| error::opening(&error))?;
    let statements = async {
        sqlx::query(BEGIN)
            .execute(&mut *connection)
            .await
            .map_err(|error| error::opening(&error))?;
        let table = sqlx::query(HAS_TABLE)
            .fetch_one(&mut *connection)
            .await
            .map_err(error::map)?;
        let found: i64 = if table.get::<i64, _>(0) == 0 {
            0
        } else {
            sqlx::query(FOUND)
                .fetch_one(&mut *connection)
                .await
                .map_err(error::map)?
                .get(0)
        };
        let missing = pending(migrate, found, &MIGRATIONS)?;
        if !missing.is_empty() {
            sqlx::query(CREATE_TABLE)
                .execute(&mut *connection)
                .await
                .map_err(error::map)?;
        }
        for migration in missing {
            sqlx::raw_sql(migration.sql)
                .execute(&mut *connection)
                .await
                .map_err(error::map)?;
            sqlx::query(APPLIED)
                .bind(migration.version)
                .execute(&mut *connection)
                .await
                .map_err(error::map)?;
        }
        Ok(())
    };
    let prepared: Result<()> = statements.await;
    let end = if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = sqlx::query(end).execute(&mut *connection).await;
    prepared?;
    ended.map_err(error::map)?;
    Ok(())
}

/// The epoch that write sets must be of, and the identity of the shop.
pub(super) async fn identity<'e>(executor: impl SqliteExecutor<'e>) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query(IDENTITY).fetch_one(executor).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
