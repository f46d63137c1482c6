//! The server's clock as this process knows it: whether a value that a plain `GET` gave is still fresh.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How far the server's clock is ahead of the time since this one was made.
///
/// - Learned from every answer that carries the server's time. The estimate is never early by more than the clocks have
///   drifted apart since: a value is taken for stale too soon rather than too late.
#[derive(Debug)]
pub(super) struct ServerClock {
    start: Instant,
    ahead: AtomicI64,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            ahead: AtomicI64::new(0),
        }
    }

    /// Learns the server's time from an answer to a question asked at `asked`.
    ///
    /// - The answer may have been on its way for as long as the whole round trip: that much later it may be there.
    pub(super) fn learn(&self, server: i64, asked: Instant) {
        self.ahead
            .store(server.saturating_sub(self.since_start(asked)), Ordering::Relaxed);
    }

    /// The server's time now, in milliseconds.
    pub(super) fn now(&self) -> u64 {
        let now = self
            .since_start(Instant::now())
            .saturating_add(self.ahead.load(Ordering::Relaxed));
        u64::try_from(now).unwrap_or(0)
    }

    fn since_start(&self, instant: Instant) -> i64 {
        let since = instant.saturating_duration_since(self.start);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_on_from_what_it_learned() {
        let clock = ServerClock::new();
        clock.learn(1_700_000_000_000, Instant::now());
        let (one, two) = (clock.now(), clock.now());
        assert!(one >= 1_700_000_000_000 && two >= one, "{one}, {two}");
    }
}
