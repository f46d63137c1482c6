//! The second lane: which sets are tried next, while a foreign transaction keeps rows locked.
//!
//! A batch that is blocked is halved until the sets that are blocked stand alone. Such a set is tried by itself again and
//! again; what collides with it waits behind it, so that nothing overtakes on a row; everything else goes in between.

use super::Engine;
use super::LOCK_WAIT;
use super::Link;
use super::first::BATCH;
use super::hand::Hand;
use super::job::Job;
use super::locked;
use super::releases_first;
use crate::backend::sql::plan::Occupied;
use crate::backend::sql::plan::Together;
use crate::resilience::Backoff;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;

/// Pauses between tries of a set that is blocked by itself: a lock that is given up is noticed soon.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(250));

/// A set with less time left is not tried any more: the try itself waits for the lock, and a caller that leaves meanwhile
/// would not know what became of it.
const LAST_TRY: Duration = LOCK_WAIT.saturating_mul(3);

pub(super) struct Second {
    jobs: mpsc::Receiver<Job>,
    waiting: Vec<Job>,
    /// Halves of a blocked batch, the next one last.
    halves: Vec<Vec<Job>>,
    /// Whether the last try was of a set that stands alone: then it is the others' turn.
    was_alone: bool,
}

/// What there is to do.
enum Next {
    /// Try these.
    Batch(Vec<Job>),
    /// Nothing until then.
    Wait(Instant),
    /// Nothing at all.
    Idle,
}

impl Second {
    pub(super) fn new(jobs: mpsc::Receiver<Job>) -> Self {
        Self {
            jobs,
            waiting: Vec::new(),
            halves: Vec::new(),
            was_alone: false,
        }
    }

    /// Ends once nothing more can come and everything that came has its answer, or nobody waits for it.
    pub(super) async fn work(mut self, mut hand: Hand<impl Engine>) {
        while let Some(batch) = self.next_batch().await {
            let left = hand.work(releases_first(batch), Link::first()).await;
            for batch in left.blocked {
                self.blocked(batch);
            }
            self.waiting.extend(left.later);
        }
    }

    /// What has nobody to wait for.
    async fn next_batch(&mut self) -> Option<Vec<Job>> {
        let mut open = true;
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.waiting.push(job);
            }
            let until = match self.next() {
                Next::Batch(batch) => return Some(batch),
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

    /// Takes a batch back that is blocked.
    fn blocked(&mut self, mut batch: Vec<Job>) {
        if batch.len() > 1 {
            let later = batch.split_off(batch.len() / 2);
            self.halves.push(later);
            self.halves.push(batch);
            return;
        }
        for job in &mut batch {
            if let Some(place) = &mut job.place {
                let tries = place.alone.map_or(0, |(tries, _)| tries);
                place.alone = Some((tries.saturating_add(1), Instant::now() + PAUSES.next(tries)));
            }
        }
        self.waiting.append(&mut batch);
    }

    /// Chooses among the sets that wait.
    fn next(&mut self) -> Next {
        let waiting = &mut self.waiting;
        while let Some(half) = self.halves.pop() {
            let numbers: BTreeSet<u64> = half.iter().map(number).collect();
            waiting.extend(half);
            let batch = draw(waiting, |job| numbers.contains(&number(job)));
            if !batch.is_empty() {
                return Next::Batch(batch);
            }
        }
        let mut turns = [Turn::Alone, Turn::Together];
        if self.was_alone {
            turns.reverse();
        }
        for turn in turns {
            let batch = turn.draw(waiting);
            if !batch.is_empty() {
                self.was_alone = matches!(turn, Turn::Alone);
                return Next::Batch(batch);
            }
        }
        match waiting.iter().filter_map(due).min() {
            Some(due) => Next::Wait(due),
            None => Next::Idle,
        }
    }
}

#[derive(Clone, Copy)]
enum Turn {
    /// One set that was blocked by itself, and whose pause is over.
    Alone,
    /// Sets of which nothing is known.
    Together,
}

impl Turn {
    fn draw(self, waiting: &mut Vec<Job>) -> Vec<Job> {
        match self {
            Self::Alone => {
                let (now, mut found) = (Instant::now(), false);
                draw(waiting, |job| {
                    let is_due = !found && due(job).is_some_and(|due| due <= now);
                    found |= is_due;
                    is_due
                })
            }
            Self::Together => draw(waiting, |job| due(job).is_none()),
        }
    }
}

/// Takes out, in the order of arrival, what is wanted, shares a database transaction, and has nobody to wait for.
fn draw(waiting: &mut Vec<Job>, mut wanted: impl FnMut(&Job) -> bool) -> Vec<Job> {
    let mut behind = Occupied::default();
    let mut together = Together::default();
    let mut batch = Vec::new();
    let mut all = std::mem::take(waiting);
    all.sort_by_key(number);
    for job in all {
        if job.has_left() {
            continue;
        }
        if job.deadline.remaining() <= LAST_TRY {
            job.answer(Err(locked()));
            continue;
        }
        let Some(place) = &job.place else { continue };
        let goes = batch.len() < BATCH
            && !behind.collides(&place.footprint)
            && wanted(&job)
            && together.admit(&place.footprint);
        if goes {
            batch.push(job);
        } else {
            behind.add(&place.footprint);
            waiting.push(job);
        }
    }
    batch
}

fn number(job: &Job) -> u64 {
    job.place.as_ref().map_or(0, |place| place.number)
}

/// When a set that is blocked by itself is to be tried again.
fn due(job: &Job) -> Option<Instant> {
    job.place.as_ref()?.alone.map(|(_, due)| due)
}
