//! The task: takes what waits as a batch, and has it settled.

use super::Engine;
use super::aside::Aside;
use super::job::Job;
use super::second::Next;
use super::second::Second;
use crate::backend::epoch::Epoch;
use crate::backend::gauge::Gauge;
use crate::backend::sql::plan::Together;
use crate::spi::store::Delta;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::sync::mpsc;

/// Write sets in one database transaction at most.
pub(super) const BATCH: usize = 128;

/// Bytes of rows in one database transaction, but for the last set that is taken in.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Turns that are given to other tasks before a batch is closed, when the batch before had more sets.
const TURNS: u32 = 2;

pub(super) struct Worker<E> {
    pub(super) engine: E,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// Taken from the queue, in order of arrival, but not into a batch yet.
    pub(super) waiting: Vec<Job>,
    /// Of the batch that is under way: what is decided once the others are committed, and what by itself.
    pub(super) undecided: Undecided,
    pub(super) trouble: Arc<Mutex<Option<String>>>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) epoch: Epoch,
    pub(super) lane: Lane,
}

/// What the worker does with a batch that waits for a foreign lock.
pub(super) enum Lane {
    /// Puts it aside, on a lane that is started then, and goes on.
    First(First),
    /// Has all the time: it is what others were put aside to.
    Second(Second),
}

/// Sets that do not hold beside neighbours that are not committed. Nothing of them was applied.
#[derive(Default)]
pub(super) struct Undecided {
    pub(super) later: Vec<Job>,
    pub(super) alone: Vec<Job>,
}

/// What the first lane knows beside the sets that wait.
#[derive(Default)]
pub(super) struct First {
    aside: Option<Aside>,
    /// Sets of the batch before.
    last: usize,
}

impl<E: Engine> Worker<E> {
    pub(super) async fn work(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.gauge.batch(batch.len());
            self.settle(batch).await;
            let Undecided { mut later, alone } = std::mem::take(&mut self.undecided);
            for job in alone {
                self.settle(vec![job]).await;
            }
            // They came before all that waits.
            later.append(&mut self.waiting);
            self.waiting = later;
        }
        if let Lane::First(First {
            aside: Some(aside), ..
        }) = self.lane
        {
            aside.end().await;
        }
    }

    async fn next_batch(&mut self) -> Option<Vec<Job>> {
        match self.lane {
            Lane::First(_) => self.first_come().await,
            Lane::Second(_) => self.first_free().await,
        }
    }

    /// Whatever waits and does not collide, in order of arrival. The set that has waited longest is always in: a set
    /// waits for those before it that collide with it, and for one batch of each [`BATCH`] sets before it.
    async fn first_come(&mut self) -> Option<Vec<Job>> {
        if self.waiting.is_empty() {
            let job = self.jobs.recv().await?;
            self.waiting.push(job);
        }
        let Lane::First(first) = &mut self.lane else {
            return None;
        };
        // Those that were answered together come back together: a turn for them to arrive costs less than two batches.
        for _ in 0..TURNS {
            while let Ok(job) = self.jobs.try_recv() {
                self.waiting.push(job);
            }
            if first.last < 2 || self.waiting.len() >= first.last {
                break;
            }
            tokio::task::yield_now().await;
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.waiting.push(job);
        }
        let mut together = Together::default();
        let mut batch = Vec::new();
        let mut bytes = 0;
        for job in std::mem::take(&mut self.waiting) {
            if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                self.waiting.push(job);
                continue;
            }
            match &mut first.aside {
                // What waits for a set that was put aside waits there, not here.
                Some(aside) if aside.collides(&job.one.footprint) => aside.take(job),
                _ if together.admit(&job.one.footprint) => {
                    bytes += job.one.bytes;
                    batch.push(job);
                }
                _ => self.waiting.push(job),
            }
        }
        first.last = batch.len();
        Some(releases_first(batch))
    }

    /// Of what was put aside, what has nobody to wait for.
    async fn first_free(&mut self) -> Option<Vec<Job>> {
        let mut open = true;
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.waiting.push(job);
            }
            let Lane::Second(second) = &mut self.lane else {
                return None;
            };
            let until = match second.next(&mut self.waiting) {
                Next::Batch(batch) => return Some(releases_first(batch)),
                Next::Wait(until) => Some(until),
                Next::Idle if open => None,
                Next::Idle => return None,
            };
            let pause = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                job = self.jobs.recv(), if open => match job {
                    Some(job) => self.waiting.push(job),
                    None => open = false,
                },
                () = pause => {}
            }
        }
    }

    /// Whether what is blocked can go aside, or is in the lane for that already.
    pub(super) fn has_second_lane(&mut self) -> bool {
        if let Lane::First(First {
            aside: aside @ None, ..
        }) = &mut self.lane
        {
            let engine = self.engine.second();
            *aside = engine.map(|engine| {
                Aside::start(
                    engine,
                    Arc::clone(&self.trouble),
                    Arc::clone(&self.gauge),
                    self.epoch.clone(),
                )
            });
        }
        !matches!(self.lane, Lane::First(First { aside: None, .. }))
    }

    /// Nothing of the batch was applied, and it would wait again: others shall not wait with it.
    pub(super) fn put_aside(&mut self, batch: Vec<Job>) {
        match &mut self.lane {
            Lane::First(first) => match &mut first.aside {
                Some(aside) => batch.into_iter().for_each(|job| aside.take(job)),
                None => self.waiting.extend(batch),
            },
            Lane::Second(second) => second.blocked(batch, &mut self.waiting),
        }
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
