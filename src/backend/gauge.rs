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

/// A write set that is counted: as one that waits, and from when it is sent as one that is under way.
#[derive(Debug)]
pub(in crate::backend) struct Ticket {
    gauge: Arc<Gauge>,
    /// Since when it waits; until it is sent.
    since: Option<Instant>,
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
            since: Some(Instant::now()),
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
    /// The write set is sent; sent again it stays under way.
    pub(in crate::backend) fn sent(&mut self) {
        if let Some(since) = self.since.take() {
            let mut status = self.gauge.count();
            leave_queue(&mut status, since);
            status.under_way += 1;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut status = self.gauge.count();
        match self.since {
            Some(since) => leave_queue(&mut status, since),
            None => status.under_way -= 1,
        }
    }
}

fn leave_queue(status: &mut CommitStatus, since: Instant) {
    status.waiting -= 1;
    let waited = u64::try_from(since.elapsed().as_micros());
    status.queued.add(waited.unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_set_waits_until_it_is_sent_and_is_under_way_until_it_ends() {
        let gauge = Arc::new(Gauge::default());
        let counted = || {
            (
                gauge.status().waiting,
                gauge.status().under_way,
                gauge.status().queued.count(),
            )
        };
        let (mut one, other) = (gauge.enter().unwrap(), gauge.enter().unwrap());
        assert_eq!(counted(), (2, 0, 0));
        one.sent();
        one.sent();
        assert_eq!(counted(), (1, 1, 1));
        drop((one, other));
        assert_eq!(counted(), (0, 0, 2));
    }
}
