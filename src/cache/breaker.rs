//! Keeps callers from waiting for what does not answer: after some failures it is asked now and then only.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// Failures in a row after which it opens.
const FAILURES: u32 = 5;

/// How long nothing is asked once it is open; then one caller tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Closed, open, or with one caller trying.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Nobody asks before.
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Whether to ask now. Of those who come after the pause one is told yes, until it has told the outcome or another pause
    /// is over.
    pub(super) fn admits(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = state.closed_until else {
            return true;
        };
        let now = Instant::now();
        if now < until {
            return false;
        }
        state.closed_until = Some(now + PAUSE);
        true
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::default();
    }

    pub(super) fn failed(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.closed_until = Some(Instant::now() + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_a_success() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.admits());
            breaker.failed();
        }
        assert!(!breaker.admits());
        breaker.succeeded();
        assert!(breaker.admits());
        for _ in 1..FAILURES {
            breaker.failed();
        }
        breaker.succeeded();
        breaker.failed();
        assert!(breaker.admits(), "not in a row");
    }
}
