//! The one write path: observers are told before, the store commits, observers are told the outcome.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::changes::Wake;
use crate::spi::store::Aborted;
use crate::spi::store::CommitObserver;
use crate::spi::store::Committed;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// Hands write sets to stores and tells the observers; clones share the observers and the tasks.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) observers: Arc<[Arc<dyn CommitObserver>]>,
    /// Rung after each commit: the relay of this process need not wait for its next look.
    wake: Option<Wake>,
    pub(super) tasks: Arc<Tasks>,
}

impl Pipeline {
    pub(super) fn new(observers: Vec<Arc<dyn CommitObserver>>, wake: Option<Wake>) -> Self {
        Self {
            observers: observers.into(),
            wake,
            tasks: Arc::default(),
        }
    }

    /// Commits a planned set.
    ///
    /// - Without observers the store is asked at once: it owns what it took, so a dropped caller cuts
    ///   nothing.
    /// - With observers a task owns the whole way: a caller that is dropped after `before` would otherwise
    ///   leave an observer without the outcome.
    pub(super) async fn commit(
        &self,
        store: &Arc<dyn Store>,
        set: WriteSet,
        deadline: Deadline,
    ) -> Result<Committed> {
        if self.observers.is_empty() || set.is_read_only() {
            let committed = store.commit(set, deadline).await;
            if let Ok(committed) = &committed {
                self.ring(committed);
            }
            return committed;
        }
        let (answer, answered) = oneshot::channel();
        let (pipeline, store) = (self.clone(), Arc::clone(store));
        self.tasks.spawn(async move {
            let outcome = observed(&pipeline.observers, &*store, set, deadline).await;
            if let Ok(committed) = &outcome {
                pipeline.ring(committed);
            }
            // Nobody listens when the caller was dropped; the write and its observers are done all the same.
            drop(answer.send(outcome));
        })?;
        answered.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::OutcomeUnknown,
                "an observer of the commit failed before its outcome was told",
            ))
        })
    }

    /// Where something was changed, the relay of this process need not wait for its next look.
    pub(super) fn ring(&self, committed: &Committed) {
        if let Some(wake) = &self.wake
            && !committed.versions.is_empty()
        {
            wake.ring();
        }
    }

    /// Waits for the writes that are under way; later ones are refused.
    pub(super) async fn close(&self) {
        self.tasks.close().await;
    }
}

async fn observed(
    observers: &[Arc<dyn CommitObserver>],
    store: &dyn Store,
    set: WriteSet,
    deadline: Deadline,
) -> Result<Committed> {
    let keys = set.touched();
    for (told, observer) in observers.iter().enumerate() {
        if let Err(error) = ready(&**observer, &keys, deadline).await {
            abort(&observers[..told], &keys, Aborted::Refused).await;
            return Err(error);
        }
    }
    let outcome = store.commit(set, deadline).await;
    match &outcome {
        Ok(committed) if committed.replay.is_none() => after(observers, committed).await,
        // A repetition wrote nothing: what the observers prepared for these keys did not happen.
        Ok(_) => abort(observers, &keys, Aborted::Refused).await,
        Err(error) => abort(observers, &keys, certainty(error)).await,
    }
    outcome
}

/// Tells one observer what will be written, and waits until it is ready for that.
pub(super) async fn ready(
    observer: &dyn CommitObserver,
    keys: &[(Aggregate, RowKey)],
    deadline: Deadline,
) -> Result<()> {
    let ready = deadline.bound(observer.before(keys, deadline)).await;
    ready.unwrap_or_else(|| {
        Err(Error::new(
            ErrorKind::Timeout,
            "an observer was not ready in time",
        ))
    })
}

/// Tells what was committed.
pub(super) async fn after(observers: &[Arc<dyn CommitObserver>], committed: &Committed) {
    for observer in observers {
        observer.after(committed).await;
    }
}

/// Tells that nothing was committed, as far as is known.
pub(super) async fn abort(observers: &[Arc<dyn CommitObserver>], keys: &[(Aggregate, RowKey)], why: Aborted) {
    for observer in observers {
        observer.aborted(keys, why).await;
    }
}

/// Whether a commit that failed may have been, or be, written all the same.
fn certainty(error: &Error) -> Aborted {
    match error.kind() {
        // An internal error of a store may have struck after the database's COMMIT.
        ErrorKind::OutcomeUnknown | ErrorKind::Internal => Aborted::Unknown,
        _ => Aborted::Refused,
    }
}

/// The tasks under way; `None` once closed.
#[derive(Debug)]
pub(super) struct Tasks(Mutex<Option<JoinSet<()>>>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tasks) = tasks.as_mut() else {
            return Err(Error::new(ErrorKind::Unavailable, "the shop is closed"));
        };
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
        Ok(())
    }

    /// Runs a task on this runtime that tells observers an outcome; once closed nobody waits for it, but it is told
    /// all the same.
    pub(super) fn spawn_on(&self, task: impl Future<Output = ()> + Send + 'static, runtime: &Handle) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match tasks.as_mut() {
            Some(tasks) => {
                while tasks.try_join_next().is_some() {}
                tasks.spawn_on(task, runtime);
            }
            None => drop(runtime.spawn(task)),
        }
    }

    async fn close(&self) {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tasks) = tasks {
            while tasks.join_next().await.is_some() {}
        }
    }
}
