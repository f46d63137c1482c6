//! The task that owns the writing connections. Callers hand over write sets and wait for their own answer; what arrives
//! while a commit is under way forms the next batch, and a lone write set goes at once.
//!
//! A caller that is gone changes nothing: the task owns the work. What a caller learns when its deadline ends depends on
//! how far its set came: not sent yet is `Timeout` (or `Unavailable` with the reason), sent is `OutcomeUnknown`.
//!
//! Two lanes: a batch that a foreign transaction blocks, such as one that a write set was joined to, goes aside to a
//! connection of its own, and whatever collides with it goes there behind it. All others go on in the [first lane](first).

mod aside;
mod first;
mod hand;
mod job;
mod pace;
mod second;

use crate::backend::epoch::Epoch;
use crate::backend::gauge::Gauge;
use crate::backend::gauge::QUEUE;
use crate::backend::sql::judge::Facts;
use crate::backend::sql::plan::History;
use crate::backend::sql::plan::Plan;
use crate::backend::sql::plan::Prepared;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::store::Capability;
use crate::spi::store::CommitStatus;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::Durability;
use crate::spi::store::WriteSet;
use async_trait::async_trait;
use first::First;
use hand::Hand;
use job::BLOCKED;
use job::Job;
use job::LEFT;
use job::QUEUED;
use job::SENT;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long a batch waits for a lock. Locks of other committers are held for milliseconds, even when a disk is slow; what
/// is locked for longer belongs to a transaction with an application behind it, and every write of the process would
/// wait with the batch.
pub(in crate::backend::sql) const LOCK_WAIT: Duration = Duration::from_millis(100);

/// Rounds of one batch on fresh facts before its sets go one by one.
pub(in crate::backend::sql) const ROUNDS: u32 = 3;

/// Runs batches on one engine.
#[async_trait]
pub(in crate::backend::sql) trait Engine: Send + Sized + 'static {
    /// How it keeps its history.
    const HISTORY: History;

    /// An engine on a connection of its own, that is not open yet; none where locks are not of rows.
    fn second(&self) -> Option<Self>;

    /// Opens the connection if there is none.
    async fn ready(&mut self) -> Result<()>;

    /// Runs one database transaction.
    async fn run(&mut self, link: Link, sets: &[&Prepared], plan: &mut Plan) -> Ran;

    /// Makes sure that the commit never happens, or tells what it answered.
    async fn resolve(&mut self, commit: Uuid, plan: &Plan) -> Result<Option<Applied>>;
}

/// A database transaction's id, and its place among those that are under way.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::sql) struct Link {
    pub(in crate::backend::sql) commit: Uuid,
    /// The commit that must be there before any level is stepped.
    pub(in crate::backend::sql) after: Option<Uuid>,
}

impl Link {
    /// One that comes after nothing.
    fn first() -> Self {
        Self {
            commit: Uuid::now_v7(),
            after: None,
        }
    }
}

/// How a database transaction ended.
#[derive(Debug)]
pub(in crate::backend::sql) enum Ran {
    /// It committed, but for the sets that are out: with what was found of those.
    Applied(Applied, Facts),
    /// Something was not as needed; nothing was written.
    Refused(Facts),
    /// The commit that it comes after is not there yet; nothing was written.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "one file has one lock")
    )]
    Early,
    /// A row that it needs was locked by a foreign transaction for longer than [`LOCK_WAIT`]; nothing was written.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "one file has one lock")
    )]
    Blocked(Error),
    /// It failed and nothing was written; `again` tells whether the same batch may succeed when repeated.
    Failed { error: Error, again: bool },
    /// The database was restored since the sets were made; nothing was written. With the epoch that it is in now.
    Restored(i64),
    /// The reply was lost.
    Unknown(Error),
}

/// What a database transaction that committed answered.
#[derive(Debug, Clone, Default)]
pub(in crate::backend::sql) struct Applied {
    /// Time by the store's clock, in microseconds.
    pub(in crate::backend::sql) at: i64,
    /// The new versions of the aggregates that deltas changed; those of puts and deletes follow from the sets.
    pub(in crate::backend::sql) versions: BTreeMap<(Aggregate, RowKey), Version>,
    /// Numbers of the sets that did not hold and were left out.
    pub(in crate::backend::sql) out: Vec<usize>,
}

/// The callers' side of the task.
#[derive(Debug)]
pub(in crate::backend::sql) struct Committer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Why the task cannot reach the database, if it cannot.
    trouble: Arc<Mutex<Option<String>>>,
    gauge: Arc<Gauge>,
    epoch: Epoch,
    history: History,
}

impl Committer {
    /// Starts the task on the current runtime; it ends after [`Committer::close`], or when the committer is dropped.
    pub(in crate::backend::sql) fn start<E: Engine>(engine: E, epoch: Epoch) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let trouble = Arc::new(Mutex::new(None));
        let gauge = Arc::new(Gauge::default());
        let hand = Hand::new(engine, trouble.clone(), gauge.clone(), epoch.clone());
        let task = tokio::spawn(First::new(jobs, hand).work());
        Self {
            queue: Mutex::new(Some(queue)),
            task: Mutex::new(Some(task)),
            trouble,
            gauge,
            epoch,
            history: E::HISTORY,
        }
    }

    pub(in crate::backend::sql) async fn commit(
        &self,
        set: WriteSet,
        deadline: Deadline,
        capability: &Capability,
    ) -> Result<Committed> {
        self.epoch.check(&set)?;
        let one = prepare(set, capability, self.history)?;
        if deadline.is_over() {
            return Err(timeout());
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the store is closed"))?;
        let ticket = self.gauge.enter().ok_or_else(too_many)?;
        let (reply, answer) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(QUEUED));
        let job = Job {
            one: Box::new(one),
            arrived: 0,
            ticket: Some(ticket),
            deadline,
            state: state.clone(),
            reply,
            place: None,
        };
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => too_many(),
            mpsc::error::TrySendError::Closed(_) => Error::new(ErrorKind::Unavailable, "the store is closed"),
        })?;
        drop(queue);
        let leaving = Leaving(&state);
        match deadline.bound(answer).await {
            Some(Ok(answer)) => answer,
            // The task let go of the set, or the deadline ended: how far it came decides what is known.
            Some(Err(_)) | None => Err(self.gone(leaving.leave())),
        }
    }

    /// What was done so far.
    pub(in crate::backend::sql) fn status(&self) -> CommitStatus {
        self.gauge.status()
    }

    fn gone(&self, was: u8) -> Error {
        if was == SENT {
            return Error::new(
                ErrorKind::OutcomeUnknown,
                "the deadline ended before the outcome was known",
            );
        }
        if was == BLOCKED {
            return locked();
        }
        match self
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            Some(trouble) => Error::new(
                ErrorKind::Unavailable,
                format!("nothing was applied, the database cannot be reached: {trouble}"),
            ),
            None => timeout(),
        }
    }

    /// Finishes what was taken, then ends the task.
    pub(in crate::backend::sql) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // The task ends by itself once the queue is empty; it does not panic.
            let _ = task.await;
        }
    }
}

/// Marks a set that nobody waits for, so that it is not sent any more.
struct Leaving<'a>(&'a AtomicU8);

impl Leaving<'_> {
    fn leave(&self) -> u8 {
        let left = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |was| {
            matches!(was, QUEUED | BLOCKED).then_some(LEFT)
        });
        match left {
            Ok(was) | Err(was) => was,
        }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Write sets that give up a hold go first, so that nobody takes the units between the release and what the release is for.
fn releases_first(mut batch: Vec<Job>) -> Vec<Job> {
    batch.sort_by_key(|job| {
        !job.one
            .set
            .deltas
            .iter()
            .any(|delta| matches!(delta, Delta::Unhold { .. }))
    });
    batch
}

fn too_many() -> Error {
    Error::new(
        ErrorKind::RateLimited,
        format!("{QUEUE} writes are waiting: try again later"),
    )
}

/// Nothing of the set was applied.
fn locked() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "another transaction keeps the rows locked",
    )
}

fn timeout() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline ended before the write was sent")
}

/// Most units that one step may add or take off, so that no sum of counters overflows.
const MOST_UNITS: u64 = 1_000_000_000_000;

/// Refuses what is past the limits, before anything is sent, and works out what the program needs.
pub(in crate::backend::sql) fn prepare(
    set: WriteSet,
    capability: &Capability,
    history: History,
) -> Result<Prepared> {
    let most = capability.limits.operations;
    let operations = set.operations();
    if operations > most {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "the write has {operations} operations, {} takes {most} at once",
                capability.engine
            ),
        ));
    }
    if set.durability == Durability::Relaxed && !set.only_holds() {
        return Err(Error::invalid("durability", "only holds may be relaxed"));
    }
    for delta in &set.deltas {
        let Delta::Stock(step) = delta else { continue };
        if [step.on_hand, step.allocated, step.held, step.takes]
            .iter()
            .any(|units| units.unsigned_abs() > MOST_UNITS)
        {
            return Err(
                Error::invalid("quantity", format!("a step moves at most {MOST_UNITS} units"))
                    .concerning(format!("level {} at {}", step.sku, step.location)),
            );
        }
    }
    Prepared::new(set, history)
}
