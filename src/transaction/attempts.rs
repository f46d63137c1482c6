//! How often something that lost a race is tried again.

use std::time::Duration;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Retry;
use crate::resilience::Backoff;
use crate::resilience::Deadline;

/// Times that a read and the write resting on it are tried. Whoever lost eight races in a row is better
/// served by an error than by a ninth.
const MOST: u32 = 8;

/// Pauses between attempts: a conflicting commit is over within milliseconds.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(4), Duration::from_millis(250));

/// Counts the attempts of one call and pauses between them.
#[derive(Debug)]
pub(crate) struct Attempts {
    deadline: Deadline,
    made: u32,
    most: u32,
}

impl Attempts {
    /// A few attempts until the deadline.
    pub(crate) fn few(deadline: Deadline) -> Self {
        Self {
            deadline,
            made: 0,
            most: MOST,
        }
    }

    /// As many attempts as fit before the deadline.
    pub(crate) fn many(deadline: Deadline) -> Self {
        Self {
            deadline,
            made: 0,
            most: u32::MAX,
        }
    }

    /// Pauses before the next attempt when another one moved first; gives every other error back.
    ///
    /// # Errors
    /// The error itself when it is no lost race, or no attempt is left.
    pub(crate) async fn after_conflict(&mut self, error: Error) -> Result<()> {
        if lost_race(&error) {
            self.pause(error).await
        } else {
            Err(error)
        }
    }

    /// Pauses before the next attempt when nothing was applied, whatever the reason.
    ///
    /// # Errors
    /// The error itself when something may have been applied or never will be, or no attempt is left.
    pub(crate) async fn after_refusal(&mut self, error: Error) -> Result<()> {
        let again = lost_race(&error) || error.retry_class() == Retry::Safe;
        if again {
            self.pause(error).await
        } else {
            Err(error)
        }
    }

    /// Pauses before the next attempt; gives the reason back when none is left.
    ///
    /// # Errors
    /// The reason, when no attempt is left.
    pub(crate) async fn pause(&mut self, reason: Error) -> Result<()> {
        let pause = PAUSES.next(self.made);
        self.made = self.made.saturating_add(1);
        if self.made >= self.most || self.deadline.remaining() <= pause {
            return Err(reason);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether the state moved under the call, so that reading again may help.
pub(crate) fn lost_race(error: &Error) -> bool {
    error.is(ErrorKind::Conflict) && error.retry_class() == Retry::Reread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lost_race_is_tried_a_few_times() {
        let mut attempts = Attempts::few(Deadline::within(Duration::from_secs(60)));
        let mut made = 1;
        while attempts
            .after_conflict(Error::conflict("cart", None))
            .await
            .is_ok()
        {
            made += 1;
        }
        assert_eq!(made, MOST);
    }

    #[tokio::test]
    async fn other_errors_are_given_back() {
        let mut attempts = Attempts::few(Deadline::within(Duration::from_secs(60)));
        let error = attempts
            .after_conflict(Error::not_found("cart"))
            .await
            .unwrap_err();
        assert!(error.is(ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn the_deadline_ends_the_attempts() {
        let mut attempts = Attempts::many(Deadline::within(Duration::ZERO));
        assert!(
            attempts
                .after_refusal(Error::conflict("cart", None))
                .await
                .is_err()
        );
    }
}
