//! A feed whose partitions split and merge.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::policy;
use super::recorder::Recorder;
use crate::SqliteOptions;
use crate::SqliteStore;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::shop::Stockroom;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::store::Capability;
use crate::spi::store::Committed;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;
use crate::testkit::Sharded;
use crate::testkit::fixtures::order_id;

/// A store with another feed than its own.
#[derive(Debug)]
struct Fed {
    inner: SqliteStore,
    feed: Sharded,
}

#[async_trait]
impl Store for Fed {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn readers(&self) -> &Readers {
        self.inner.readers()
    }

    fn tolerant(&self, bound: Duration) -> Option<Readers> {
        self.inner.tolerant(bound)
    }

    fn epoch(&self) -> i64 {
        self.inner.epoch()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        Some(Arc::new(self.feed.clone()))
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        self.inner.coordination()
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        self.inner.commit(set, deadline).await
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        self.inner.after_restore(deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.inner.ping(deadline).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

fn change(seed: u64, version: u64) -> Change {
    Change {
        aggregate: Aggregate::Order,
        key: RowKey::Id(order_id(seed).uuid()),
        version: Version::from(version),
        action: ChangeAction::Put,
        actor: "system".to_owned(),
        at: from_micros(1_700_000_000_000_000).unwrap(),
        events: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn children_follow_their_parents_in_order() {
    let feed = Sharded::new();
    let recorder = Recorder::new();
    let mut version = 0;
    let mut append = |rounds: u64| {
        for _ in 0..rounds {
            version += 1;
            (1..=9).for_each(|seed| feed.append(change(seed, version)));
        }
    };
    // Much of the past, over three generations of partitions, before anybody reads.
    append(5);
    feed.reshard(4);
    append(5);
    feed.reshard(2);
    append(5);
    let store = Fed {
        inner: SqliteStore::open(SqliteOptions::new("sqlite::memory:"))
            .await
            .unwrap(),
        feed: feed.clone(),
    };
    let shop = Stockroom::builder()
        .store(store)
        .sink_with("log", recorder.clone(), policy().poll(Duration::from_millis(2)))
        .open()
        .await
        .unwrap();
    recorder.until_distinct(9 * 15).await;
    // And under way.
    for count in [3, 1, 5] {
        append(3);
        feed.reshard(count);
        append(3);
    }
    recorder.until_distinct(9 * 33).await;
    recorder.assert_ordered();
    shop.close().await;
}
