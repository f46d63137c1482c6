//! Counts what the committer does.

use super::QUEUE;
use crate::spi::store::CommitStatus;
use crate::spi::store::STEPS;
use crate::spi::store::Tally;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Counters that all tasks of a committer share.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    waiting: AtomicU64,
    turned_away: AtomicU64,
    rounds: AtomicU64,
    sizes: Counters,
    queued: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    counts: [AtomicU64; STEPS],
    sum: AtomicU64,
    max: AtomicU64,
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Ticket {
    gauge: Arc<Gauge>,
    since: Instant,
}

impl Gauge {
    /// A place in the queue; `None` when it is full.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Ticket> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting >= QUEUE as u64 {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Ticket {
            gauge: Arc::clone(self),
            since: Instant::now(),
        })
    }

    /// A batch of so many write sets.
    pub(super) fn batch(&self, sets: usize) {
        self.sizes.add(sets as u64);
    }

    /// A database transaction.
    pub(super) fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> CommitStatus {
        CommitStatus {
            waiting: self.waiting.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
            rounds: self.rounds.load(Ordering::Relaxed),
            sizes: self.sizes.tally(),
            queued: self.queued.tally(),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gauge.waiting.fetch_sub(1, Ordering::Relaxed);
        let waited = u64::try_from(self.since.elapsed().as_micros());
        self.gauge.queued.add(waited.unwrap_or(u64::MAX));
    }
}

impl Counters {
    fn add(&self, number: u64) {
        if let Some(count) = self.counts.get(Tally::step(number)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(number, Ordering::Relaxed);
        self.max.fetch_max(number, Ordering::Relaxed);
    }

    fn tally(&self) -> Tally {
        Tally {
            counts: std::array::from_fn(|step| {
                self.counts
                    .get(step)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            sum: self.sum.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
        }
    }
}
