//! How long to pause before the next attempt.

use std::time::Duration;

/// Pauses that grow with every attempt and are drawn at random, so that those who failed together do not return together.
///
/// - Full jitter: a pause is drawn evenly from zero to `base * 2^attempt`, and that bound never passes `cap`
///   (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
/// - It only tells the length; whoever waits does so under a deadline.
///
/// ```
/// use std::time::Duration;
/// use stockroom::resilience::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
/// assert!(backoff.next(0) <= Duration::from_millis(10));
/// assert!(backoff.next(40) <= Duration::from_secs(1));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// Pauses from zero to `base` at first, doubling up to `cap`.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The pause after the attempt of this number, the first being 0.
    pub fn next(&self, attempt: u32) -> Duration {
        self.ceiling(attempt).mul_f64(random_fraction())
    }

    fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

impl Default for Backoff {
    /// 10 ms up to 1 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(10), Duration::from_secs(1))
    }
}

/// From 0 to 1; a half when the operating system gives no randomness, for a pause is better than none.
fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(70));
        let bounds: Vec<_> = (0..5)
            .map(|attempt| backoff.ceiling(attempt).as_millis())
            .collect();
        assert_eq!(bounds, [10, 20, 40, 70, 70]);
        assert_eq!(backoff.ceiling(u32::MAX), Duration::from_millis(70));
    }

    #[test]
    fn pauses_stay_below_their_bound_and_differ() {
        let backoff = Backoff::default();
        let pauses: Vec<_> = (0..64).map(|_| backoff.next(3)).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(80)));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
