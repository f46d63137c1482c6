//! The instant by which a call has to answer, handed down through every layer.

use std::future::Future;
use std::time::{Duration, Instant};

/// How far away an unbounded deadline is put: long enough to never matter, near enough for every platform's clock.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// The instant by which a call has to answer.
///
/// - It is a point in time, not a length: layers pass it on, and what one spends the next does not have.
/// - It runs on the monotonic clock; changes of the system's time do not move it.
///
/// ```
/// use std::time::Duration;
/// use stockroom::resilience::Deadline;
///
/// let deadline = Deadline::within(Duration::from_secs(5));
/// assert!(!deadline.is_over());
/// assert!(deadline.min(Duration::from_secs(1)).remaining() <= Duration::from_secs(1));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline this long from now; lengths past a year count as a year.
    pub fn within(length: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(length.min(FAR)).unwrap_or(now))
    }

    /// The time that is left; zero when it is over.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of this deadline and one this long from now, for a step that may not take all of the time.
    #[must_use]
    pub fn min(self, length: Duration) -> Self {
        Ord::min(self, Self::within(length))
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Runs the future until the deadline; `None` when it did not finish, and it is dropped then.
    ///
    /// - A future that is ready at once finishes even when the deadline is over.
    pub async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        tokio::time::timeout_at(self.0.into(), future).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_lengths_do_not_overflow() {
        assert!(Deadline::within(Duration::MAX).remaining() > Duration::from_secs(60 * 60));
    }

    #[test]
    fn min_takes_the_earlier_one() {
        let late = Deadline::within(Duration::from_secs(60));
        assert_eq!(late.min(Duration::MAX), late);
        assert!(late.min(Duration::ZERO).is_over());
    }

    #[tokio::test]
    async fn bound_ends_what_never_finishes() {
        let deadline = Deadline::within(Duration::ZERO);
        assert_eq!(deadline.bound(std::future::pending::<()>()).await, None);
        assert_eq!(deadline.bound(std::future::ready(7)).await, Some(7));
    }
}
