//! The schema of a shop on PostgreSQL.

use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::PostgresOptions;
use super::commit::FUNCTION;
use super::error;
use super::line::Line;
use crate::backend::sql::migrate::Migration;
use crate::backend::sql::migrate::pending;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::store::Migrate;

static MIGRATIONS: [Migration; 4] = [
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
    Migration {
        version: 4,
        sql: include_str!("migrations/0004_packed.sql"),
    },
];

/// Held to the end of the transaction, so that of several processes that open an empty database one creates the tables.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('stockroom.migrate', 0))";

const HAS_TABLE: &str = "SELECT to_regclass('stockroom_migrations') IS NOT NULL";

const HAS_FUNCTION: &str = "SELECT to_regproc($1) IS NOT NULL";

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS stockroom_migrations \
     (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";

const FOUND: &str = "SELECT coalesce(max(version), 0) FROM stockroom_migrations";

const APPLIED: &str = "INSERT INTO stockroom_migrations (version) VALUES ($1)";

const HOME: &str = "SELECT (SELECT m.value FROM stockroom_meta AS m WHERE m.name = 'epoch') AS epoch, \
     (SELECT m.value FROM stockroom_meta AS m WHERE m.name = 'shop') AS shop, \
     (SELECT quote_ident(n.nspname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE c.oid = 'stockroom_meta'::regclass) AS home";

/// What a store learns of its database when it is opened.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) epoch: i64,
    /// The identity of the shop.
    pub(super) shop: i64,
    /// The schema that the tables are in, quoted where it needs to be.
    pub(super) schema: String,
}

/// Checks the schema, or brings it to this version, in one transaction; tells whose database it is.
pub(super) async fn prepare(line: &Line, options: &PostgresOptions) -> Result<Home> {
    let opened = line
        .open()
        .await
        .map_err(|closed| Error::from(closed).operation("open"))?;
    let mut connection = opened.into_inner();
    let result = within(&mut connection, options)
        .await
        .map_err(|error| error.operation("open"));
    // Whatever was begun ends with the session.
    let _ = sqlx::Connection::close(connection).await;
    result
}

async fn within(connection: &mut PgConnection, options: &PostgresOptions) -> Result<Home> {
    execute(connection, "BEGIN".to_owned()).await?;
    // Creating tables may take longer than a statement of the shop.
    execute(
        connection,
        "SET LOCAL statement_timeout = 60000; SET LOCAL lock_timeout = 30000".to_owned(),
    )
    .await?;
    if let Some(schema) = &options.schema {
        // Behind a pooler the session has no settings of ours.
        execute(connection, format!("SET LOCAL search_path = {schema}")).await?;
    }
    execute(connection, LOCK.to_owned()).await?;
    if let (Some(schema), Migrate::Create | Migrate::Apply) = (&options.schema, options.migrate) {
        // The name was checked to be of lower-case letters, digits and underscores.
        execute(connection, format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
    }
    let has_table: bool = scalar(connection, HAS_TABLE).await?;
    let found: i64 = if has_table {
        scalar(connection, FOUND).await?
    } else {
        0
    };
    let missing = pending(options.migrate, found, &MIGRATIONS)?;
    if !missing.is_empty() {
        execute(connection, CREATE_TABLE.to_owned()).await?;
    }
    for migration in missing {
        execute(connection, migration.sql.to_owned()).await?;
        sqlx::query(APPLIED)
            .persistent(false)
            .bind(migration.version)
            .execute(&mut *connection)
            .await
            .map_err(|error| error::map(&error))?;
    }
    install(connection, options.migrate).await?;
    let home = home(connection).await.map_err(|error| error::map(&error))?;
    execute(connection, "COMMIT".to_owned()).await?;
    Ok(home)
}

async fn home(connection: &mut PgConnection) -> Result<Home, sqlx::Error> {
    let row = sqlx::query(HOME).persistent(false).fetch_one(connection).await?;
    Ok(Home {
        epoch: row.try_get("epoch")?,
        shop: row.try_get("shop")?,
        schema: row.try_get("home")?,
    })
}

/// Installs this version's commit function beside those of other versions.
async fn install(connection: &mut PgConnection, migrate: Migrate) -> Result<()> {
    let row = sqlx::query(HAS_FUNCTION)
        .persistent(false)
        .bind(&FUNCTION.name)
        .fetch_one(&mut *connection)
        .await;
    let installed: bool = row
        .and_then(|row| row.try_get(0))
        .map_err(|error| error::map(&error))?;
    if installed {
        return Ok(());
    }
    if migrate == Migrate::Check {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "the function {} is not installed: open once with Migrate::Apply",
                FUNCTION.name
            ),
        ));
    }
    execute(connection, FUNCTION.create.clone()).await
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(|error| error::map(&error))
}

async fn scalar<T>(connection: &mut PgConnection, sql: &'static str) -> Result<T>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let row = sqlx::query(sql)
        .persistent(false)
        .fetch_one(connection)
        .await
        .map_err(|error| error::map(&error))?;
    row.try_get(0).map_err(|error| error::map(&error))
}
