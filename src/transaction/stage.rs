//! What a unit of work staged for a transaction of the caller's own, and what became of it there.
//!
//! The shop cannot see the caller's COMMIT. So the caller tells: [`Pending::done`] after it, or nothing. Observers hear
//! exactly one of `after` and `aborted` for each `before`, whatever the caller does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::pipeline::Pipeline;
use super::pipeline::abort;
use super::pipeline::after;
use super::pipeline::ready;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::store::Aborted;
use crate::spi::store::CommitObserver;
use crate::spi::store::Committed;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// The writes of a unit of work, planned but not sent: made by [`Stockroom::stage`](crate::Stockroom::stage).
///
/// - Joined to a transaction by `PostgresStore::join` or `SqliteStore::join`; dropped instead, nothing happens.
/// - It rests on what the closure read; the longer it waits, the likelier the join is a `Conflict`.
#[must_use = "what is staged is written when it is joined to a transaction"]
pub struct Staged<T> {
    set: WriteSet,
    value: T,
    store: Arc<dyn Store>,
    pipeline: Pipeline,
    deadline: Duration,
}

impl<T> Staged<T> {
    pub(super) fn new(
        set: WriteSet,
        value: T,
        store: Arc<dyn Store>,
        pipeline: Pipeline,
        deadline: Duration,
    ) -> Self {
        Self {
            set,
            value,
            store,
            pipeline,
            deadline,
        }
    }

    /// What the closure gave.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The instant by which a join that starts now has to answer.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only engines of SQL are joined")
    )]
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::within(self.deadline)
    }

    /// Whether this is the store that the set was made for.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only engines of SQL are joined")
    )]
    pub(crate) fn is_for(&self, store: &dyn Store) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.store), store)
    }

    /// The set, the closure's value, and who is told.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only engines of SQL are joined")
    )]
    pub(crate) fn into_parts(self) -> (WriteSet, T, Telling) {
        let telling = Telling::new(self.pipeline, &self.set);
        (self.set, self.value, telling)
    }
}

impl<T> fmt::Debug for Staged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("touches", &self.set.touched())
            .finish_non_exhaustive()
    }
}

/// Writes that are in the caller's transaction and become true with its COMMIT.
///
/// - [`done`](Self::done), called after the COMMIT, tells the observers at once. Dropped instead, as after a rollback,
///   they are told that nothing is known of the write, and whatever follows the change feed learns of it there.
/// - The rows stay locked until the transaction ends; other writes to them wait.
#[must_use = "call done() after the commit of the transaction"]
pub struct Pending<T> {
    committed: Committed,
    value: T,
    telling: Telling,
}

impl<T> Pending<T> {
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only engines of SQL are joined")
    )]
    pub(crate) fn new(committed: Committed, value: T, telling: Telling) -> Self {
        Self {
            committed,
            value,
            telling,
        }
    }

    /// What will be true after the COMMIT: the new versions, or the replay of an idempotency key.
    pub fn committed(&self) -> &Committed {
        &self.committed
    }

    /// What the closure gave.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Tells that the transaction was committed, and gives what the closure gave. Call it after a COMMIT that succeeded,
    /// and only then.
    ///
    /// # Cancel safety
    /// The observers are told by a task of the shop: dropping the future only means not to wait for them.
    pub async fn done(self) -> T {
        self.telling.committed(self.committed).await;
        self.value
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("committed", &self.committed)
            .finish_non_exhaustive()
    }
}

/// The observers of one write in a transaction of the caller: those that were told `before` are told the outcome, and
/// when nobody says one, `aborted`.
pub(crate) struct Telling {
    pipeline: Pipeline,
    keys: Vec<(Aggregate, RowKey)>,
    /// Observers that are ready, from the first; they are to hear the outcome.
    told: usize,
    /// Where to tell the outcome from: the last owner may be dropped outside of a runtime.
    runtime: Option<Handle>,
}

impl Telling {
    fn new(pipeline: Pipeline, set: &WriteSet) -> Self {
        Self {
            // A set that writes nothing concerns nobody.
            keys: if set.is_read_only() {
                Vec::new()
            } else {
                set.touched()
            },
            pipeline,
            told: 0,
            runtime: Handle::try_current().ok(),
        }
    }

    /// Tells the observers what will be written.
    ///
    /// # Errors
    /// The first error of an observer, or `Timeout`; those before it hear `aborted` when this is dropped.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only engines of SQL are joined")
    )]
    pub(crate) async fn before(&mut self, deadline: Deadline) -> Result<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let observers = Arc::clone(&self.pipeline.observers);
        for observer in observers.iter() {
            ready(&**observer, &self.keys, deadline).await?;
            self.told += 1;
        }
        Ok(())
    }

    /// The write is true: this is called once after each COMMIT of a caller that says so.
    async fn committed(mut self, committed: Committed) {
        self.pipeline.ring(&committed);
        if committed.replay.is_some() {
            // A repetition wrote nothing: what the observers prepared for these keys did not happen.
            return self.aborted().await;
        }
        let observers = self.take_told();
        self.tell(async move { after(&observers, &committed).await })
            .await;
    }

    /// The write did not happen.
    pub(crate) async fn aborted(mut self) {
        let (observers, keys) = (self.take_told(), std::mem::take(&mut self.keys));
        self.tell(async move { abort(&observers, &keys, Aborted::Refused).await })
            .await;
    }

    /// Runs to its end in a task of the pipeline, also when the caller does not wait for it.
    async fn tell(&self, outcome: impl Future<Output = ()> + Send + 'static) {
        let (ended, end) = oneshot::channel::<()>();
        self.spawn(async move {
            outcome.await;
            drop(ended);
        });
        // The sender is dropped when all were told.
        let _ = end.await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            self.pipeline.tasks.spawn_on(task, runtime);
        }
    }

    /// Those who are owed an outcome; from here on they are somebody else's to tell.
    fn take_told(&mut self) -> Vec<Arc<dyn CommitObserver>> {
        let told = std::mem::take(&mut self.told);
        self.pipeline.observers[..told].to_vec()
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if self.told == 0 {
            return;
        }
        let (observers, keys) = (self.take_told(), std::mem::take(&mut self.keys));
        // The caller's transaction may be committed and nobody told us.
        self.spawn(async move { abort(&observers, &keys, Aborted::Unknown).await });
    }
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling")
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
