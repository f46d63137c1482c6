//! The store's clock: that of the process, since the service has none that a condition could ask.
//!
//! What goes by it only ends early or late by as much as the clocks of two processes differ. That nothing is sold twice rests
//! on versions alone, see docs/decisions/0008-clock-of-a-dynamodb-store.md.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
#[cfg(feature = "testkit")]
use std::time::Duration;

use crate::model::Clock as _;
use crate::model::SystemClock;
use crate::model::Timestamp;

/// The time that decides what has ended; clones show the same.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreClock {
    /// In microseconds; moved by tests.
    shift: Arc<AtomicI64>,
}

impl StoreClock {
    pub(super) fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        let shift = time::Duration::microseconds(self.shift.load(Ordering::Relaxed));
        now.checked_add(shift).unwrap_or(now)
    }

    #[cfg(feature = "testkit")]
    pub(super) fn shift(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.shift.fetch_add(by, Ordering::Relaxed);
    }
}
