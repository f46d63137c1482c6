//! Counts what the committer does.

use crate::spi::store::CommitStatus;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

/// Write sets that wait at most; more are refused at once.
pub(in crate::backend) const QUEUE: usize = 4_096;

/// What all tasks of a committer count together.
#[derive(Debug, Default)]
pub(in crate::backend) struct Gauge(Mutex<CommitStatus>);

/// A write set on its way, from the queue to its answer.
#[derive(Debug)]
pub(in crate::backend) struct Ticket {
    gauge: Arc<Gauge>,
    since: Instant,
    sent: bool,
}

impl Gauge {
    fn count(&self) -> MutexGuard<'_, CommitStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the queue; `None` when it is full.
    pub(in crate::backend) fn enter(self: &Arc<Self>) -> Option<Ticket> {
        let mut status = self.count();
        if status.waiting >= QUEUE as u64 {
            status.turned_away += 1;
            return None;
        }
        status.waiting += 1;
        Some(Ticket {
            gauge: Arc::clone(self),
            since: Instant::now(),
            sent: false,
        })
    }

    /// A batch of so many write sets.
    pub(in crate::backend) fn batch(&self, sets: usize) {
        self.count().sizes.add(sets as u64);
    }

    /// A database transaction.
    pub(in crate::backend) fn round(&self) {
        self.count().rounds += 1;
    }

    pub(in crate::backend) fn status(&self) -> CommitStatus {
        self.count().clone()
    }
}

impl Ticket {
    /// Its turn has come: it leaves the queue.
    pub(in crate::backend) fn send(&mut self) {
        if !std::mem::replace(&mut self.sent, true) {
            let waited = u64::try_from(self.since.elapsed().as_micros());
            let mut status = self.gauge.count();
            status.waiting -= 1;
            status.under_way += 1;
            status.queued.add(waited.unwrap_or(u64::MAX));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut status = self.gauge.count();
        if self.sent {
            status.under_way -= 1;
        } else {
            status.waiting -= 1;
        }
    }
}
