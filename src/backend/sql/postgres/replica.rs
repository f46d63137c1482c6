//! Reads from a replica that is proven to be fresh enough, else from the writer.
//!
//! The proof asks neither clock nor time stamp of the replica. A mark is the end of the writer's log and an instant of ours
//! from before the writer was asked for it. A replica of the same line of history that has replayed up to the mark has
//! everything that was committed before that instant. Marks and looks at the replica are made at most once in half of the
//! bound, by the read that needs them; all other reads take one round trip on the replica.
//!
//! - The end of the log is the one of insertion: with `synchronous_commit = off` commits are acknowledged before they are
//!   written out.
//! - The timeline is part of the comparison: a replica that still follows the writer of before a failover may be further
//!   in a log that is no longer the shop's.
//! - A proof belongs to one session, since behind one address there may be several replicas, and to one generation of the
//!   writer's sessions: after a failover every proof is made anew.
//! - A promoted replica keeps its sessions, so every read asks on its way whether the server is a replica still.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::pool::Pool;
use super::reads::PostgresReads;
use super::reads::bind;
use super::session::Session;
use super::session::StatementPlan;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::error::Result;
use crate::resilience::Deadline;

/// The end of the writer's log as a number, and which cluster and timeline it is of. The name of a log file begins with the
/// timeline; what the control file says is as old as the last checkpoint.
const MARK: &str = "/* stockroom replica.mark */ SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint, \
     (SELECT system_identifier FROM pg_control_system())::text || '/' \
     || ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int::text";

/// The same of a replica, NULL where it is none. What it receives tells the timeline at once, but only to a role that may
/// see it (`pg_read_all_stats`); the control file tells everybody, some time after a failover. Two that differ: unknown.
const REPLAYED: &str = "/* stockroom replica.replayed */ SELECT \
     CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END, \
     s.system_identifier::text || '/' || CASE WHEN r.received_tli IS NOT NULL THEN r.received_tli::text \
     WHEN coalesce(m.min_recovery_end_timeline, 0) IN (0, c.timeline_id) THEN c.timeline_id::text ELSE '?' END \
     FROM pg_control_system() AS s CROSS JOIN pg_control_checkpoint() AS c CROSS JOIN pg_control_recovery() AS m \
     LEFT JOIN pg_stat_wal_receiver AS r ON true";

const STILL: &str = "/* stockroom replica.still */ SELECT 1 WHERE pg_is_in_recovery()";

/// How long a replica is left alone after it failed.
const REST: Duration = Duration::from_secs(1);
/// The longest that a connection and its proof may keep a read from the writer.
const PROVING: Duration = Duration::from_millis(500);
/// The longest between two looks at a replica that could not be proven: it is mostly just behind the newest mark.
const UNPROVEN: Duration = Duration::from_millis(250);
/// Marks that are kept: a replica that lags passes an older one.
const MARKS: usize = 32;

/// What a session knows of its server.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof {
    /// Everything committed before this instant is there, as far as this generation of the writer goes.
    fresh_as_of: Option<(Instant, u64)>,
    looked_at: Option<Instant>,
}

impl Proof {
    fn holds(&self, bound: Duration, generation: u64) -> bool {
        self.fresh_as_of
            .is_some_and(|(at, of)| of == generation && at.elapsed() <= bound)
    }

    /// Whether it is time to look: at most twice in the bound, more often only where nothing is proven.
    fn is_due(&self, bound: Duration, generation: u64) -> bool {
        if self.holds(bound / 2, generation) {
            return false;
        }
        let pause = if self.holds(bound, generation) {
            bound / 2
        } else {
            UNPROVEN.min(bound / 16)
        };
        self.looked_at.is_none_or(|at| at.elapsed() >= pause)
    }
}

/// A point in the writer's log.
#[derive(Debug)]
struct Mark {
    at: Instant,
    generation: u64,
    lsn: i64,
    history: String,
}

/// A replica beside the writer.
#[derive(Debug)]
pub(super) struct Replica {
    pool: Pool,
    writer: Arc<PostgresReads>,
    marks: Mutex<VecDeque<Mark>>,
    marking: tokio::sync::Mutex<()>,
    resting_until: Mutex<Option<Instant>>,
}

/// Why a replica gave no rows.
enum No {
    /// It is not known to be fresh enough.
    Unproven,
    /// It cannot be used for a while.
    Down,
}

impl Replica {
    pub(super) fn new(pool: Pool, writer: Arc<PostgresReads>) -> Self {
        Self {
            pool,
            writer,
            marks: Mutex::new(VecDeque::with_capacity(MARKS)),
            marking: tokio::sync::Mutex::new(()),
            resting_until: Mutex::new(None),
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    async fn read(
        &self,
        text: &Text,
        args: &[Arg],
        bound: Duration,
        deadline: Deadline,
    ) -> Option<Vec<PgRow>> {
        let mut resting = *lock(&self.resting_until);
        if resting.take_if(|until| Instant::now() < *until).is_some() {
            return None;
        }
        // The rest of the time is the writer's.
        let half = deadline.min(deadline.remaining() / 2);
        match half.bound(self.attempt(text, args, bound, half)).await {
            Some(Ok(rows)) => Some(rows),
            Some(Err(No::Unproven)) => None,
            Some(Err(No::Down)) | None => {
                *lock(&self.resting_until) = Instant::now().checked_add(REST);
                tracing::debug!("the replica could not be read: the writer answers");
                None
            }
        }
    }

    async fn attempt(
        &self,
        text: &Text,
        args: &[Arg],
        bound: Duration,
        deadline: Deadline,
    ) -> Result<Vec<PgRow>, No> {
        let proving = deadline.min(PROVING.min(deadline.remaining() / 2));
        let ready = proving.bound(async {
            let mut borrowed = self.pool.borrow().await.map_err(|_| No::Down)?;
            match self.prove(&mut borrowed.session, bound, proving).await {
                Ok(()) => Ok(borrowed),
                Err(no) => {
                    if matches!(no, No::Unproven) {
                        borrowed.give_back();
                    }
                    Err(no)
                }
            }
        });
        let mut borrowed = ready.await.unwrap_or(Err(No::Down))?;
        let statement = match text {
            Text::Constant(statement) => statement.postgres,
            Text::Composed(sql) => sql,
        };
        // Composed from constants. No row comes from a server that was promoted, whatever was written to it since.
        let guarded = AssertSqlSafe(format!(
            "SELECT q.* FROM ({statement}) AS q WHERE pg_is_in_recovery()"
        ));
        let session = &mut borrowed.session;
        let query = args.iter().fold(sqlx::query(guarded), bind);
        let rows = session
            .fetch(query, StatementPlan::Kept)
            .await
            .map_err(|_| No::Down)?;
        if rows.is_empty()
            && session
                .fetch(sqlx::query(STILL), StatementPlan::Kept)
                .await
                .map_or(true, |still| still.is_empty())
        {
            return Err(No::Down);
        }
        // Now that the rows are here: what they miss was committed within the bound.
        let proven = session.proof.holds(bound, self.writer.generation().get());
        borrowed.give_back();
        if proven { Ok(rows) } else { Err(No::Unproven) }
    }

    /// Makes sure that the session's server is fresh enough.
    async fn prove(&self, session: &mut Session, bound: Duration, deadline: Deadline) -> Result<(), No> {
        let generation = self.writer.generation().get();
        if session.proof.is_due(bound, generation) {
            session.proof.looked_at = Some(Instant::now());
            self.mark(bound, generation, deadline).await;
            let rows = session
                .fetch(sqlx::query(REPLAYED), StatementPlan::Kept)
                .await
                .map_err(|_| No::Down)?;
            let row = rows.first().ok_or(No::Down)?;
            let replayed: Option<i64> = row.try_get(0).map_err(|_| No::Down)?;
            let history: Option<String> = row.try_get(1).map_err(|_| No::Down)?;
            let replayed = replayed.ok_or(No::Down)?;
            let passed = lock(&self.marks)
                .iter()
                .filter(|mark| mark.generation == generation && Some(&mark.history) == history.as_ref())
                .filter(|mark| mark.lsn <= replayed)
                .map(|mark| (mark.at, generation))
                .max();
            session.proof.fresh_as_of = passed;
        }
        if session.proof.holds(bound, generation) {
            Ok(())
        } else {
            Err(No::Unproven)
        }
    }

    /// Makes a new mark if the last one is too old. One caller does, the others use what there is.
    async fn mark(&self, bound: Duration, generation: u64, deadline: Deadline) {
        let Ok(_marking) = self.marking.try_lock() else {
            return;
        };
        let is_recent = |mark: &Mark| mark.generation == generation && mark.at.elapsed() < bound / 2;
        if lock(&self.marks).back().is_some_and(is_recent) {
            return;
        }
        let at = Instant::now();
        let rows = self
            .writer
            .fetch(Text::Composed(MARK.to_owned()), Vec::new(), deadline)
            .await;
        let Ok(rows) = rows else { return };
        let Some((lsn, history)) = rows.first().and_then(|row| {
            let lsn = PostgresReads::int(row, 0).ok()?;
            Some((lsn, PostgresReads::text(row, 1).ok()?))
        }) else {
            return;
        };
        // Unchanged: the mark is of the server that this generation is of.
        if self.writer.generation().get() != generation {
            return;
        }
        let mut marks = lock(&self.marks);
        if marks.len() == MARKS {
            marks.pop_front();
        }
        marks.push_back(Mark {
            at,
            generation,
            lsn,
            history,
        });
    }
}

/// What is behind these locks is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads that may be older than the writer by so much.
#[derive(Debug)]
pub(super) struct TolerantReads {
    pub(super) replica: Arc<Replica>,
    pub(super) bound: Duration,
}

#[async_trait]
impl Reads for TolerantReads {
    type Row = PgRow;

    async fn fetch(&self, text: Text, args: Vec<Arg>, deadline: Deadline) -> Result<Vec<PgRow>> {
        match self.replica.read(&text, &args, self.bound, deadline).await {
            Some(rows) => Ok(rows),
            None => self.replica.writer.fetch(text, args, deadline).await,
        }
    }

    fn shift(&self) -> i64 {
        self.replica.writer.shift()
    }

    fn now(parameter: usize) -> String {
        PostgresReads::now(parameter)
    }

    fn spell(statement: &Statement) -> &'static str {
        PostgresReads::spell(statement)
    }

    fn id(row: &PgRow, column: usize) -> Result<Uuid> {
        PostgresReads::id(row, column)
    }

    fn opt_id(row: &PgRow, column: usize) -> Result<Option<Uuid>> {
        PostgresReads::opt_id(row, column)
    }

    fn opt_text(row: &PgRow, column: usize) -> Result<Option<String>> {
        PostgresReads::opt_text(row, column)
    }

    fn opt_int(row: &PgRow, column: usize) -> Result<Option<i64>> {
        PostgresReads::opt_int(row, column)
    }
}
