//! Runs batches on the committer's own connection, and finds out what became of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::commit::FUNCTION;
use super::commit::about;
use super::connect;
use super::error;
use super::error::Outcome;
use super::reads::PostgresReads;
use crate::backend::sql::answer;
use crate::backend::sql::answer::Answer;
use crate::backend::sql::committer::Applied;
use crate::backend::sql::committer::Engine;
use crate::backend::sql::committer::Ran;
use crate::backend::sql::dialect::Reads as _;
use crate::backend::sql::epoch::Epoch;
use crate::backend::sql::plan::Payload;
use crate::backend::sql::plan::Plan;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// Takes the place of a commit that was not seen. While the commit is under way this waits for it on the unique index.
const VOID: &str = "/* stockroom commit.void */ INSERT INTO stockroom_commits (id, answer, at) VALUES ($1, NULL, $2) \
     ON CONFLICT (id) DO NOTHING RETURNING id";

const OUTCOME: &str = "/* stockroom commit.outcome */ SELECT answer FROM stockroom_commits WHERE id = $1";

/// What is added to the server's own limit before the reply is taken for lost.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// The committer's connection.
pub(super) struct PostgresEngine {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    reads: Arc<PostgresReads>,
    epoch: Epoch,
    patience: Duration,
}

impl PostgresEngine {
    pub(super) fn new(
        options: PgConnectOptions,
        reads: Arc<PostgresReads>,
        epoch: Epoch,
        statement_timeout: Duration,
    ) -> Self {
        Self {
            options,
            connection: None,
            reads,
            epoch,
            patience: statement_timeout + GRACE,
        }
    }

    async fn call(&mut self, commit: Uuid, plan: &mut Plan) -> Result<Option<String>, Ran> {
        // Taken out: whatever ends this early, a connection in doubt is not used again.
        let Some(mut connection) = self.connection.take() else {
            return Err(Ran::Failed {
                error: Error::new(ErrorKind::Unavailable, "not connected"),
                again: true,
            });
        };
        let shift = self.reads.shift();
        let answer = ask(&mut connection, commit, shift, plan);
        let text = match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                let mapped = error::map(&error);
                return Err(match error::outcome(&error) {
                    Outcome::Unknown => Ran::Unknown(mapped),
                    Outcome::Blocked => {
                        self.connection = Some(connection);
                        Ran::Blocked(mapped)
                    }
                    known => {
                        if !error::is_connection(&error) {
                            self.connection = Some(connection);
                        }
                        Ran::Failed {
                            error: mapped,
                            again: known == Outcome::Repeat,
                        }
                    }
                });
            }
            Err(_) => {
                return Err(Ran::Unknown(Error::new(
                    ErrorKind::Timeout,
                    "the reply took too long",
                )));
            }
        };
        self.connection = Some(connection);
        Ok(text)
    }
}

/// Calls the commit program, which is the whole database transaction unless one is open.
pub(super) async fn ask(
    connection: &mut PgConnection,
    commit: Uuid,
    shift: i64,
    plan: &mut Plan,
) -> Result<Option<String>, sqlx::Error> {
    let mut payload = std::mem::take(&mut plan.payload);
    let released = std::mem::take(&mut payload.released);
    // All rows are fetched, although there is one: only then has the server said that it committed.
    let rows = sqlx::query(FUNCTION.call.as_str())
        .bind(commit)
        .bind(shift)
        .bind(released)
        .bind(document(payload, plan.epoch, plan.writes))
        .fetch_all(connection)
        .await?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok()))
}

/// Reads what the program answered.
pub(super) fn ran(text: Option<String>) -> Ran {
    let Some(text) = text else {
        return Ran::Unknown(Error::new(ErrorKind::Internal, "the commit gave no answer"));
    };
    match answer::read(&text, about) {
        Ok(Answer::Applied(applied)) => Ran::Applied(applied),
        Ok(Answer::Refused(facts)) => Ran::Refused(facts),
        Ok(Answer::Restored(epoch)) => Ran::Restored(epoch),
        Err(error) => Ran::Unknown(error),
    }
}

/// The lists as one document, and the epoch that they are for. A batch that writes says so: its commit row is written.
fn document(payload: Payload, epoch: i64, writes: bool) -> String {
    let mut text = format!("{{\"epoch\":{epoch},");
    for (name, rows) in payload.finish() {
        // Writing to a String cannot fail.
        let _ = write!(text, "\"{name}\":{rows},");
    }
    text.push_str(if writes { "\"writes\":1}" } else { "\"reads\":1}" });
    text
}

#[async_trait]
impl Engine for PostgresEngine {
    async fn ready(&mut self) -> Result<()> {
        if self.connection.is_none() {
            self.connection = Some(connect::connect(&self.options).await?);
        }
        Ok(())
    }

    async fn run(&mut self, commit: Uuid, plan: &mut Plan) -> Ran {
        let ran = match self.call(commit, plan).await {
            Ok(text) => ran(text),
            Err(ran) => ran,
        };
        if let Ran::Restored(epoch) = ran {
            self.epoch.saw(epoch);
        }
        ran
    }

    fn second(&self) -> Option<Self> {
        Some(Self {
            options: self.options.clone(),
            connection: None,
            reads: Arc::clone(&self.reads),
            epoch: self.epoch.clone(),
            patience: self.patience,
        })
    }

    async fn resolve(&mut self, commit: Uuid) -> Result<Option<Applied>> {
        let Some(mut connection) = self.connection.take() else {
            return Err(Error::new(ErrorKind::Unavailable, "not connected"));
        };
        let look = async {
            let void = sqlx::query(VOID)
                .bind(commit)
                .bind(self.reads.shift())
                .fetch_all(&mut connection)
                .await?;
            if !void.is_empty() {
                return Ok(None);
            }
            let row = sqlx::query(OUTCOME)
                .bind(commit)
                .fetch_one(&mut connection)
                .await?;
            row.try_get::<Option<String>, _>(0)
        };
        let found = match tokio::time::timeout(self.patience, look).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                // The commit is still under way: the next look waits for it on the same connection.
                if error::outcome(&error) == Outcome::Blocked {
                    self.connection = Some(connection);
                }
                return Err(error::map(&error));
            }
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    "the look for the outcome took too long",
                ));
            }
        };
        self.connection = Some(connection);
        found.map(|text| answer::applied(&text)).transpose()
    }
}
