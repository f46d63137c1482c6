//! Whether a server has stopped to answer, as far as those can tell who asked it.
//!
//! The client's own look at silent connections counts from the last command that it sent (fred 10.1, `protocol/connection.rs`): as long
//! as somebody asks now and then, a connection that will never answer is taken for a good one until TCP gives it up, which takes
//! a quarter of an hour.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// Silence after which connections are opened anew.
const LONG: Duration = Duration::from_millis(1_500);

/// Since when nobody was answered.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Instant>>);

impl Silence {
    /// Somebody was answered.
    pub(super) fn heard(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Somebody was not answered in time; whether connections are to be opened anew, which is told to one.
    pub(super) fn not_heard(&self) -> bool {
        self.not_heard_for(LONG)
    }

    fn not_heard_for(&self, long: Duration) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_long = since.get_or_insert_with(Instant::now).elapsed() >= long;
        if is_long {
            *since = None;
        }
        is_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_silence_counts_and_only_once() {
        let silence = Silence::default();
        assert!(!silence.not_heard());
        assert!(!silence.not_heard());
        assert!(silence.not_heard_for(Duration::ZERO));
        assert!(!silence.not_heard(), "a new silence");
        silence.heard();
        assert!(!silence.not_heard());
    }
}
