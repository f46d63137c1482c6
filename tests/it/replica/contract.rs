//! Where a commit waits for the replica, the replica's readers pass the contract of a store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::Result;
use stockroom::resilience::Deadline;
use stockroom::spi::changes::ChangeSource;
use stockroom::spi::changes::Coordination;
use stockroom::spi::store::Capability;
use stockroom::spi::store::Committed;
use stockroom::spi::store::Readers;
use stockroom::spi::store::Store;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::conformance;
use stockroom::testkit::conformance::Harness;
use stockroom::testkit::conformance::Options;
use stockroom::testkit::conformance::Setup;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Postgres;
use stockroom::testkit::proxy::Proxy;
use uuid::Uuid;

use super::LONG;
use crate::support::Ground;

/// A store all of whose readers are the tolerant ones.
#[derive(Debug)]
struct Late {
    inner: Arc<dyn Store>,
    readers: Readers,
}

#[async_trait]
impl Store for Late {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn tolerant(&self, bound: Duration) -> Option<Readers> {
        self.inner.tolerant(bound)
    }

    fn epoch(&self) -> i64 {
        self.inner.epoch()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        self.inner.changes()
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

/// Fresh stores beside a replica.
struct Beside {
    writer: String,
    replica: String,
}

#[async_trait]
impl Setup for Beside {
    async fn fresh(&self) -> Result<Harness> {
        let schema = format!("late_{}", Uuid::now_v7().simple());
        let options = PostgresOptions::new(&self.writer)
            .schema(schema)
            .replica(&self.replica);
        let store = Arc::new(PostgresStore::connect(options).await?);
        let clock = Arc::clone(&store);
        let harness = Harness::new(store, move |by| clock.shift_clock(by));
        Ok(harness.wrapped(|inner| {
            let readers = inner.tolerant(LONG).unwrap();
            Arc::new(Late { inner, readers })
        }))
    }
}

/// Where a commit waits until the replica shows it, the replica's answers are those of the contract.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_over_a_replica_conform() {
    let Some(writer) = engines::require(Postgres::spawn().await).unwrap() else {
        return;
    };
    let replica = writer.replica().await.unwrap();
    let ground = Ground::at(writer.url());
    ground
        .plain("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
        .await;
    writer.wait_for_replicas().await.unwrap();
    let to_replica = Proxy::start(replica.address()).await.unwrap();
    let setup = Beside {
        writer: writer.url().to_owned(),
        replica: replica.url_through(to_replica.address()),
    };
    let report = conformance::run(&setup, &Options::new()).await;
    println!(
        "\nPostgreSQL read from a replica\n{report}\n{:?}",
        to_replica.counts()
    );
    let failures: Vec<_> = report
        .failed()
        .chain(report.excluded())
        .map(ToString::to_string)
        .collect();
    assert_eq!(failures, Vec::<String>::new());
    assert!(
        to_replica.counts().round_trips > 500,
        "the replica was hardly asked"
    );
}
