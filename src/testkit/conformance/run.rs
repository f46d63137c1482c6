//! Runs the suite: one fresh store a case, each case in a task of its own, so that a panic or a hang is a failure.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Case;
use super::Failure;
use super::Need;
use super::Outcome;
use super::Report;
use super::Setup;
use super::Verdict;
use super::manifest;

/// How long one case may take unless told otherwise.
const LIMIT: Duration = Duration::from_secs(60);

type Progress = Arc<dyn Fn(&Outcome) + Send + Sync>;

/// What to run, and whom to tell.
#[derive(Clone)]
pub struct Options {
    only: Option<Vec<String>>,
    limit: Duration,
    progress: Progress,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("only", &self.only)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            only: None,
            limit: LIMIT,
            progress: Arc::new(|_| ()),
        }
    }
}

impl Options {
    /// The whole suite, silently, sixty seconds a case.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the cases of these bullets.
    #[must_use]
    pub fn only<T: Into<String>>(mut self, bullets: impl IntoIterator<Item = T>) -> Self {
        self.only = Some(bullets.into_iter().map(Into::into).collect());
        self
    }

    /// Longest that one case may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Called after each case; `Outcome` displays as one line.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&Outcome) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    fn wants(&self, case: &Case) -> bool {
        self.only
            .as_ref()
            .is_none_or(|bullets| bullets.iter().any(|bullet| bullet == case.bullet()))
    }
}

/// Runs every case that the options ask for, one after the other, and reports each.
///
/// - A case that fails, panics or passes its limit is a failure; the others still run.
/// - Each store is closed after its case.
pub async fn run(setup: &dyn Setup, options: &Options) -> Report {
    let mut outcomes = Vec::new();
    for case in manifest().into_iter().filter(|case| options.wants(case)) {
        let start = Instant::now();
        let verdict = judge(setup, case, options.limit).await;
        let outcome = Outcome::new(case, verdict, start.elapsed());
        (options.progress)(&outcome);
        outcomes.push(outcome);
    }
    Report::new(outcomes)
}

async fn judge(setup: &dyn Setup, case: &'static Case, limit: Duration) -> Verdict {
    let harness = match setup.fresh().await {
        Ok(harness) => Arc::new(harness),
        Err(error) => return Verdict::Failed(Failure::from(error)),
    };
    let store = Arc::clone(harness.store());
    let unmet = |need: &Need| need.unmet(&*store);
    let verdict = match case.needs().iter().find_map(unmet) {
        Some(reason) => Verdict::Excluded(reason),
        None => attempt(harness, case, limit).await,
    };
    store.close().await;
    verdict
}

async fn attempt(harness: Arc<super::Harness>, case: &'static Case, limit: Duration) -> Verdict {
    let mut task = tokio::spawn(async move { (case.run)(&harness).await });
    match tokio::time::timeout(limit, &mut task).await {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(failure))) => Verdict::Failed(failure),
        Ok(Err(error)) => Verdict::Failed(Failure::new(format!("the case did not end: {error}"))),
        Err(_) => {
            task.abort();
            Verdict::Failed(Failure::new(format!("the case did not end within {limit:?}")))
        }
    }
}
