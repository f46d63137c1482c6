//! A clock that is read for the price of a load from memory: a task moves it on.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::watch;

/// How often it is moved on. Values are kept that much too long at most, while the runtime keeps up.
const TICK: Duration = Duration::from_millis(10);

/// Milliseconds since it was made, at most a tick and the runtime's delay behind.
#[derive(Debug)]
pub(super) struct CoarseClock {
    start: Instant,
    now: AtomicU64,
}

impl CoarseClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            now: AtomicU64::new(0),
        })
    }

    /// The time as it was moved on last.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// An instant in this clock's milliseconds.
    pub(super) fn at(&self, instant: Instant) -> u64 {
        millis(instant.saturating_duration_since(self.start))
    }

    /// Moves it on: whoever has read the real clock anyway spares the task the work.
    pub(super) fn move_on(&self) -> u64 {
        let now = self.at(Instant::now());
        self.now.fetch_max(now, Ordering::Relaxed);
        now
    }

    /// Moves it on until the sender says so or is gone.
    pub(super) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => { self.move_on(); }
            }
        }
    }
}

pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
