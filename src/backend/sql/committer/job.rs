//! A write set on its way, and how far it has come.

use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::Committed;
use crate::spi::store::WriteSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

pub(super) const QUEUED: u8 = 0;

pub(super) const SENT: u8 = 1;

pub(super) const LEFT: u8 = 2;

pub(super) struct Job {
    pub(super) set: WriteSet,
    pub(super) deadline: Deadline,
    pub(super) state: Arc<AtomicU8>,
    pub(super) reply: oneshot::Sender<Result<Committed>>,
}

impl Job {
    /// The caller is there, or the set was sent already; from here on its outcome is this task's to find out.
    pub(super) fn send(&self) -> bool {
        let sent = self
            .state
            .compare_exchange(QUEUED, SENT, Ordering::AcqRel, Ordering::Acquire);
        sent.is_ok() || sent == Err(SENT)
    }

    /// Nothing of the set was applied: its caller may leave again without doubt.
    pub(super) fn unsend(&self) {
        let _ = self
            .state
            .compare_exchange(SENT, QUEUED, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn answer(self, answer: Result<Committed>) {
        // A caller that is gone does not want the answer.
        let _ = self.reply.send(answer);
    }
}
