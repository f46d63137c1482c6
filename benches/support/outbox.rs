//! A shop with many changes behind it, and the loop that one writes by hand to read them.

use std::path::PathBuf;
use std::time::Instant;

use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgPool;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use stockroom::Builder;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use uuid::Uuid;

use crate::support;
use crate::support::Engine;
use crate::support::Places;
use crate::support::Result;

/// Changes that one statement makes.
const STEP: usize = 50_000;

/// What one would read by hand on PostgreSQL, where a row of the shop holds many changes: a row for each.
const PLAIN: &str = "CREATE TABLE IF NOT EXISTS changes_by_hand (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
     aggregate text NOT NULL, row_key text NOT NULL, version bigint NOT NULL, action text NOT NULL, actor text NOT NULL, \
     events text NOT NULL, at bigint NOT NULL)";

/// Where a shop lies, and a pool on its tables.
#[derive(Debug)]
pub(crate) enum Outbox {
    Postgres {
        url: String,
        schema: String,
        pool: PgPool,
    },
    Sqlite {
        file: PathBuf,
        pool: SqlitePool,
    },
}

impl Outbox {
    pub(crate) async fn create(engine: Engine, places: &Places) -> Result<Self> {
        let name = format!("bench_relay_{}", Uuid::now_v7().simple());
        match (engine, places.postgres()) {
            (Engine::Postgres, Some(url)) => {
                support::postgres_shop(url, &name).await?.close().await;
                let options = PgPoolOptions::new().max_connections(1);
                Ok(Self::Postgres {
                    pool: support::postgres_pool(url, &name, options).await?,
                    url: url.to_owned(),
                    schema: name,
                })
            }
            (Engine::Postgres, None) => Err("there is no PostgreSQL".into()),
            (Engine::Sqlite, _) => {
                let file = places.file(&name);
                support::sqlite_shop(&file).await?.close().await;
                let options = SqlitePoolOptions::new().max_connections(1);
                Ok(Self::Sqlite {
                    pool: support::sqlite_pool(&file, options).await?,
                    file,
                })
            }
        }
    }

    /// A shop on it that is not opened yet.
    pub(crate) async fn builder(&self) -> Result<Builder> {
        Ok(match self {
            Self::Postgres { url, schema, .. } => {
                let options = PostgresOptions::new(url).schema(schema);
                Stockroom::builder().store(PostgresStore::connect(options).await?)
            }
            Self::Sqlite { file, .. } => {
                let options = SqliteOptions::new(format!("sqlite://{}", file.display()));
                Stockroom::builder().store(SqliteStore::open(options).await?)
            }
        })
    }

    /// Changes of orders, as they would be there after so many writes: 20 to a database transaction.
    pub(crate) async fn fill(&self, count: usize) -> Result<()> {
        for first in (0..count).step_by(STEP) {
            let last = (first + STEP).min(count) - 1;
            match self {
                Self::Postgres { pool, .. } => {
                    let sql = format!(
                        "DO $$ BEGIN FOR i IN {}..{} LOOP \
                         INSERT INTO changes_by_hand (aggregate, row_key, version, action, actor, events, at) \
                         SELECT 'order', md5((i * 20 + g)::text)::uuid::text, 1, 'put', 'user:0190b5a4-0000-7000-8000-000000000001', \
                         '[\"order.placed\"]', 1700000000000000 FROM generate_series(0, 19) AS g; \
                         INSERT INTO stockroom_changes (entries, versions, keys, at, commit_id) \
                         SELECT array_agg('[\"order\",\"' || md5((i * 20 + g)::text)::uuid || \
                         '\",\"put\",\"user:0190b5a4-0000-7000-8000-000000000001\",[\"order.placed\"]]'), \
                         array_agg(1), array_agg(i * 20 + g), 1700000000000000, md5(i::text)::uuid FROM generate_series(0, 19) AS g; \
                         COMMIT; END LOOP; END $$",
                        first / 20,
                        last / 20
                    );
                    sqlx::query(PLAIN).execute(pool).await?;
                    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await?;
                }
                Self::Sqlite { pool, .. } => {
                    let sql = format!(
                        "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id) \
                         WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
                         SELECT 'order', '0190b5a4-0000-7000-8000-' || printf('%012x', i), 1, 'put', \
                         'user:0190b5a4-0000-7000-8000-000000000001', '[\"order.placed\"]', 1700000000000000, \
                         '0190b5a4-0000-7000-8000-000000000002' FROM n"
                    );
                    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await?;
                }
            }
        }
        if let Self::Postgres { pool, .. } = self {
            sqlx::query("ANALYZE stockroom_changes").execute(pool).await?;
            sqlx::query("ANALYZE changes_by_hand").execute(pool).await?;
        }
        Ok(())
    }

    /// The changes a second that a loop by hand reads, the last number being kept after each page.
    pub(crate) async fn read_by_hand(&self, count: usize, page: usize) -> Result<f64> {
        macro_rules! page_of {
            ($table:literal) => {
                concat!(
                    "SELECT seq, aggregate, row_key, version, action, actor, events, at FROM ",
                    $table,
                    " WHERE seq > $1 ORDER BY seq LIMIT $2"
                )
            };
        }
        const KEEP: &str =
            "INSERT INTO by_hand (id, seq) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq";
        const TABLE: &str = "CREATE TABLE IF NOT EXISTS by_hand (id bigint PRIMARY KEY, seq bigint NOT NULL)";
        let page = i64::try_from(page)?;
        let begun = Instant::now();
        // The same words on either pool, whose types have nothing in common that sqlx would have a name for.
        macro_rules! read_on {
            ($pool:expr, $table:literal) => {{
                let (mut last, mut read) = (0_i64, 0);
                sqlx::query(TABLE).execute($pool).await?;
                while read < count {
                    let rows = sqlx::query(page_of!($table))
                        .bind(last)
                        .bind(page)
                        .fetch_all($pool)
                        .await?;
                    for row in &rows {
                        last = row.try_get(0)?;
                        read += usize::from(Uuid::parse_str(row.try_get::<&str, _>(2)?).is_ok());
                        let events: Vec<String> = serde_json::from_str(row.try_get(6)?)?;
                        std::hint::black_box(events);
                    }
                    sqlx::query(KEEP).bind(last).execute($pool).await?;
                }
            }};
        }
        match self {
            Self::Postgres { pool, .. } => read_on!(pool, "changes_by_hand"),
            Self::Sqlite { pool, .. } => read_on!(pool, "stockroom_changes"),
        }
        Ok(super::rate(count, begun.elapsed().as_secs_f64()))
    }
}
