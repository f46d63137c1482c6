//! A sink that keeps what it is given, and misbehaves on request.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::shop::Stockroom;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeSink;
use crate::spi::changes::Delivery;

/// How long a test waits for what must come.
const LIMIT: Duration = Duration::from_secs(60);

/// What the sink does with changes of the poisoned aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Works,
    /// It cannot work at all.
    Down,
    Refuses,
    Panics,
    Hangs,
}

#[derive(Debug)]
pub(super) struct Recorder {
    state: Mutex<State>,
    moved: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    poison: BTreeSet<Uuid>,
    seen: Vec<Change>,
    fences: Vec<i64>,
    calls: usize,
    resets: usize,
}

impl Recorder {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                mood: Mood::Works,
                poison: BTreeSet::new(),
                seen: Vec::new(),
                fences: Vec::new(),
                calls: 0,
                resets: 0,
            }),
            moved: watch::Sender::new(()),
        })
    }

    /// In a mood that concerns single changes, everything waits until they are named.
    pub(super) fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub(super) fn poison(&self, id: Uuid) {
        self.state.lock().unwrap().poison.insert(id);
    }

    pub(super) fn seen(&self) -> Vec<Change> {
        self.state.lock().unwrap().seen.clone()
    }

    pub(super) fn fences(&self) -> Vec<i64> {
        self.state.lock().unwrap().fences.clone()
    }

    pub(super) fn resets(&self) -> usize {
        self.state.lock().unwrap().resets
    }

    /// Waits until so many changes were taken, repetitions included.
    pub(super) async fn until(&self, count: usize) -> Vec<Change> {
        self.wait(|state| state.seen.len() >= count).await;
        self.seen()
    }

    /// Waits until so many different changes were taken.
    pub(super) async fn until_distinct(&self, count: usize) {
        self.wait(|state| {
            let distinct: BTreeSet<_> = state
                .seen
                .iter()
                .map(|change| (change.key.clone(), change.version))
                .collect();
            distinct.len() >= count
        })
        .await;
    }

    pub(super) async fn until_version(&self, id: Uuid, version: u64) {
        self.wait(|state| {
            state
                .seen
                .iter()
                .any(|change| change.key.id() == Some(id) && change.version.get() == version)
        })
        .await;
    }

    pub(super) async fn until_calls(&self, calls: usize) {
        self.wait(|state| state.calls >= calls).await;
    }

    pub(super) async fn until_resets(&self, resets: usize) {
        self.wait(|state| state.resets >= resets).await;
    }

    /// Asks again until the answer is not empty.
    pub(super) async fn until_some<T, F>(&self, ask: impl Fn() -> F + Send + Sync) -> Vec<T>
    where
        T: Send,
        F: Future<Output = Vec<T>> + Send,
    {
        let asked = async {
            loop {
                let answer = ask().await;
                if !answer.is_empty() {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, asked).await.unwrap()
    }

    /// Waits until the sink has a place in the feed.
    pub(super) async fn until_checkpoint(&self, shop: &Stockroom, sink: &str) {
        let coordination = shop.store().coordination().unwrap();
        self.until_some(|| async {
            let report = coordination.report(sink, Deadline::within(LIMIT)).await.unwrap();
            report
                .checkpoints
                .into_iter()
                .filter(|checkpoint| checkpoint.position.is_some())
                .collect()
        })
        .await;
    }

    /// Each aggregate's changes came in order: a new version is one higher than the highest before, an older one is a
    /// repetition.
    pub(super) fn assert_ordered(&self) {
        let mut highest = BTreeMap::new();
        for change in self.seen() {
            let last = highest.entry((change.aggregate, change.key.clone())).or_insert(0);
            let version = change.version.get();
            assert!(version <= *last + 1, "{change:?} came after version {last}");
            *last = version.max(*last);
        }
    }

    async fn wait(&self, done: impl Fn(&State) -> bool + Send + Sync) {
        let mut moved = self.moved.subscribe();
        let waited = async {
            loop {
                moved.borrow_and_update();
                if done(&self.state.lock().unwrap()) {
                    return;
                }
                moved.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(LIMIT, waited).await.is_err() {
            panic!("it did not come: {:?}", self.state.lock().unwrap());
        }
    }

    /// What the mood says about these changes.
    fn judge(&self, changes: &[Change]) -> Mood {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        if state.mood == Mood::Works || state.mood == Mood::Down {
            return state.mood;
        }
        if state.poison.is_empty() {
            return Mood::Down;
        }
        let bad = changes
            .iter()
            .any(|change| change.key.id().is_some_and(|id| state.poison.contains(&id)));
        if bad { state.mood } else { Mood::Works }
    }
}

#[async_trait]
impl ChangeSink for Recorder {
    async fn deliver(&self, delivery: Delivery<'_>, _: Deadline) -> Result<()> {
        let mood = self.judge(delivery.changes);
        self.moved.send_replace(());
        match mood {
            Mood::Works => {
                let mut state = self.state.lock().unwrap();
                state.seen.extend_from_slice(delivery.changes);
                state.fences.push(delivery.fence);
                drop(state);
                self.moved.send_replace(());
                Ok(())
            }
            Mood::Down => Err(Error::new(ErrorKind::Unavailable, "not now")),
            Mood::Refuses => Err(Error::invalid("change", "never")),
            Mood::Panics => panic!("a sink that panics"),
            Mood::Hangs => std::future::pending().await,
        }
    }

    async fn reset(&self, _: Deadline) -> Result<()> {
        self.state.lock().unwrap().resets += 1;
        self.moved.send_replace(());
        Ok(())
    }
}
