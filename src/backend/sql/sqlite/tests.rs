//! Every statement is one that SQLite accepts, and none reads a table from end to end to find a row by its key.

use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::SqliteOptions;
use super::SqliteStore;
use super::commit::STEPS;
use super::values;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::tables;

const KEYED: [Statement; 18] = [
    tables::product::GET.one,
    tables::product::GET.many,
    tables::product::BY_SLUG,
    tables::product::BY_SKUS.one,
    tables::product::BY_SKUS.many,
    tables::cart::GET.one,
    tables::cart::GET.many,
    tables::cart::ACTIVE,
    tables::order::GET.one,
    tables::order::GET.many,
    tables::payment::GET.one,
    tables::payment::GET.many,
    tables::payment::FOR_ORDER,
    tables::payment::BY_REFERENCE,
    tables::level::LEVELS.one,
    tables::level::LEVELS.many,
    tables::level::HOLD,
    tables::keys::CLAIMS,
];

async fn plan(pool: &SqlitePool, sql: &str) -> String {
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(pool)
        .await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
    rows.iter()
        .map(|row| row.get::<String, _>("detail"))
        .collect::<Vec<_>>()
        .join("\n")
}

const PAYLOAD: [&str; 6] = [
    "VIRTUAL TABLE",
    "SCAN r",
    "SCAN g",
    "SCAN given",
    "SCAN listed",
    "CONSTANT ROW",
];

/// Scans of the payload's rows are what a step is made of; of a table they are not.
fn scans(plan: &str) -> Vec<&str> {
    let payload = |line: &&str| PAYLOAD.iter().any(|part| line.contains(part));
    plan.lines()
        .filter(|line| line.starts_with("SCAN ") && !payload(line))
        .collect()
}

#[tokio::test]
async fn keyed_reads_and_the_steps_of_a_commit_use_an_index() {
    let store = SqliteStore::open(SqliteOptions::new("sqlite::memory:"))
        .await
        .unwrap();
    let steps = STEPS.iter().map(|step| values::compose(step, 2));
    let texts = KEYED
        .iter()
        .map(|statement| statement.sqlite.to_owned())
        .chain(steps);
    for sql in texts {
        let plan = plan(&store.writer, &sql).await;
        assert_eq!(scans(&plan), Vec::<&str>::new(), "{sql}\n{plan}");
    }
}
