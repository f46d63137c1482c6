//! A write set on its way, and how far it has come.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::prepared::Prepared;
use crate::backend::gauge::Ticket;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::Committed;

/// Not sent, or sent and known not to have been applied.
const QUEUED: u8 = 0;
/// Sent: whether it was applied is the committer's to find out.
const SENT: u8 = 1;
/// Nobody waits for it any more.
const LEFT: u8 = 2;

/// Where a set stands, for its caller and for the committer.
#[derive(Clone, Debug, Default)]
pub(super) struct State(Arc<AtomicU8>);

impl State {
    /// The caller leaves; whether the set was sent by then.
    pub(super) fn leave(&self) -> bool {
        !self.moves(QUEUED, LEFT) && self.0.load(Ordering::Acquire) == SENT
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// A write set that somebody waits for.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) one: Box<Prepared>,
    pub(super) deadline: Deadline,
    pub(super) state: State,
    pub(super) reply: oneshot::Sender<Result<Committed>>,
    /// Counts it until it has its answer.
    pub(super) ticket: Option<Ticket>,
}

impl Job {
    /// From here on its outcome is to be found out; `false` when its caller has left.
    pub(super) fn send(&self) -> bool {
        self.state.moves(QUEUED, SENT)
    }

    /// Nothing of it was applied: its caller may leave without doubt.
    pub(super) fn unsend(&self) {
        self.state.moves(SENT, QUEUED);
    }

    /// Whether nobody waits for it, or not for much longer.
    pub(super) fn is_over(&self) -> bool {
        self.state.0.load(Ordering::Acquire) == LEFT || self.deadline.is_over()
    }

    pub(super) fn answer(self, answer: Result<Committed>) {
        drop(self.ticket);
        // A caller that is gone does not want the answer.
        let _ = self.reply.send(answer);
    }
}
