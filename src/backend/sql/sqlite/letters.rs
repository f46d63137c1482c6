//! Letters of the feed, kept together with the position: SQLite changes one table in a statement, so that this is a
//! transaction.

use async_trait::async_trait;
use sqlx::Connection as _;

use super::error;
use super::reads::SqliteReads;
use super::reads::bind;
use crate::backend::sql::coordination::Keeps;
use crate::backend::sql::coordination::SAVE;
use crate::backend::sql::dialect::Arg;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;

/// `$1` the letters.
const KEEP: &str = "/* stockroom feed.keep */ \
     INSERT INTO stockroom_dead_letters (id, sink, change, reason, attempts, at) \
     SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5 \
     FROM json_each($1) AS e WHERE true ON CONFLICT (id) DO NOTHING";

#[async_trait]
impl Keeps for SqliteReads {
    async fn keep(&self, save: Vec<Arg>, letters: String, deadline: Deadline) -> Result<bool> {
        let both = async {
            let mut connection = self.pool().acquire().await?;
            // It takes the lock at once, as every writer here, and is rolled back when it is dropped: also where the begin
            // was not acknowledged (sqlx-sqlite 0.9.0, connection/worker.rs).
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let saved = save
                .into_iter()
                .fold(sqlx::query(SAVE.sqlite), bind)
                .fetch_all(&mut *transaction)
                .await?;
            if saved.is_empty() {
                transaction.rollback().await?;
                return Ok(false);
            }
            sqlx::query(KEEP).bind(letters).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(true)
        };
        match deadline.bound(both).await {
            Some(kept) => kept.map_err(error::map),
            None => Err(Error::new(
                ErrorKind::Timeout,
                "the deadline ended before the letters were kept",
            )),
        }
    }
}
