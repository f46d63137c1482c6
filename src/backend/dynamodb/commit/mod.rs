//! The task that owns the writes. Callers hand over write sets and wait for their own answer; sets that change the same rows by
//! deltas share a transaction, sets that have nothing in common go at the same time, and nothing overtakes on an item.
//!
//! A transaction is looked for, judged here, and proven by the service: what it rests on is read, each set is tried in its
//! turn, and every item is written under the condition that it still is as it was read. Rust decides, DynamoDB proves.
//!
//! A caller that is gone changes nothing: the task owns the work. What a caller learns when its deadline ends depends on how far
//! its set came: not sent yet is `Timeout`, sent is `OutcomeUnknown`.

mod crowd;
mod facts;
mod guard;
mod job;
mod outcome;
mod prepared;
mod respread;
mod settle;
mod shares;
mod spread;
mod stock;
mod transact;
mod trial;
mod world;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::Id;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

pub(super) use facts::EPOCH;
pub(super) use facts::over_level;
pub(super) use trial::FINGERPRINT;
pub(super) use trial::OWNER;

use self::crowd::Occupied;
use self::job::Job;
use self::job::State;
use self::prepared::Prepared;
use self::prepared::Touch;
use self::settle::Desk;
use super::error::closed;
use super::keys::Key;
use super::wire::Wire;
use crate::backend::epoch::Epoch;
use crate::backend::gauge::Gauge;
use crate::backend::gauge::QUEUE;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::CommitStatus;
use crate::spi::store::Committed;
use crate::spi::store::WriteSet;

/// Transactions that are under way at once at most.
const FLIGHTS: usize = 64;

/// The callers' side of the task.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    wire: Arc<Wire>,
    gauge: Arc<Gauge>,
}

impl Committer {
    /// Starts the task on the current runtime; it ends after [`Committer::close`], or when the committer is dropped.
    pub(super) fn start(wire: Arc<Wire>, epoch: Epoch) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let gauge = Arc::new(Gauge::default());
        let worker = Worker {
            desk: Desk {
                wire: wire.clone(),
                epoch,
                gauge: gauge.clone(),
            },
            waiting: VecDeque::new(),
            blocked: Occupied::default(),
            occupied: Occupied::default(),
            flights: JoinSet::new(),
            touches: HashMap::new(),
        };
        Self {
            queue: Mutex::new(Some(queue)),
            task: Mutex::new(Some(tokio::spawn(worker.work(jobs)))),
            wire,
            gauge,
        }
    }

    pub(super) async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let one = Prepared::new(set, self.wire.clock.now())?;
        if deadline.is_over() {
            return Err(not_sent());
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or_else(closed)?;
        let ticket = self.gauge.enter().ok_or_else(too_many)?;
        let (reply, answer) = oneshot::channel();
        let state = State::default();
        let job = Job {
            one: Box::new(one),
            deadline,
            state: state.clone(),
            reply,
            ticket: Some(ticket),
        };
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => too_many(),
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        drop(queue);
        let leaving = Leaving(&state);
        match deadline.bound(answer).await {
            Some(Ok(answer)) => answer,
            // The task let go of the set, or the deadline ended: how far it came decides what is known.
            Some(Err(_)) | None if leaving.0.leave() => Err(Error::new(
                ErrorKind::OutcomeUnknown,
                "the deadline ended before the outcome was known",
            )),
            Some(Err(_)) | None => Err(not_sent()),
        }
    }

    /// What was done so far.
    pub(super) fn status(&self) -> CommitStatus {
        self.gauge.status()
    }

    /// Finishes what was taken, then ends the task.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // The task ends by itself once nothing is left; it does not panic.
            let _ = task.await;
        }
    }
}

/// Marks a set that nobody waits for, so that it is not sent any more.
struct Leaving<'a>(&'a State);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

fn too_many() -> Error {
    Error::new(
        ErrorKind::RateLimited,
        format!("{QUEUE} writes are waiting: try again later"),
    )
}

fn not_sent() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline ended before the write was sent")
}

struct Worker {
    desk: Desk,
    waiting: VecDeque<Job>,
    /// What those that wait touch: whoever meets one of them waits behind it.
    blocked: Occupied,
    occupied: Occupied,
    /// They end with the sets that are to be decided anew.
    flights: JoinSet<Vec<Job>>,
    /// What each of them occupies.
    touches: HashMap<Id, Vec<(Key, Touch)>>,
}

impl Worker {
    async fn work(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut open = true;
        while open || !self.waiting.is_empty() || !self.flights.is_empty() {
            tokio::select! {
                job = jobs.recv(), if open => match job {
                    Some(job) => {
                        let mut may_begin = self.arrives(job);
                        while let Ok(job) = jobs.try_recv() {
                            may_begin |= self.arrives(job);
                        }
                        // What nobody can go with is looked at when a transaction ends, not with each set that arrives.
                        if may_begin {
                            self.begin();
                        }
                    }
                    None => open = false,
                },
                Some(ended) = self.flights.join_next_with_id() => {
                    let (id, later) = ended.unwrap_or_else(|error| (error.id(), Vec::new()));
                    self.occupied.remove(&self.touches.remove(&id).unwrap_or_default());
                    later.into_iter().rev().for_each(|job| self.waiting.push_front(job));
                    self.begin();
                }
            }
        }
    }

    /// Whether the set need not wait for another.
    fn arrives(&mut self, job: Job) -> bool {
        let is_free = !self.occupied.collides(&job.one) && !self.blocked.collides(&job.one);
        self.blocked.add(&job.one);
        self.waiting.push_back(job);
        is_free
    }

    /// Begins every transaction that may begin.
    fn begin(&mut self) {
        self.waiting.retain(|job| !job.is_over());
        while self.flights.len() < FLIGHTS {
            let Some(batch) = crowd::next(&mut self.waiting, &self.occupied, &mut self.blocked) else {
                return;
            };
            let mut touches = Vec::new();
            for job in &batch {
                self.occupied.add(&job.one);
                touches.extend(job.one.touches.iter().map(|(key, touch)| (key.clone(), *touch)));
            }
            let desk = self.desk.clone();
            let flight = self.flights.spawn(async move { desk.settle(batch).await });
            self.touches.insert(flight.id(), touches);
        }
    }
}
