//! Runs the suite, each case in a task of its own, and tells what came out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::CacheCase;
use super::CacheHarness;
use super::CacheSetup;
use super::manifest;
use crate::testkit::conformance::Failure;
use crate::testkit::conformance::Verdict;

/// How long one case may take.
const LIMIT: Duration = Duration::from_secs(60);

/// One case and how it ended; displays as one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOutcome {
    /// The case.
    pub case: &'static CacheCase,
    /// How it ended.
    pub verdict: Verdict,
}

impl fmt::Display for CacheOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Passed => write!(f, "{:<24} ok", self.case.bullet()),
            Verdict::Failed(failure) => write!(f, "{:<24} FAILED  {failure}", self.case.bullet()),
            Verdict::Excluded(reason) => write!(f, "{:<24} excluded  {reason}", self.case.bullet()),
        }
    }
}

/// The outcomes of a run; displays as a line a case and the totals.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheReport {
    /// Every case that was asked for, in order.
    pub outcomes: Vec<CacheOutcome>,
}

impl CacheReport {
    /// Whether something ran and nothing failed; excluded cases do not count as failures.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.passed().count() > 0 && self.failed().count() == 0
    }

    /// The cases that passed.
    pub fn passed(&self) -> impl Iterator<Item = &CacheOutcome> {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.verdict == Verdict::Passed)
    }

    /// The cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CacheOutcome> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
    }

    /// The cases that the cache cannot run.
    pub fn excluded(&self) -> impl Iterator<Item = &CacheOutcome> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Excluded(_)))
    }
}

impl fmt::Display for CacheReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in &self.outcomes {
            writeln!(f, "{outcome}")?;
        }
        let (passed, failed) = (self.passed().count(), self.failed().count());
        write!(
            f,
            "{passed} passed, {failed} failed, {} excluded",
            self.excluded().count()
        )
    }
}

/// Runs every case, one after the other; one that fails, panics or hangs is a failure, and the others still run.
pub async fn run(setup: &dyn CacheSetup) -> CacheReport {
    let bullets: Vec<_> = manifest().iter().map(|case| case.bullet()).collect();
    run_only(setup, &bullets).await
}

/// Runs the cases of these bullets.
pub async fn run_only(setup: &dyn CacheSetup, bullets: &[&str]) -> CacheReport {
    let mut outcomes = Vec::new();
    for case in manifest() {
        if bullets.contains(&case.bullet()) {
            let verdict = judge(setup, case).await;
            outcomes.push(CacheOutcome { case, verdict });
        }
    }
    CacheReport { outcomes }
}

async fn judge(setup: &dyn CacheSetup, case: &'static CacheCase) -> Verdict {
    let harness = match setup.fresh().await {
        Ok(harness) => Arc::new(harness),
        Err(error) => return Verdict::Failed(Failure::from(error)),
    };
    let capability = *harness.cache().capability();
    let unmet = case.needs().iter().find(|need| !need.is_met(&capability));
    let verdict = match unmet {
        Some(need) => Verdict::Excluded(format!("has no {}", need.as_str())),
        None => attempt(Arc::clone(&harness), case).await,
    };
    harness.close().await;
    verdict
}

async fn attempt(harness: Arc<CacheHarness>, case: &'static CacheCase) -> Verdict {
    let mut task = tokio::spawn(async move { (case.run)(&harness).await });
    match tokio::time::timeout(LIMIT, &mut task).await {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(failure))) => Verdict::Failed(failure),
        Ok(Err(error)) => Verdict::Failed(Failure::new(format!("the case did not end: {error}"))),
        Err(_) => {
            task.abort();
            Verdict::Failed(Failure::new(format!("the case did not end within {LIMIT:?}")))
        }
    }
}
