//! Several processes on one shop: one feeds a sink at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::carts;
use super::policy;
use super::recorder::Recorder;
use crate::SqliteOptions;
use crate::SqliteStore;
use crate::changes::SinkPolicy;
use crate::shop::Builder;
use crate::shop::Stockroom;

/// A folder with one shop's file, gone in the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("stockroom-changes-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn url(&self) -> String {
        format!("sqlite://{}/shop.db", self.0.display())
    }

    pub(super) fn shop(&self) -> Builder {
        Stockroom::builder().url(self.url())
    }

    /// A shop, and the clock of its store.
    async fn open(&self, recorder: &Arc<Recorder>, policy: SinkPolicy) -> (Stockroom, Arc<SqliteStore>) {
        let store = Arc::new(SqliteStore::open(SqliteOptions::new(self.url())).await.unwrap());
        let shop = Stockroom::builder()
            .store_arc(store.clone())
            .sink_with("log", recorder.clone(), policy)
            .open()
            .await
            .unwrap();
        (shop, store)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What another process commits is found by polling.
fn polling() -> SinkPolicy {
    policy().poll(Duration::from_millis(2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_two_processes_feeds_and_the_other_takes_over_at_a_clean_end() {
    let folder = Folder::new();
    let (first, second) = (Recorder::new(), Recorder::new());
    // Long enough for a loaded machine to renew in time.
    let lease = Duration::from_secs(6);
    let (one, _) = folder.open(&first, polling().lease(lease)).await;
    carts(&one, 3).await;
    first.until(3).await;
    let (two, _) = folder.open(&second, polling().lease(lease)).await;
    carts(&two, 3).await;
    first.until(6).await;
    // What was delivered is saved a moment later.
    first
        .until_some(|| async {
            let status = one.changes().status().await.unwrap();
            status.into_iter().filter(|sink| sink.delivered >= 6).collect()
        })
        .await;
    assert_eq!(second.seen().len(), 0);
    one.close().await;
    carts(&two, 3).await;
    let seen = second.until(3).await;
    assert_eq!(
        seen.len(),
        3,
        "what was delivered before the end does not come again"
    );
    assert!(second.fences()[0] > first.fences()[0]);
    two.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_process_takes_over_when_a_lease_runs_out() {
    let folder = Folder::new();
    let (first, second) = (Recorder::new(), Recorder::new());
    let (one, _) = folder.open(&first, polling()).await;
    carts(&one, 3).await;
    first.until(3).await;
    // Dropped without an end, as a process that is killed: its lease goes on for an hour.
    drop(one);
    let (two, clock) = folder
        .open(&second, polling().lease(Duration::from_millis(30)))
        .await;
    carts(&two, 2).await;
    clock.shift_clock(Duration::from_secs(3_601));
    second.until_distinct(2).await;
    second.assert_ordered();
    two.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_lost_its_lease_stops_delivering() {
    let folder = Folder::new();
    let (slow, fast) = (Recorder::new(), Recorder::new());
    slow.set(super::Mood::Down);
    let (one, _) = folder
        .open(&slow, polling().lease(Duration::from_millis(60)))
        .await;
    carts(&one, 3).await;
    slow.until_calls(1).await;
    // To this process the other's lease is over at once.
    let (two, clock) = folder.open(&fast, polling().lease(Duration::from_secs(6))).await;
    clock.shift_clock(Duration::from_secs(3_600));
    fast.until_distinct(3).await;
    // It hears of it when it renews its lease, in the middle of its delivery.
    slow.until_some(|| async {
        let status = one.changes().status().await.unwrap();
        status.into_iter().filter(|sink| !sink.feeding).collect()
    })
    .await;
    slow.set(super::Mood::Works);
    carts(&two, 3).await;
    fast.until_distinct(6).await;
    assert_eq!(slow.seen().len(), 0);
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_not_delivered_when_a_process_ended_comes_again() {
    let folder = Folder::new();
    let (down, up) = (Recorder::new(), Recorder::new());
    down.set(super::Mood::Down);
    let (one, _) = folder.open(&down, polling()).await;
    carts(&one, 3).await;
    down.until_calls(3).await;
    one.close().await;
    let (two, _) = folder.open(&up, polling()).await;
    up.until_distinct(3).await;
    up.assert_ordered();
    two.close().await;
}
