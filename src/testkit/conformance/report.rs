//! What came out: a line a case, and a table at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Case;
use super::Failure;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The store behaves as the bullet says.
    Passed,
    /// It does not.
    Failed(Failure),
    /// The store does not have what the case needs; the reason names it.
    Excluded(String),
}

/// One case and how it ended; displays as one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The case.
    pub case: &'static Case,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, the opening of its store included.
    pub took: Duration,
}

impl Outcome {
    pub(super) const fn new(case: &'static Case, verdict: Verdict, took: Duration) -> Self {
        Self { case, verdict, took }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, reason) = match &self.verdict {
            Verdict::Passed => ("ok", String::new()),
            Verdict::Failed(failure) => ("FAILED", format!("  {failure}")),
            Verdict::Excluded(reason) => ("excluded", format!("  {reason}")),
        };
        write!(
            f,
            "{:<34} {word:<8} {:>5} ms{reason}",
            self.case.name(),
            self.took.as_millis()
        )
    }
}

/// The outcomes of a run; displays as a table by group, followed by what failed or was excluded and the totals.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Every case that was asked for, in order.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    pub(super) const fn new(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes }
    }

    /// Whether something ran and nothing failed; excluded cases do not count as failures.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.passed().count() > 0 && self.failed().count() == 0
    }

    /// The cases that passed.
    pub fn passed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.verdict == Verdict::Passed)
    }

    /// The cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
    }

    /// The cases that this store cannot run.
    pub fn excluded(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Excluded(_)))
    }

    fn groups(&self) -> BTreeMap<&'static str, [u128; 4]> {
        let mut groups = BTreeMap::new();
        for outcome in &self.outcomes {
            let bullet = outcome.case.bullet();
            let group = bullet.split_once('.').map_or(bullet, |(group, _)| group);
            let row: &mut [u128; 4] = groups.entry(group).or_default();
            row[3] += outcome.took.as_millis();
            row[match outcome.verdict {
                Verdict::Passed => 0,
                Verdict::Failed(_) => 1,
                Verdict::Excluded(_) => 2,
            }] += 1;
        }
        groups
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>7} {:>7} {:>9} {:>7}",
            "group", "passed", "failed", "excluded", "ms"
        )?;
        for (group, [passed, failed, excluded, took]) in self.groups() {
            writeln!(f, "{group:<12} {passed:>7} {failed:>7} {excluded:>9} {took:>7}")?;
        }
        for outcome in self.failed().chain(self.excluded()) {
            writeln!(f, "{outcome}")?;
        }
        let (passed, failed, excluded) = (
            self.passed().count(),
            self.failed().count(),
            self.excluded().count(),
        );
        write!(
            f,
            "{} cases: {passed} passed, {failed} failed, {excluded} excluded",
            self.outcomes.len()
        )
    }
}
