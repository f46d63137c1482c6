//! The task: takes what waits as a batch, runs it, and answers each caller.

use super::Applied;
use super::Engine;
use super::Ran;
use super::aside::Aside;
use super::gauge::Gauge;
use super::job::Job;
use super::second::Next;
use super::second::Second;
use crate::backend::sql::answer::committed;
use crate::backend::sql::answer::replay;
use crate::backend::sql::epoch::restored;
use crate::backend::sql::judge::Facts;
use crate::backend::sql::judge::Verdict;
use crate::backend::sql::judge::judge;
use crate::backend::sql::plan::Plan;
use crate::backend::sql::plan::Prepared;
use crate::backend::sql::plan::Together;
use crate::backend::sql::plan::lay_out;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::resilience::Backoff;
use crate::spi::store::Delta;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Write sets in one database transaction at most.
pub(super) const BATCH: usize = 128;

/// Bytes of rows in one database transaction, but for the last set that is taken in.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Turns that are given to other tasks before a batch is closed, when the batch before had more sets.
const TURNS: u32 = 2;

/// Rounds of one batch on fresh facts before its sets go one by one.
const ROUNDS: u32 = 3;

/// How long an outcome is looked for after the last caller has gone.
const AFTERMATH: Duration = Duration::from_secs(30);

pub(super) struct Worker<E> {
    pub(super) engine: E,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// Taken from the queue, in order of arrival, but not into a batch yet.
    pub(super) waiting: Vec<Job>,
    /// Of the batch that is under way: what is decided once the others are committed, and what by itself.
    pub(super) undecided: Undecided,
    pub(super) trouble: Arc<Mutex<Option<String>>>,
    pub(super) gauge: Arc<Gauge>,
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
    later: Vec<Job>,
    alone: Vec<Job>,
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
    fn has_second_lane(&mut self) -> bool {
        if let Lane::First(First {
            aside: aside @ None, ..
        }) = &mut self.lane
        {
            let engine = self.engine.second();
            *aside =
                engine.map(|engine| Aside::start(engine, Arc::clone(&self.trouble), Arc::clone(&self.gauge)));
        }
        !matches!(self.lane, Lane::First(First { aside: None, .. }))
    }

    /// Nothing of the batch was applied, and it would wait again: others shall not wait with it.
    fn put_aside(&mut self, batch: Vec<Job>) {
        match &mut self.lane {
            Lane::First(first) => match &mut first.aside {
                Some(aside) => batch.into_iter().for_each(|job| aside.take(job)),
                None => self.waiting.extend(batch),
            },
            Lane::Second(second) => second.blocked(batch, &mut self.waiting),
        }
    }

    /// Brings each set of the batch to its answer.
    async fn settle(&mut self, mut batch: Vec<Job>) {
        for job in &mut batch {
            job.ticket = None;
        }
        let mut rounds = 0;
        let mut voids = 0;
        while self.connect(&mut batch).await {
            batch.retain(Job::send);
            if batch.is_empty() {
                return;
            }
            match self.attempt(&mut batch).await {
                Attempt::Answered => return,
                Attempt::Admitted { progress } => rounds += u32::from(!progress),
                Attempt::Voided(error) => {
                    // Nothing is wrong with the sets: they go again for as long as somebody waits.
                    voids += 1;
                    self.pause(&mut batch, &error, voids).await;
                }
                Attempt::Blocked => {
                    batch.iter().for_each(Job::unsend);
                    return self.put_aside(batch);
                }
                Attempt::Failed { error, again } => {
                    batch.iter().for_each(Job::unsend);
                    rounds += 1;
                    if !again || rounds > ROUNDS {
                        return self.fail(batch, error).await;
                    }
                    tokio::time::sleep(Backoff::default().next(rounds)).await;
                }
            }
            if rounds > ROUNDS {
                let error = Error::new(ErrorKind::Conflict, "the facts kept moving");
                return self.fail(batch, error).await;
            }
        }
    }

    /// One database transaction; what is answered leaves the batch.
    async fn attempt(&mut self, batch: &mut Vec<Job>) -> Attempt {
        self.gauge.round();
        let sets: Vec<&Prepared> = batch.iter().map(|job| &*job.one).collect();
        let mut plan = match lay_out(&sets) {
            Ok(plan) => plan,
            Err(error) => return Attempt::Failed { error, again: false },
        };
        let commit = Uuid::now_v7();
        match self.engine.run(commit, &sets, &mut plan).await {
            Ran::Applied(applied, _) if applied.out.is_empty() => {
                answer(std::mem::take(batch), &applied);
                Attempt::Answered
            }
            Ran::Applied(applied, facts) => {
                // Each in its turn, as ever: what is found out here counts only for those that are out.
                let mut verdicts = judge(&sets, &plan, &facts);
                let mut number = 0..verdicts.len();
                verdicts.retain(|_| number.next().is_some_and(|number| applied.out.contains(&number)));
                let out = answer(std::mem::take(batch), &applied);
                *batch = self.reply_refused(out, verdicts, &facts);
                Attempt::Admitted { progress: true }
            }
            Ran::Refused(facts) => {
                let before = batch.len();
                let verdicts = judge(&sets, &plan, &facts);
                *batch = self.reply_refused(std::mem::take(batch), verdicts, &facts);
                Attempt::Admitted {
                    progress: batch.len() < before,
                }
            }
            Ran::Blocked(_) if self.has_second_lane() => Attempt::Blocked,
            Ran::Blocked(error) => Attempt::Failed { error, again: true },
            Ran::Failed { error, again } => Attempt::Failed { error, again },
            Ran::Restored(found) => {
                for job in batch.drain(..) {
                    let made = job.one.set.epoch;
                    job.answer(Err(restored(made, found)));
                }
                Attempt::Answered
            }
            Ran::Unknown(lost) => self.resolve(commit, &plan, batch, lost).await,
        }
    }

    /// Answers the sets that do not hold on these facts, keeps what is undecided, and returns the others: nothing of theirs was
    /// applied.
    fn reply_refused(&mut self, batch: Vec<Job>, verdicts: Vec<Verdict>, facts: &Facts) -> Vec<Job> {
        let mut admitted = Vec::new();
        for (job, verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Replay(owner) => {
                    job.answer(replay(facts, owner));
                    continue;
                }
                Verdict::Refuse(error) => {
                    job.answer(Err(error));
                    continue;
                }
                Verdict::Admit | Verdict::Later | Verdict::Alone => job.unsend(),
            }
            match verdict {
                Verdict::Later => self.undecided.later.push(job),
                Verdict::Alone => self.undecided.alone.push(job),
                _ => admitted.push(job),
            }
        }
        admitted
    }

    /// Waits before the next try, and lets go of the sets that nobody waits for.
    async fn pause(&mut self, batch: &mut Vec<Job>, error: &Error, attempt: u32) {
        batch.iter().for_each(Job::unsend);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        tokio::time::sleep(Backoff::default().next(attempt)).await;
        batch.retain(|job| !job.deadline.is_over());
    }

    /// Waits for a connection as long as one caller waits; whose deadline is over leaves by itself.
    async fn connect(&mut self, batch: &mut Vec<Job>) -> bool {
        let mut attempt = 0;
        while !batch.is_empty() {
            match self.engine.ready().await {
                Ok(()) => {
                    *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return true;
                }
                Err(error) => {
                    attempt += 1;
                    self.pause(batch, &error, attempt).await;
                }
            }
        }
        false
    }

    /// After a lost reply: the truth, found on a fresh connection.
    async fn resolve(&mut self, commit: Uuid, plan: &Plan, batch: &mut Vec<Job>, lost: Error) -> Attempt {
        let last = batch.iter().map(|job| job.deadline.instant()).max();
        let until = last.unwrap_or_else(Instant::now) + AFTERMATH;
        let mut attempt = 0;
        while Instant::now() < until {
            if self.engine.ready().await.is_ok() {
                match self.engine.resolve(commit, plan).await {
                    Ok(Some(applied)) => {
                        // What was found of those that are out is lost: they go again.
                        *batch = answer(std::mem::take(batch), &applied);
                        batch.iter().for_each(Job::unsend);
                        return Attempt::Admitted { progress: true };
                    }
                    Ok(None) => return Attempt::Voided(lost),
                    Err(error) => {
                        tracing::debug!(kind = ?error.kind(), "the outcome of a commit is still open");
                    }
                }
            }
            attempt += 1;
            tokio::time::sleep(Backoff::default().next(attempt)).await;
        }
        tracing::warn!("the outcome of a commit could not be found out");
        for job in batch.drain(..) {
            let error = Error::new(ErrorKind::OutcomeUnknown, "the outcome could not be found out");
            job.answer(Err(error));
        }
        Attempt::Answered
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

/// How far one database transaction brought a batch.
enum Attempt {
    /// Every set has its answer.
    Answered,
    /// The sets that are left hold on the facts that were read; `progress` tells whether any was answered.
    Admitted { progress: bool },
    /// It was lost on its way and can never be applied.
    Voided(Error),
    /// A foreign transaction keeps its rows locked, and nothing was applied.
    Blocked,
    /// It failed, and nothing was applied.
    Failed { error: Error, again: bool },
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

/// Answers the sets that were applied, and returns the others.
fn answer(batch: Vec<Job>, applied: &Applied) -> Vec<Job> {
    let mut out = Vec::new();
    for (number, job) in batch.into_iter().enumerate() {
        if applied.out.contains(&number) {
            out.push(job);
            continue;
        }
        let answer = committed(applied, &job.one);
        job.answer(answer);
    }
    out
}
