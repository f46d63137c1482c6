//! A write set on its way, and how far it has come.

use crate::backend::gauge::Ticket;
use crate::backend::sql::plan::Footprint;
use crate::backend::sql::plan::Occupied;
use crate::backend::sql::plan::Prepared;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::Committed;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::oneshot;

pub(super) const QUEUED: u8 = 0;

pub(super) const SENT: u8 = 1;

pub(super) const LEFT: u8 = 2;

/// Not sent, or sent and not applied: a foreign transaction keeps its rows locked.
pub(super) const BLOCKED: u8 = 3;

pub(super) struct Job {
    pub(super) one: Box<Prepared>,
    /// Its number in the order of arrival, once it is taken from the queue.
    pub(super) arrived: u64,
    /// Counts it until it has its answer.
    pub(super) ticket: Option<Ticket>,
    pub(super) deadline: Deadline,
    pub(super) state: Arc<AtomicU8>,
    pub(super) reply: oneshot::Sender<Result<Committed>>,
    /// In the second lane: its place there.
    pub(super) place: Option<Place>,
}

impl Job {
    /// The caller is there, or the set was sent already; from here on its outcome is this task's to find out.
    pub(super) fn send(&self) -> bool {
        self.leads_to(SENT, |state| state != LEFT)
    }

    /// Nothing of the set was applied: its caller may leave again without doubt.
    pub(super) fn unsend(&self) {
        let waits = if self.place.is_some() { BLOCKED } else { QUEUED };
        self.leads_to(waits, |state| state == SENT);
    }

    /// Gives it a place in the second lane; `false` when its caller has left.
    pub(super) fn put_aside(&mut self, place: Place) -> bool {
        self.place = Some(place);
        self.leads_to(BLOCKED, |state| state != LEFT)
    }

    /// Whether nobody waits for the answer of a set that is not sent.
    pub(super) fn has_left(&self) -> bool {
        self.state.load(Ordering::Acquire) == LEFT
    }

    fn leads_to(&self, state: u8, from: impl Fn(u8) -> bool) -> bool {
        let moved = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |was| {
                from(was).then_some(state)
            });
        moved.is_ok()
    }

    pub(super) fn answer(self, answer: Result<Committed>) {
        // Its rows are free before its caller can come back.
        drop(self.place);
        drop(self.ticket);
        // A caller that is gone does not want the answer.
        let _ = self.reply.send(answer);
    }
}

/// A place in the second lane. Its rows are occupied for as long as it is there.
pub(super) struct Place {
    /// Order of arrival.
    pub(super) number: u64,
    pub(super) footprint: Footprint,
    /// When it was found to be blocked by itself: how often, and when it is to be tried again.
    pub(super) alone: Option<(u32, Instant)>,
    occupied: Arc<Mutex<Occupied>>,
}

impl Place {
    pub(super) fn new(number: u64, footprint: Footprint, occupied: &Arc<Mutex<Occupied>>) -> Self {
        lock(occupied).add(&footprint);
        Self {
            number,
            footprint,
            alone: None,
            occupied: Arc::clone(occupied),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.occupied).remove(&self.footprint);
    }
}

pub(super) fn lock(occupied: &Mutex<Occupied>) -> std::sync::MutexGuard<'_, Occupied> {
    occupied.lock().unwrap_or_else(PoisonError::into_inner)
}
