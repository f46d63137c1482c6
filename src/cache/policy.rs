//! How the values of one aggregate are kept: how old they may be, for how long, and in which tiers.

use std::time::Duration;

/// Less than floors are remembered: a replica that is further behind could bring back what nobody remembers to be old.
const FLOOR_LASTS: Duration = Duration::from_secs(10);

/// How old what a cache gives may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// As old as the time that values are kept, and what loading them took.
    Ttl,
    /// Nothing that is older than an invalidation that has returned is given by the shared tier; the tiers in front of it in
    /// other processes follow within a second with push, within two without.
    #[default]
    Invalidate,
    /// The shared tier gives nothing that is older than a committed write, also when the writer dies right after its commit.
    /// Writers hold the keys that they are about to write, and fail when they cannot. In the shared tier only.
    Strict,
}

/// When values are loaded. In each of them the repository loads, so that callers never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// When somebody wants a value that is not there.
    #[default]
    Lazy,
    /// Also by the writer, right after its write: the next reader finds it there.
    WriteThrough,
    /// Also shortly before a value's time is over, by one of those that read it, the likelier the longer loading takes:
    /// readers of what is in demand never wait.
    RefreshAhead,
}

/// Where values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tiers {
    /// In this process, and in the shared tier if there is one.
    #[default]
    Both,
    /// In this process alone.
    InProcess,
    /// In the shared tier alone; without one nothing is kept.
    Shared,
}

/// How the values of one aggregate are kept.
///
/// ```
/// use std::time::Duration;
/// use stockroom::{CachePolicy, Consistency, Strategy};
///
/// let policy = CachePolicy::new()
///     .consistency(Consistency::Invalidate)
///     .strategy(Strategy::RefreshAhead)
///     .keep(Duration::from_secs(600));
/// assert_eq!(policy.keep, Duration::from_secs(600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CachePolicy {
    /// How old values may be; `Invalidate` unless told otherwise.
    pub consistency: Consistency,
    /// When they are loaded; when somebody wants them unless told otherwise.
    pub strategy: Strategy,
    /// Where they are kept; in both tiers unless told otherwise.
    pub tiers: Tiers,
    /// How long they are kept; five minutes unless told otherwise. The last bound on everything.
    pub keep: Duration,
    /// By how much of that time each value's own differs, so that what was loaded together does not end together; a tenth
    /// unless told otherwise.
    pub jitter: f64,
    /// How long it is kept that there is no such aggregate; 30 s unless told otherwise, zero for never.
    pub keep_absent: Duration,
    /// How long a value that is over is given when the store cannot be asked; zero, which is never, unless told otherwise.
    pub stale_if_error: Duration,
    /// How long a reader waits for a load before it is given a value that is over, where `stale_if_error` keeps one; the load
    /// goes on. Zero, which is for as long as it takes, unless told otherwise.
    pub soft_timeout: Duration,
    /// How far behind a replica may be from which values are loaded; zero, which is from the writer alone, unless told
    /// otherwise.
    pub replica_bound: Duration,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            consistency: Consistency::default(),
            strategy: Strategy::default(),
            tiers: Tiers::default(),
            keep: Duration::from_secs(300),
            jitter: 0.1,
            keep_absent: Duration::from_secs(30),
            stale_if_error: Duration::ZERO,
            soft_timeout: Duration::ZERO,
            replica_bound: Duration::ZERO,
        }
    }
}

impl CachePolicy {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How old values may be.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// When values are loaded.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Where values are kept.
    #[must_use]
    pub fn tiers(mut self, tiers: Tiers) -> Self {
        self.tiers = tiers;
        self
    }

    /// How long values are kept.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// By how much of its time each value's own differs, from 0 to 1.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter.clamp(0.0, 1.0);
        self
    }

    /// How long it is kept that there is no such aggregate.
    #[must_use]
    pub fn keep_absent(mut self, keep: Duration) -> Self {
        self.keep_absent = keep;
        self
    }

    /// How long a value that is over is given when the store cannot be asked. `Strict` gives none.
    #[must_use]
    pub fn stale_if_error(mut self, stale_for: Duration) -> Self {
        self.stale_if_error = stale_for;
        self
    }

    /// How long a reader waits for a load before it is given what `stale_if_error` keeps; zero for as long as it takes.
    ///
    /// - What was dropped by a write is given as well, to the process that wrote too: for values that may be old by this much.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = timeout;
        self
    }

    /// Loads single values from a replica that is at most so far behind, ten seconds at the most, where the store has one.
    ///
    /// - The shared tier must have floors, as Redis does: what is older than a write that was told there is loaded again from
    ///   the writer. So is what is absent. `Strict` loads from the writer alone.
    #[must_use]
    pub fn replica_bound(mut self, bound: Duration) -> Self {
        self.replica_bound = bound.min(FLOOR_LASTS);
        self
    }

    /// How far behind a replica may be, if values may be loaded from one.
    pub(super) fn replica(&self) -> Option<Duration> {
        Some(self.replica_bound).filter(|bound| !bound.is_zero() && self.consistency != Consistency::Strict)
    }

    /// How long values are kept as stale.
    pub(super) fn stale_for(&self) -> Duration {
        match self.consistency {
            Consistency::Strict => Duration::ZERO,
            _ => self.stale_if_error,
        }
    }

    /// Whether a reader may be given what is old while a load goes on.
    pub(super) fn is_soft(&self) -> bool {
        !self.soft_timeout.is_zero() && !self.stale_for().is_zero()
    }

    /// Whether values are kept in this process. Nobody in this process hears of a hold.
    pub(super) fn in_process(&self) -> bool {
        self.consistency != Consistency::Strict && self.tiers != Tiers::Shared
    }

    pub(super) fn in_shared(&self) -> bool {
        self.tiers != Tiers::InProcess
    }

    /// How long one value is kept: a random time around the one that was asked for.
    pub(super) fn drawn(&self, keep: Duration) -> Duration {
        let spread = 1.0 + self.jitter * (2.0 * random() - 1.0);
        keep.mul_f64(spread.max(0.0))
    }
}

/// From 0, which is left out, to 1; a half when the operating system gives no randomness.
pub(super) fn random() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| {
        (f64::from(drawn) + 1.0) / (f64::from(u32::MAX) + 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_differ_by_no_more_than_the_jitter() {
        let policy = CachePolicy::new().keep(Duration::from_secs(100));
        let drawn: Vec<_> = (0..200)
            .map(|_| policy.drawn(policy.keep).as_secs_f64())
            .collect();
        assert!(drawn.iter().all(|keep| (89.9..110.1).contains(keep)));
        assert!(drawn.iter().any(|keep| (keep - drawn[0]).abs() > 1.0));
        let plain = policy.jitter(0.0);
        assert_eq!(plain.drawn(plain.keep), plain.keep);
    }

    #[test]
    fn strict_values_are_kept_in_no_process_and_never_given_stale() {
        let policy = CachePolicy::new()
            .consistency(Consistency::Strict)
            .stale_if_error(Duration::from_secs(9));
        assert!(!policy.in_process());
        assert_eq!(policy.stale_for(), Duration::ZERO);
    }
}
