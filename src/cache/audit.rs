//! Compares a sample of hits with the store: whether the promises hold here, on these servers, today.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::cached::Kept;
use super::loader::Loadable;
use super::stats::add;
use crate::model::Version;
use crate::resilience::Deadline;

/// How long a value may be behind: the longest that a tier in a process is without push.
const BOUND: Duration = Duration::from_secs(2);

/// How long one comparison may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl<T: Loadable> Kept<T> {
    /// Compares what was given with the store, in the background.
    ///
    /// - What is behind is looked at again when the bound is over: only what is still behind by then breaks a promise.
    pub(super) fn audit(self: &Arc<Self>, id: Uuid, given: Option<Version>) {
        let kept = Arc::clone(self);
        self.tasks.spawn(async move {
            let loaded = T::load(&*kept.store, &[id], Deadline::within(PATIENCE)).await;
            let Ok(mut loaded) = loaded else { return };
            add(&kept.counters.audited);
            let stored = loaded.pop().flatten().map(|value| value.version());
            if stored <= given {
                return;
            }
            tokio::time::sleep(BOUND).await;
            let now = kept.local.get(&id);
            let is_behind = now.is_some_and(|now| now.map(|value| value.version()) < stored);
            if is_behind {
                add(&kept.counters.audited_stale);
                tracing::warn!(
                    aggregate = T::KIND.as_str(),
                    "a cached value is older than it may be"
                );
            }
        });
    }
}
