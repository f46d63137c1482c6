//! Runs batches on the writing connection, and finds out what became of them.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::sqlite::SqlitePool;
use uuid::Uuid;

use super::commit::steps;
use super::error;
use super::reads::SqliteReads;
use crate::backend::sql::answer;
use crate::backend::sql::committer::Applied;
use crate::backend::sql::committer::Engine;
use crate::backend::sql::committer::Link;
use crate::backend::sql::committer::Ran;
use crate::backend::sql::dialect::Reads as _;
use crate::backend::sql::plan::History;
use crate::backend::sql::plan::Plan;
use crate::backend::sql::plan::Prepared;
use crate::error::Result;

/// In a write-ahead log a commit then waits for no disk, and the next one that does makes it last too.
const RELAXED: &str = "PRAGMA synchronous = NORMAL";

const DURABLE: &str = "PRAGMA synchronous = FULL";

const OUTCOME: &str = "SELECT answer FROM stockroom_commits WHERE id = $1";

/// Runs batches on the writing connection.
#[derive(Debug)]
pub(super) struct SqliteEngine {
    pool: SqlitePool,
    reads: Arc<SqliteReads>,
    /// Whether the connection may not wait for the disk.
    relaxed: bool,
}

impl SqliteEngine {
    pub(super) fn new(pool: SqlitePool, reads: Arc<SqliteReads>) -> Self {
        Self {
            pool,
            reads,
            relaxed: false,
        }
    }

    async fn transaction(
        &mut self,
        commit: Uuid,
        sets: &[&Prepared],
        plan: &mut Plan,
    ) -> Result<Ran, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        if plan.relaxed || self.relaxed {
            let how = if plan.relaxed { RELAXED } else { DURABLE };
            sqlx::query(how).execute(&mut *connection).await?;
            self.relaxed = plan.relaxed;
        }
        let ran = Self::begun(&mut connection, commit, self.reads.shift(), sets, plan).await;
        // Where this fails, the next durable batch begins with it.
        if self.relaxed && sqlx::query(DURABLE).execute(&mut *connection).await.is_ok() {
            self.relaxed = false;
        }
        ran
    }

    async fn begun(
        connection: &mut SqliteConnection,
        commit: Uuid,
        shift: i64,
        sets: &[&Prepared],
        plan: &mut Plan,
    ) -> Result<Ran, sqlx::Error> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        match steps(&mut *connection, commit, shift, sets, plan).await {
            Ok(Ran::Applied(applied, facts)) => {
                // An error here leaves the outcome to the file: the commit row tells.
                match sqlx::query("COMMIT").execute(&mut *connection).await {
                    Ok(_) => Ok(Ran::Applied(applied, facts)),
                    Err(error) => {
                        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
                        Ok(Ran::Unknown(error::map(error)))
                    }
                }
            }
            ended => {
                // SQLite may have rolled back by itself; then this says so, and nothing is open either way.
                let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
                ended
            }
        }
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    const HISTORY: History = History::Rows;

    /// SQLite has one write lock: whatever holds it blocks every batch alike.
    fn second(&self) -> Option<Self> {
        None
    }

    async fn ready(&mut self) -> Result<()> {
        Ok(())
    }

    async fn run(&mut self, link: Link, sets: &[&Prepared], plan: &mut Plan) -> Ran {
        match self.transaction(link.commit, sets, plan).await {
            Ok(ran) => ran,
            Err(error) => Ran::Failed {
                again: error::is_busy(&error),
                error: error::map(error),
            },
        }
    }

    async fn resolve(&mut self, commit: Uuid, plan: &Plan) -> Result<Option<Applied>> {
        let row = sqlx::query(OUTCOME)
            .bind(commit.hyphenated().to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(error::map)?;
        let text: Option<String> = row.and_then(|row| row.get(0));
        text.map(|text| answer::applied(&text, &plan.changed)).transpose()
    }
}
