//! How a store's write path is doing.

use std::time::Duration;

/// Number of counters of a [`Tally`].
const STEPS: usize = 32;

/// What a store's write path has done since it was opened, in this process.
///
/// Write sets that arrive while a commit is under way share the next one: a batch. A store without batches leaves
/// everything at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitStatus {
    /// Write sets that wait for their turn now.
    pub waiting: u64,
    /// Write sets that were sent and have no outcome yet; whoever asked for one may be gone.
    pub under_way: u64,
    /// Write sets that were refused at once because too many were waiting.
    pub turned_away: u64,
    /// Database transactions that were begun: one a batch, and one more each time that a batch is tried again.
    pub rounds: u64,
    /// Write sets of each batch.
    pub sizes: Tally,
    /// Microseconds from the call until its write set was sent, of each write set.
    pub queued: Tally,
}

/// How often a number was seen, by powers of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [u64; STEPS],
    sum: u64,
    max: u64,
}

impl Tally {
    /// Counts a number.
    pub fn add(&mut self, number: u64) {
        let step = number.checked_ilog2().unwrap_or(0) as usize;
        self.counts[step.min(STEPS - 1)] += 1;
        self.sum = self.sum.saturating_add(number);
        self.max = self.max.max(number);
    }

    /// Adds what another tally counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// How many numbers were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The greatest one; 0 when there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Their mean; 0 when there is none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let count = self.count();
        if count == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean for people to read")]
        let mean = self.sum as f64 / count as f64;
        mean
    }

    /// How many numbers there are between two bounds, both included, from the least bounds up; steps without a number are
    /// left out.
    pub fn steps(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(step, count)| {
                let low = if step == 0 { 0 } else { 1 << step };
                (low, (2 << step) - 1, *count)
            })
    }

    /// What was added since `earlier`, a copy of the same tally. The greatest number is that of the whole time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        Self {
            counts,
            sum: self.sum.saturating_sub(earlier.sum),
            max: self.max,
        }
    }
}

impl CommitStatus {
    /// Adds what the write path of another store has done.
    pub fn merge(&mut self, other: &Self) {
        self.waiting = self.waiting.saturating_add(other.waiting);
        self.under_way = self.under_way.saturating_add(other.under_way);
        self.turned_away = self.turned_away.saturating_add(other.turned_away);
        self.rounds = self.rounds.saturating_add(other.rounds);
        self.sizes.merge(&other.sizes);
        self.queued.merge(&other.queued);
    }

    /// Batches that were formed.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.sizes.count()
    }

    /// Write sets that were sent.
    #[must_use]
    pub fn write_sets(&self) -> u64 {
        self.sizes.sum()
    }

    /// How long a write set waited until it was sent, on average.
    #[must_use]
    pub fn mean_wait(&self) -> Duration {
        Duration::from_secs_f64(self.queued.mean() / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn tally(numbers: &[u64]) -> Tally {
        let mut tally = Tally::default();
        numbers.iter().for_each(|number| tally.add(*number));
        tally
    }

    #[test]
    fn numbers_are_counted_between_powers_of_two() {
        let steps: Vec<_> = tally(&[0, 1, 2, 3, 4, 7, 8, 1_000]).steps().collect();
        assert_eq!(
            steps,
            [(0, 1, 2), (2, 3, 2), (4, 7, 2), (8, 15, 1), (512, 1_023, 1)]
        );
        assert_eq!(tally(&[u64::MAX]).count(), 1);
    }

    #[test]
    fn tallies_of_two_stores_add_up() {
        let mut both = tally(&[1, 5]);
        both.merge(&tally(&[9, 5]));
        assert_eq!(both, tally(&[1, 5, 5, 9]));
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let earlier = tally(&[1, 5]);
        let now = tally(&[1, 5, 6, 9]);
        let since = now.since(&earlier);
        assert_eq!((since.count(), since.sum(), since.max()), (2, 15, 9));
        assert!((since.mean() - 7.5).abs() < 1e-9 && tally(&[]).mean().abs() < 1e-9);
    }
}
