//! The task that owns the writing connection. Callers hand over write sets and wait for their own answer; what arrives
//! while a commit is under way forms the next batch, and a lone write set goes at once.
//!
//! A caller that is gone changes nothing: the task owns the work. What a caller learns when its deadline ends depends on
//! how far its set came: not sent yet is `Timeout` (or `Unavailable` with the reason), sent is `OutcomeUnknown`.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::judge::Facts;
use super::judge::Verdict;
use super::judge::judge;
use super::plan::Footprint;
use super::plan::Plan;
use super::plan::lay_out;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::model::from_micros;
use crate::resilience::Backoff;
use crate::resilience::Deadline;
use crate::spi::store::Capability;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::WriteSet;

/// Write sets that wait at most; more are refused at once.
const QUEUE: usize = 4_096;
/// Write sets in one database transaction at most.
const BATCH: usize = 128;
/// Rounds of one batch on fresh facts before its sets go one by one.
const ROUNDS: u32 = 3;
/// How long an outcome is looked for after the last caller has gone.
const AFTERMATH: Duration = Duration::from_secs(30);

/// Runs batches on one engine.
#[async_trait]
pub(super) trait Engine: Send + 'static {
    /// Opens the connection if there is none.
    async fn ready(&mut self) -> Result<()>;

    /// Runs one database transaction under this commit id.
    async fn run(&mut self, commit: Uuid, plan: &mut Plan) -> Ran;

    /// Makes sure that the commit never happens, or tells what it answered.
    async fn resolve(&mut self, commit: Uuid) -> Result<Option<Applied>>;
}

/// How a database transaction ended.
#[derive(Debug)]
pub(super) enum Ran {
    /// It committed.
    Applied(Applied),
    /// Something was not as needed; nothing was written.
    Refused(Facts),
    /// It failed and nothing was written; `again` tells whether the same batch may succeed when repeated.
    Failed { error: Error, again: bool },
    /// The reply was lost.
    Unknown(Error),
}

/// What a database transaction that committed answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Applied {
    /// Time by the store's clock, in microseconds.
    pub(super) at: i64,
    /// Position of the write set in the batch, and what it wrote.
    pub(super) versions: Vec<(usize, Aggregate, RowKey, Version)>,
}

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const LEFT: u8 = 2;

struct Job {
    set: WriteSet,
    deadline: Deadline,
    state: Arc<AtomicU8>,
    reply: oneshot::Sender<Result<Committed>>,
}

impl Job {
    /// The caller is there, or the set was sent already; from here on its outcome is this task's to find out.
    fn send(&self) -> bool {
        let sent = self
            .state
            .compare_exchange(QUEUED, SENT, Ordering::AcqRel, Ordering::Acquire);
        sent.is_ok() || sent == Err(SENT)
    }

    /// Nothing of the set was applied: its caller may leave again without doubt.
    fn unsend(&self) {
        let _ = self
            .state
            .compare_exchange(SENT, QUEUED, Ordering::AcqRel, Ordering::Acquire);
    }

    fn answer(self, answer: Result<Committed>) {
        // A caller that is gone does not want the answer.
        let _ = self.reply.send(answer);
    }
}

/// The callers' side of the task.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Why the task cannot reach the database, if it cannot.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Committer {
    /// Starts the task on the current runtime; it ends after [`Committer::close`], or when the committer is dropped.
    pub(super) fn start(engine: impl Engine) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let trouble = Arc::new(Mutex::new(None));
        let worker = Worker {
            engine,
            jobs,
            waiting: Vec::new(),
            trouble: trouble.clone(),
        };
        let task = tokio::spawn(worker.work());
        Self {
            queue: Mutex::new(Some(queue)),
            task: Mutex::new(Some(task)),
            trouble,
        }
    }

    pub(super) async fn commit(
        &self,
        set: WriteSet,
        deadline: Deadline,
        capability: &Capability,
    ) -> Result<Committed> {
        check(&set, capability)?;
        if deadline.is_over() {
            return Err(timeout());
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the store is closed"))?;
        let (reply, answer) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(QUEUED));
        let job = Job {
            set,
            deadline,
            state: state.clone(),
            reply,
        };
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::new(
                ErrorKind::RateLimited,
                format!("{QUEUE} writes are waiting: try again later"),
            ),
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

    fn gone(&self, was: u8) -> Error {
        if was == SENT {
            return Error::new(
                ErrorKind::OutcomeUnknown,
                "the deadline ended before the outcome was known",
            );
        }
        match self
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            Some(trouble) => Error::new(
                ErrorKind::Unavailable,
                format!("nothing was sent, the database cannot be reached: {trouble}"),
            ),
            None => timeout(),
        }
    }

    /// Finishes what was taken, then ends the task.
    pub(super) async fn close(&self) {
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
        match self
            .0
            .compare_exchange(QUEUED, LEFT, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(was) | Err(was) => was,
        }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the write has more than {} bytes", super::LIMITS.bytes),
    )
}

fn timeout() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline ended before the write was sent")
}

/// Most units that one step may add or take off, so that no sum of counters overflows.
const MOST_UNITS: u64 = 1_000_000_000_000;

fn check(set: &WriteSet, capability: &Capability) -> Result<()> {
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
    Ok(())
}

struct Worker<E> {
    engine: E,
    jobs: mpsc::Receiver<Job>,
    /// Taken from the queue, but colliding with the batch before.
    waiting: Vec<Job>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl<E: Engine> Worker<E> {
    async fn work(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.settle(batch).await;
        }
    }

    /// Whatever waits and does not collide, in order of arrival; write sets that give up a hold go first, so that
    /// nobody takes the units between the release and what the release is for.
    async fn next_batch(&mut self) -> Option<Vec<Job>> {
        if self.waiting.is_empty() {
            let job = self.jobs.recv().await?;
            self.waiting.push(job);
        }
        while self.waiting.len() < BATCH {
            let Ok(job) = self.jobs.try_recv() else { break };
            self.waiting.push(job);
        }
        let mut footprint = Footprint::default();
        let arrived = std::mem::take(&mut self.waiting);
        let (mut batch, later): (Vec<Job>, Vec<Job>) =
            arrived.into_iter().partition(|job| footprint.admit(&job.set));
        self.waiting = later;
        batch.sort_by_key(|job| {
            !job.set
                .deltas
                .iter()
                .any(|delta| matches!(delta, Delta::Unhold { .. }))
        });
        Some(batch)
    }

    async fn settle(&mut self, mut batch: Vec<Job>) {
        let mut round = 0;
        loop {
            if !self.connect(&mut batch).await {
                return;
            }
            batch.retain(Job::send);
            if batch.is_empty() {
                return;
            }
            let sets: Vec<&WriteSet> = batch.iter().map(|job| &job.set).collect();
            let mut plan = match lay_out(&sets) {
                Ok(plan) => plan,
                Err(error) => return self.fail(batch, error).await,
            };
            if plan.payload.bytes() > super::LIMITS.bytes {
                batch.iter().for_each(Job::unsend);
                return self.fail(batch, too_large()).await;
            }
            let commit = Uuid::now_v7();
            let mut ran = self.engine.run(commit, &mut plan).await;
            if let Ran::Unknown(error) = ran {
                match self.resolve(commit, &mut batch, error).await {
                    Some(found) => ran = found,
                    None => return,
                }
            }
            match ran {
                Ran::Applied(applied) => return answer(batch, &applied),
                Ran::Refused(facts) => {
                    let before = batch.len();
                    batch = reply_refused(batch, &plan, &facts);
                    let stuck = batch.len() == before;
                    round += u32::from(stuck);
                }
                Ran::Failed { error, again } => {
                    batch.iter().for_each(Job::unsend);
                    round += 1;
                    if !again || round > ROUNDS {
                        return self.fail(batch, error).await;
                    }
                    tokio::time::sleep(Backoff::default().next(round)).await;
                }
                Ran::Unknown(_) => {}
            }
            if batch.is_empty() {
                return;
            }
            if round > ROUNDS {
                let error = Error::new(ErrorKind::Conflict, "the facts kept moving");
                return self.fail(batch, error).await;
            }
        }
    }

    /// Waits for a connection as long as one caller waits; whose deadline is over leaves by itself.
    async fn connect(&mut self, batch: &mut Vec<Job>) -> bool {
        let mut attempt = 0;
        loop {
            match self.engine.ready().await {
                Ok(()) => {
                    *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return true;
                }
                Err(error) => {
                    *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                    batch.retain(|job| !job.deadline.is_over());
                    if batch.is_empty() {
                        return false;
                    }
                    attempt += 1;
                    tokio::time::sleep(Backoff::default().next(attempt)).await;
                }
            }
        }
    }

    /// After a lost reply: the truth, found on a fresh connection.
    async fn resolve(&mut self, commit: Uuid, batch: &mut Vec<Job>, lost: Error) -> Option<Ran> {
        let until = batch.iter().map(|job| job.deadline.instant()).max()? + AFTERMATH;
        let mut attempt = 0;
        while std::time::Instant::now() < until {
            if self.engine.ready().await.is_ok() {
                match self.engine.resolve(commit).await {
                    Ok(Some(applied)) => return Some(Ran::Applied(applied)),
                    Ok(None) => {
                        batch.iter().for_each(Job::unsend);
                        return Some(Ran::Failed {
                            error: lost,
                            again: true,
                        });
                    }
                    Err(error) => {
                        tracing::debug!(kind = ?error.kind(), "the outcome of a commit is still open")
                    }
                }
            }
            attempt += 1;
            tokio::time::sleep(Backoff::default().next(attempt)).await;
        }
        tracing::warn!("the outcome of a commit could not be found out");
        for job in batch.drain(..) {
            job.answer(Err(Error::new(
                ErrorKind::OutcomeUnknown,
                "the outcome could not be found out",
            )));
        }
        None
    }

    /// A failure that may be one set's alone: the others go without it.
    async fn fail(&mut self, mut batch: Vec<Job>, error: Error) {
        if batch.len() == 1 {
            if let Some(job) = batch.pop() {
                job.answer(Err(error));
            }
            return;
        }
        tracing::debug!(kind = ?error.kind(), sets = batch.len(), "a batch failed: its sets go one by one");
        for job in batch {
            Box::pin(self.settle(vec![job])).await;
        }
    }
}

fn answer(batch: Vec<Job>, applied: &Applied) {
    for (index, job) in batch.into_iter().enumerate() {
        let versions = applied
            .versions
            .iter()
            .filter(|(set, ..)| *set == index)
            .map(|(_, kind, key, version)| (*kind, key.clone(), *version));
        let committed = from_micros(applied.at).map(|at| Committed {
            replay: None,
            versions: versions.collect(),
            at,
        });
        job.answer(committed);
    }
}

/// Answers the sets that do not hold on these facts, and returns the others.
fn reply_refused(batch: Vec<Job>, plan: &Plan, facts: &Facts) -> Vec<Job> {
    let sets: Vec<&WriteSet> = batch.iter().map(|job| &job.set).collect();
    let verdicts = judge(&sets, plan, facts);
    let mut admitted = Vec::new();
    for (job, verdict) in batch.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Admit => {
                job.unsend();
                admitted.push(job);
            }
            Verdict::Replay(owner) => {
                let at = from_micros(facts.at);
                job.answer(at.map(|at| Committed {
                    replay: Some(owner),
                    versions: Vec::new(),
                    at,
                }));
            }
            Verdict::Refuse(error) => job.answer(Err(error)),
        }
    }
    admitted
}
