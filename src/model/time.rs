//! Times: UTC, cut to microseconds, which is what every store keeps.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::{OffsetDateTime, UtcOffset};

use crate::{Error, ErrorKind, Result};

/// A point in time, in UTC.
pub type Timestamp = OffsetDateTime;

/// Microseconds since 1970, rounded towards the past.
pub fn micros(at: Timestamp) -> i64 {
    let micros = at.unix_timestamp_nanos().div_euclid(1_000);
    // Years within ±9999 fit; only `time/large-dates`, switched on elsewhere, gets near this.
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

/// The time that is this many microseconds after 1970.
///
/// # Errors
/// `Corrupt` when it is outside the years -9999 to 9999.
pub fn from_micros(micros: i64) -> Result<Timestamp> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|source| {
        Error::new(ErrorKind::Corrupt, "a time is out of range")
            .field("time")
            .caused_by(source)
    })
}

/// The same time in UTC, cut to microseconds.
pub fn truncate(at: Timestamp) -> Timestamp {
    let at = at.to_offset(UtcOffset::UTC);
    at.replace_nanosecond(at.nanosecond() / 1_000 * 1_000)
        .unwrap_or(at)
}

/// When something ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At this time. Readers always return this one.
    At(Timestamp),
    /// This long after the commit, by the store's clock.
    In(Duration),
}

impl Expiry {
    /// The time, when it is known already.
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::In(_) => None,
        }
    }

    /// The time, as the store finds it inside the commit.
    #[must_use]
    pub fn resolved(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(length) => now.checked_add(signed(length)).unwrap_or(now),
        }
    }
}

/// `time` adds signed lengths; a length past its range counts as the longest.
fn signed(length: Duration) -> time::Duration {
    time::Duration::try_from(length).unwrap_or(time::Duration::MAX)
}

/// Where time stamps come from.
///
/// - It only stamps (`created_at`, `updated_at`, `placed_at`); expiry and leases go by the store's clock.
pub trait Clock: Send + Sync + Debug {
    /// The time now, cut to microseconds.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Copy, Clone, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the system for the time"
    )]
    fn now(&self) -> Timestamp {
        truncate(OffsetDateTime::now_utc())
    }
}

/// A clock that stands still until it is moved, for tests; clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use stockroom::model::{Clock, ManualClock, from_micros};
///
/// let clock = ManualClock::new(from_micros(0)?);
/// clock.clone().advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), from_micros(1_000_000)?);
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows this time.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(micros(now))))
    }

    /// Shows this time from now on.
    pub fn set(&self, now: Timestamp) {
        self.0.store(micros(now), Ordering::SeqCst);
    }

    /// Moves the clock on.
    pub fn advance(&self, length: Duration) {
        let step = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(step, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_micros(self.0.load(Ordering::SeqCst)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncate_cuts_to_microseconds_in_utc() {
        let offset = UtcOffset::from_hms(2, 0, 0).unwrap();
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_234_567_891)
            .unwrap()
            .to_offset(offset);
        let cut = truncate(at);
        assert_eq!(cut.unix_timestamp_nanos(), 1_234_567_000);
        assert!(cut.offset().is_utc());
    }

    #[test]
    fn micros_survive_the_way_to_the_store_and_back() {
        for value in [0, 1, -1, 1_700_000_000_123_456, -62_000_000_000_000_001] {
            assert_eq!(micros(from_micros(value).unwrap()), value);
        }
        assert!(from_micros(i64::MAX).unwrap_err().is(ErrorKind::Corrupt));
    }

    #[test]
    fn a_length_ends_after_the_commit_and_never_overflows() {
        let now = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(
            Expiry::In(Duration::from_secs(1)).resolved(now),
            from_micros(1_000_000).unwrap()
        );
        assert_eq!(Expiry::At(now).resolved(from_micros(5).unwrap()), now);
        assert_eq!(Expiry::In(Duration::MAX).resolved(now), now);
    }

    #[test]
    fn the_system_clock_is_cut_already() {
        let now = SystemClock.now();
        assert_eq!(now, truncate(now));
    }
}
