//! A hand has a connection that writes, and brings one batch at a time to its end: it is run, and run again on fresh facts, until
//! each of its sets has an answer.

use super::Applied;
use super::Engine;
use super::Link;
use super::ROUNDS;
use super::Ran;
use super::job::Job;
use crate::backend::epoch::Epoch;
use crate::backend::epoch::restored;
use crate::backend::gauge::Gauge;
use crate::backend::gauge::Ticket;
use crate::backend::sql::answer::committed;
use crate::backend::sql::answer::replay;
use crate::backend::sql::judge::Facts;
use crate::backend::sql::judge::Verdict;
use crate::backend::sql::judge::judge;
use crate::backend::sql::plan::Plan;
use crate::backend::sql::plan::Prepared;
use crate::backend::sql::plan::lay_out;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::resilience::Backoff;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use uuid::Uuid;

/// How long an outcome is looked for after the last caller has gone.
const AFTERMATH: Duration = Duration::from_secs(30);

pub(super) struct Hand<E> {
    engine: E,
    /// Why the database cannot be reached, if it cannot.
    trouble: Arc<Mutex<Option<String>>>,
    gauge: Arc<Gauge>,
    epoch: Epoch,
    /// Of the next transaction.
    link: Link,
    left: Left,
}

/// What a hand could not bring to its end. Nothing of it was applied.
#[derive(Default)]
pub(super) struct Left {
    /// Sets that are decided once their neighbours are committed.
    pub(super) later: Vec<Job>,
    /// Whether these include sets that followed another batch too early.
    pub(super) early: bool,
    /// Batches that would wait again for the lock of a foreign transaction.
    pub(super) blocked: Vec<Vec<Job>>,
    /// Sets that do not hold beside any neighbour that is not committed.
    alone: Vec<Job>,
}

impl<E: Engine> Hand<E> {
    pub(super) fn new(
        engine: E,
        trouble: Arc<Mutex<Option<String>>>,
        gauge: Arc<Gauge>,
        epoch: Epoch,
    ) -> Self {
        Self {
            engine,
            trouble,
            gauge,
            epoch,
            link: Link::first(),
            left: Left::default(),
        }
    }

    /// Another hand, on a connection of its own; none where the engine has one.
    pub(super) fn second(&self) -> Option<Self> {
        let engine = self.engine.second()?;
        Some(Self::new(
            engine,
            Arc::clone(&self.trouble),
            Arc::clone(&self.gauge),
            self.epoch.clone(),
        ))
    }

    /// Opens the connection; `false` where there is none to be had.
    pub(super) async fn ready(&mut self) -> bool {
        self.engine.ready().await.is_ok()
    }

    /// Brings each set of the batch to its answer, but for what is left. The link is that of its first transaction; all of them
    /// come after the same.
    pub(super) async fn work(&mut self, batch: Vec<Job>, link: Link) -> Left {
        self.link = link;
        self.gauge.batch(batch.len());
        self.settle(batch).await;
        for job in std::mem::take(&mut self.left.alone) {
            self.settle(vec![job]).await;
        }
        std::mem::take(&mut self.left)
    }

    async fn settle(&mut self, mut batch: Vec<Job>) {
        batch
            .iter_mut()
            .filter_map(|job| job.ticket.as_mut())
            .for_each(Ticket::sent);
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
                Attempt::Early => {
                    batch.iter().for_each(Job::unsend);
                    self.left.early = true;
                    return self.left.later.append(&mut batch);
                }
                Attempt::Blocked => {
                    batch.iter().for_each(Job::unsend);
                    return self.left.blocked.push(batch);
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
        let link = self.link;
        self.link.commit = Uuid::now_v7();
        match self.engine.run(link, &sets, &mut plan).await {
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
            // Whom it comes after may take long: then it is that one's lock that it waited for.
            Ran::Blocked(_) if link.after.is_none() => Attempt::Blocked,
            Ran::Blocked(_) | Ran::Early => Attempt::Early,
            Ran::Failed { error, again } => Attempt::Failed { error, again },
            Ran::Restored(found) => {
                self.epoch.saw(found);
                for job in batch.drain(..) {
                    let made = job.one.set.epoch;
                    job.answer(Err(restored(made, found)));
                }
                Attempt::Answered
            }
            Ran::Unknown(lost) => self.resolve(link.commit, &plan, batch, lost).await,
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
                Verdict::Later => self.left.later.push(job),
                Verdict::Alone => self.left.alone.push(job),
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
    /// What it comes after is not there yet, and nothing was applied.
    Early,
    /// It failed, and nothing was applied.
    Failed { error: Error, again: bool },
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
