//! The task: takes what waits as a batch, runs it, and answers each caller.

use super::Applied;
use super::Engine;
use super::Ran;
use super::job::Job;
use crate::backend::sql::epoch::restored;
use crate::backend::sql::judge::Facts;
use crate::backend::sql::judge::Verdict;
use crate::backend::sql::judge::judge;
use crate::backend::sql::plan::Footprint;
use crate::backend::sql::plan::Plan;
use crate::backend::sql::plan::lay_out;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::model::from_micros;
use crate::resilience::Backoff;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::WriteSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Write sets in one database transaction at most.
const BATCH: usize = 128;

/// Rounds of one batch on fresh facts before its sets go one by one.
const ROUNDS: u32 = 3;

/// How long an outcome is looked for after the last caller has gone.
const AFTERMATH: Duration = Duration::from_secs(30);

pub(super) struct Worker<E> {
    pub(super) engine: E,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// Taken from the queue, but colliding with the batch before.
    pub(super) waiting: Vec<Job>,
    pub(super) trouble: Arc<Mutex<Option<String>>>,
}

impl<E: Engine> Worker<E> {
    pub(super) async fn work(mut self) {
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

    /// Brings each set of the batch to its answer.
    async fn settle(&mut self, mut batch: Vec<Job>) {
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
        let sets: Vec<&WriteSet> = batch.iter().map(|job| &job.set).collect();
        let mut plan = match lay_out(&sets) {
            Ok(plan) => plan,
            Err(error) => return Attempt::Failed { error, again: false },
        };
        if plan.payload.bytes() > crate::backend::sql::LIMITS.bytes {
            return Attempt::Failed {
                error: too_large(),
                again: false,
            };
        }
        let commit = Uuid::now_v7();
        match self.engine.run(commit, &mut plan).await {
            Ran::Applied(applied) => {
                answer(std::mem::take(batch), &applied);
                Attempt::Answered
            }
            Ran::Refused(facts) => {
                let before = batch.len();
                *batch = reply_refused(std::mem::take(batch), &plan, &facts);
                Attempt::Admitted {
                    progress: batch.len() < before,
                }
            }
            Ran::Failed { error, again } => Attempt::Failed { error, again },
            Ran::Restored(found) => {
                for job in batch.drain(..) {
                    let made = job.set.epoch;
                    job.answer(Err(restored(made, found)));
                }
                Attempt::Answered
            }
            Ran::Unknown(lost) => self.resolve(commit, batch, lost).await,
        }
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
    async fn resolve(&mut self, commit: Uuid, batch: &mut Vec<Job>, lost: Error) -> Attempt {
        let last = batch.iter().map(|job| job.deadline.instant()).max();
        let until = last.unwrap_or_else(Instant::now) + AFTERMATH;
        let mut attempt = 0;
        while Instant::now() < until {
            if self.engine.ready().await.is_ok() {
                match self.engine.resolve(commit).await {
                    Ok(Some(applied)) => {
                        answer(std::mem::take(batch), &applied);
                        return Attempt::Answered;
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
    /// It failed, and nothing was applied.
    Failed { error: Error, again: bool },
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

fn too_large() -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "the write has more than {} bytes",
            crate::backend::sql::LIMITS.bytes
        ),
    )
}
