//! Runs batches on the committer's own connection, and finds out what became of them.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use sqlx::Postgres;
use sqlx::Row as _;
use sqlx::postgres::PgArguments;
use sqlx::postgres::PgRow;
use sqlx::query::Query;
use uuid::Uuid;

use super::arrays::Arguments;
use super::commit::FUNCTION;
use super::commit::about;
use super::error;
use super::error::Outcome;
use super::line::Line;
use super::reads::PostgresReads;
use super::session::Session;
use super::session::StatementPlan;
use crate::backend::sql::answer;
use crate::backend::sql::answer::Answer;
use crate::backend::sql::committer::Applied;
use crate::backend::sql::committer::Engine;
use crate::backend::sql::committer::Link;
use crate::backend::sql::committer::Ran;
use crate::backend::sql::dialect::Reads as _;
use crate::backend::sql::plan::History;
use crate::backend::sql::plan::Plan;
use crate::backend::sql::plan::Prepared;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// Takes the place of a commit that was not seen. While the commit is under way this waits for it on the unique index.
const VOID: &str = "/* stockroom commit.void */ INSERT INTO stockroom_commits (id, answer, at) VALUES ($1, NULL, $2) \
     ON CONFLICT (id) DO NOTHING RETURNING id";

/// It writes what is there already: the answer is as lasting as a commit before it is told. A server that restarted shows
/// what its synchronous replica may not have yet, and a replica shows what it cannot vouch for; neither passes this.
const OUTCOME: &str =
    "/* stockroom commit.outcome */ UPDATE stockroom_commits SET at = at WHERE id = $1 RETURNING answer";

/// What is added to the server's own limit before the reply is taken for lost.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// The committer's connection.
pub(super) struct PostgresEngine {
    line: Line,
    connection: Option<Session>,
    reads: Arc<PostgresReads>,
    patience: Duration,
    age: Age,
    /// Calls that look at the levels before they step them.
    caution: u32,
}

/// So many batches after one that was short of units look at their levels first: most likely they are short as well.
const CAUTION: u32 = 16;

/// How old the plans of a connection are.
#[derive(Debug, Clone, Copy)]
struct Age {
    calls: u64,
    planned: Instant,
}

/// Plans are made anew after this time at the latest; it takes the server some milliseconds.
const PLANS_LAST: Duration = Duration::from_secs(30);

impl Age {
    fn new() -> Self {
        Self {
            calls: 0,
            planned: Instant::now(),
        }
    }

    /// Whether the next call makes its plans anew: the fourth does, the sixteenth, and so on, as the tables grow.
    fn next(&mut self) -> bool {
        self.calls += 1;
        let grown = self.calls.is_power_of_two() && self.calls.trailing_zeros().is_multiple_of(2);
        let anew = self.calls > 1 && (grown || self.planned.elapsed() > PLANS_LAST);
        if anew {
            self.planned = Instant::now();
        }
        anew
    }
}

impl PostgresEngine {
    pub(super) fn new(line: Line, reads: Arc<PostgresReads>, statement_timeout: Duration) -> Self {
        Self {
            line,
            connection: None,
            reads,
            patience: statement_timeout + GRACE,
            age: Age::new(),
            caution: 0,
        }
    }

    async fn call(&mut self, link: Link, plan: &mut Plan) -> Result<Option<String>, Ran> {
        let way = Way {
            relaxed: plan.relaxed,
            anew: self.age.next(),
            guarded: plan.guarded && self.caution == 0,
        };
        let call = ask(link, self.reads.shift(), way, plan).map_err(unsent)?;
        // Taken out: whatever ends this early, a connection in doubt is not used again.
        let Some(mut connection) = self.connection.take() else {
            return Err(Ran::Failed {
                error: Error::new(ErrorKind::Unavailable, "not connected"),
                again: true,
            });
        };
        let answer = connection.fetch(call, StatementPlan::Kept);
        let text = match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(rows)) => first(&rows),
            Ok(Err(error)) => {
                let mapped = error::map(&error);
                return Err(match error::outcome(&error) {
                    Outcome::Unknown => Ran::Unknown(mapped),
                    Outcome::Blocked => {
                        self.connection = Some(connection);
                        Ran::Blocked(mapped)
                    }
                    known => {
                        self.connection = Some(connection);
                        Ran::Failed {
                            error: mapped,
                            again: known == Outcome::Repeat,
                        }
                    }
                });
            }
            Err(_) => {
                connection.give_up();
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

/// How the program is called beside its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// The call is the whole transaction, and nobody waits for the disk.
    pub(super) relaxed: bool,
    /// Its plans are made anew.
    pub(super) anew: bool,
    /// Levels are stepped before they are looked at.
    pub(super) guarded: bool,
}

/// The call of the commit program, which is the whole database transaction unless one is open.
pub(super) fn ask(
    link: Link,
    shift: i64,
    way: Way,
    plan: &mut Plan,
) -> Result<Query<'static, Postgres, PgArguments>> {
    let payload = std::mem::take(&mut plan.payload);
    let arguments = Arguments::new(&payload)?;
    Ok(sqlx::query(FUNCTION.call.as_str())
        .bind(link.commit)
        .bind(link.after)
        .bind(shift)
        .bind(plan.epoch)
        .bind(plan.writes)
        .bind(way.relaxed)
        .bind(way.anew)
        .bind(way.guarded)
        .bind(payload.released)
        .bind(plan.sets)
        .bind(Vec::from_iter(std::mem::take(&mut plan.shared)))
        .bind(arguments.lists)
        .bind(arguments.sets)
        .bind(arguments.ints)
        .bind(arguments.ids)
        .bind(arguments.texts))
}

/// The call could not be made.
pub(super) fn unsent(error: Error) -> Ran {
    Ran::Failed { error, again: false }
}

/// What the program answered.
pub(super) fn first(rows: &[PgRow]) -> Option<String> {
    rows.first().and_then(|row| row.try_get(0).ok())
}

/// Reads what the program answered.
pub(super) fn ran(text: Option<String>, plan: &Plan) -> Ran {
    let Some(text) = text else {
        return Ran::Unknown(Error::new(ErrorKind::Internal, "the commit gave no answer"));
    };
    match answer::read(&text, &plan.changed, about) {
        Ok(Answer::Applied(applied, facts)) => Ran::Applied(applied, facts),
        Ok(Answer::Refused(facts)) => Ran::Refused(facts),
        Ok(Answer::Restored(epoch)) => Ran::Restored(epoch),
        Ok(Answer::Early) => Ran::Early,
        Err(error) => Ran::Unknown(error),
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    const HISTORY: History = History::Packed;

    async fn ready(&mut self) -> Result<()> {
        if !self.connection.as_ref().is_some_and(Session::is_sound) {
            self.connection = None;
            self.connection = Some(self.line.open().await?);
            self.age = Age::new();
        }
        Ok(())
    }

    async fn run(&mut self, link: Link, _: &[&Prepared], plan: &mut Plan) -> Ran {
        let ran = match self.call(link, plan).await {
            Ok(text) => ran(text, plan),
            Err(ran) => ran,
        };
        match &ran {
            Ran::Applied(_, facts) | Ran::Refused(facts) if !facts.levels.is_empty() => {
                self.caution = CAUTION
            }
            _ => self.caution = self.caution.saturating_sub(1),
        }
        ran
    }

    fn second(&self) -> Option<Self> {
        Some(Self {
            line: self.line.clone(),
            connection: None,
            reads: Arc::clone(&self.reads),
            patience: self.patience,
            age: Age::new(),
            caution: 0,
        })
    }

    async fn resolve(&mut self, commit: Uuid, plan: &Plan) -> Result<Option<Applied>> {
        let Some(mut connection) = self.connection.take() else {
            return Err(Error::new(ErrorKind::Unavailable, "not connected"));
        };
        let look = async {
            connection.begin().await?;
            let void = sqlx::query(VOID).bind(commit).bind(self.reads.shift());
            let void = connection.run(void, StatementPlan::Kept).await?;
            let found = if void.is_empty() {
                let outcome = sqlx::query(OUTCOME).bind(commit);
                let rows = connection.run(outcome, StatementPlan::Kept).await?;
                let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
                row.try_get::<Option<String>, _>(0)?
            } else {
                None
            };
            connection.commit().await?;
            Ok::<_, sqlx::Error>(found)
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
        found
            .map(|text| answer::applied(&text, &plan.changed))
            .transpose()
    }
}
