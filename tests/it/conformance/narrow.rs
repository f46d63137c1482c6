//! Stores that hold one aggregate run what concerns it: every case says what it needs.

use std::sync::Arc;

use async_trait::async_trait;
use stockroom::Result;
use stockroom::error::Error;
use stockroom::error::ErrorKind;
use stockroom::model::Aggregate;
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

use super::setups::InMemory;

/// A store that holds one aggregate, keeps no history and does not tell who holds a key.
#[derive(Debug)]
struct Narrow {
    inner: Arc<dyn Store>,
    capability: Capability,
    readers: Readers,
}

impl Narrow {
    fn new(inner: Arc<dyn Store>, only: &'static [Aggregate]) -> Self {
        let mut capability = Capability::new("narrow", only, inner.capability().limits);
        capability.product_lists = false;
        let (all, mut readers) = (inner.readers().clone(), Readers::default());
        match only {
            [Aggregate::Product] => readers.product = all.product,
            [Aggregate::Cart] => readers.cart = all.cart,
            [Aggregate::Order] => readers.order = all.order,
            [Aggregate::Payment] => readers.payment = all.payment,
            _ => readers.inventory = all.inventory,
        }
        Self {
            inner,
            capability,
            readers,
        }
    }
}

#[async_trait]
impl Store for Narrow {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn readers(&self) -> &Readers {
        &self.readers
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
        if let Some((foreign, _)) = set
            .touched()
            .iter()
            .find(|(kind, _)| !self.capability.holds(*kind))
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("no {foreign} is held here"),
            ));
        }
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

struct Only(&'static [Aggregate]);

#[async_trait]
impl Setup for Only {
    async fn fresh(&self) -> Result<Harness> {
        let only = self.0;
        Ok(InMemory
            .fresh()
            .await?
            .wrapped(move |store| Arc::new(Narrow::new(store, only))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_of_one_aggregate_runs_what_concerns_it() {
    const KINDS: [&[Aggregate]; 5] = [
        &[Aggregate::Product],
        &[Aggregate::Cart],
        &[Aggregate::Order],
        &[Aggregate::Payment],
        &[Aggregate::Level],
    ];
    for only in KINDS {
        let report = conformance::run(&Only(only), &Options::new()).await;
        println!("{only:?}\n{report}\n");
        assert_eq!(
            report.failed().map(ToString::to_string).collect::<Vec<_>>(),
            Vec::<String>::new()
        );
        assert!(
            report.passed().count() >= 20,
            "{only:?}: {}",
            report.passed().count()
        );
        assert!(
            report.excluded().count() >= 80,
            "{only:?}: {}",
            report.excluded().count()
        );
    }
}
