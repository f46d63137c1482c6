//! What a case works with: a fresh store, its clock, and short ways to write and read.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::CaseResult;
use super::check::present;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::store::Committed;
use crate::spi::store::Delete;
use crate::spi::store::Delta;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;

/// Longest that a single call of a case may take.
const CALL: Duration = Duration::from_secs(20);

/// What is put as a whole, in the order in which a case that can take any of them prefers it.
pub(super) const PUT: [Aggregate; 4] = [
    Aggregate::Product,
    Aggregate::Cart,
    Aggregate::Order,
    Aggregate::Payment,
];

/// Makes stores for the suite.
#[async_trait]
pub trait Setup: Send + Sync {
    /// A fresh, empty store; each case gets its own.
    ///
    /// # Errors
    /// Whatever keeps the store from opening: every case then fails with it.
    async fn fresh(&self) -> Result<Harness>;
}

/// A fresh store and the handle of its clock.
pub struct Harness {
    store: Arc<dyn Store>,
    shift: Arc<dyn Fn(Duration) + Send + Sync>,
    again: Option<Again>,
}

/// Opens the same shop again.
type Again = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Arc<dyn Store>>> + Send>> + Send + Sync>;

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Harness {
    /// A harness of this store; `shift` moves the store's clock forward for everything that follows.
    pub fn new(store: Arc<dyn Store>, shift: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self {
            store,
            shift: Arc::new(shift),
            again: None,
        }
    }

    /// The same shop can be opened again, as by another process.
    ///
    /// - Without this, cases about two processes use the one store twice, as it is right for a shop in memory.
    #[must_use]
    pub fn opened_again<F>(mut self, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Arc<dyn Store>>> + Send + 'static,
    {
        self.again = Some(Arc::new(move || Box::pin(open())));
        self
    }

    /// The shop as another process has it.
    pub(super) async fn another(&self) -> Result<Arc<dyn Store>> {
        match &self.again {
            Some(open) => open().await,
            None => Ok(Arc::clone(&self.store)),
        }
    }

    /// The same clock with another store in front, as a wrapper needs it.
    #[must_use]
    pub fn wrapped(self, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        Self {
            store: wrap(self.store),
            shift: self.shift,
            again: self.again,
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Moves the store's clock forward.
    pub fn shift(&self, by: Duration) {
        (self.shift)(by);
    }

    /// An aggregate that the store holds, for cases that can take any of them.
    pub(super) fn any(&self) -> CaseResult<Aggregate> {
        let held = PUT.into_iter().find(|kind| self.store.capability().holds(*kind));
        present(held, "an aggregate that is put")
    }

    /// The deadline of one call.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::within(CALL)
    }

    pub(super) async fn commit(&self, set: WriteSet) -> Result<Committed> {
        self.store.commit(set, self.deadline()).await
    }

    pub(super) async fn put(&self, put: Put) -> Result<Committed> {
        let mut set = set();
        set.put(put);
        self.commit(set).await
    }

    pub(super) async fn create(&self, record: impl Into<Record>) -> Result<Committed> {
        self.put(Put::create(record)).await
    }

    pub(super) async fn delta(&self, delta: Delta) -> Result<Committed> {
        let mut set = set();
        set.delta(delta);
        self.commit(set).await
    }

    pub(super) async fn step(&self, step: StockStep) -> Result<Committed> {
        self.delta(Delta::Stock(step)).await
    }

    /// Receives units at the location `main`.
    pub(super) async fn receive(&self, sku: &Sku, units: i64) -> Result<LocationId> {
        let main = fixtures::location("main")?;
        self.step(StockStep::receive(sku, &main, fixtures::quantity(units)?))
            .await?;
        Ok(main)
    }

    /// The level of this SKU at this location.
    pub(super) async fn level(&self, sku: &Sku, location: &LocationId) -> CaseResult<Option<Level>> {
        let levels = self
            .store
            .readers()
            .inventory()?
            .levels(std::slice::from_ref(sku), self.deadline())
            .await?;
        Ok(levels
            .into_iter()
            .find(|level| level.sku == *sku && level.location == *location))
    }

    /// The counters of a level that must be there: on hand, allocated, held.
    pub(super) async fn counters(&self, sku: &Sku, location: &LocationId) -> CaseResult<(i64, i64, i64)> {
        let level = present(self.level(sku, location).await?, "the level")?;
        Ok((level.on_hand, level.allocated, level.held))
    }

    /// An aggregate as the store gives it now.
    pub(super) async fn read(&self, kind: Aggregate, key: &RowKey) -> CaseResult<Option<Record>> {
        let id = match key {
            RowKey::Id(id) => *id,
            RowKey::Level(sku, location) => {
                return Ok(self
                    .level(sku, location)
                    .await?
                    .map(|level| Record::Level(Arc::new(level))));
            }
        };
        Ok(self.read_many(kind, &[id]).await?.into_iter().next().flatten())
    }

    /// Aggregates of one kind, as the store gives them in one read.
    pub(super) async fn read_many(&self, kind: Aggregate, ids: &[Uuid]) -> Result<Vec<Option<Record>>> {
        let (readers, deadline) = (self.store.readers(), self.deadline());
        Ok(match kind {
            Aggregate::Product => {
                let found = readers.product()?.get_many(&typed(ids), deadline).await?;
                found
                    .into_iter()
                    .map(|found| found.map(Record::Product))
                    .collect()
            }
            Aggregate::Cart => {
                let found = readers.cart()?.get_many(&typed(ids), deadline).await?;
                found.into_iter().map(|found| found.map(Record::Cart)).collect()
            }
            Aggregate::Order => {
                let found = readers.order()?.get_many(&typed(ids), deadline).await?;
                found.into_iter().map(|found| found.map(Record::Order)).collect()
            }
            Aggregate::Payment => {
                let found = readers.payment()?.get_many(&typed(ids), deadline).await?;
                found
                    .into_iter()
                    .map(|found| found.map(Record::Payment))
                    .collect()
            }
            Aggregate::Level => Vec::new(),
        })
    }

    /// An aggregate that must be there.
    pub(super) async fn stored(&self, record: &Record) -> CaseResult<Record> {
        present(
            self.read(record.aggregate(), &record.key()).await?,
            record.aggregate().as_str(),
        )
    }

    /// Fails when the store holds any of these.
    pub(super) async fn ensure_absent(&self, records: &[Record]) -> CaseResult {
        for record in records {
            let found = self.read(record.aggregate(), &record.key()).await?;
            super::check::absent(&found, record.aggregate().as_str())?;
        }
        Ok(())
    }

    /// Fails when the stored aggregate is not this one at this version.
    pub(super) async fn ensure_stored(&self, record: &Record, version: u64) -> CaseResult {
        let found = self.stored(record).await?;
        super::check::equal(
            &found,
            &record.clone().at_version(Version::from(version)),
            &"what is stored",
        )
    }
}

fn typed<T: From<Uuid>>(ids: &[Uuid]) -> Vec<T> {
    ids.iter().copied().map(T::from).collect()
}

/// An empty set by the system.
pub(super) fn set() -> WriteSet {
    WriteSet::new(Actor::system())
}

/// Replaces `old` at the version that is expected.
pub(super) fn replace(old: &Record, new: Record, expected: u64) -> Put {
    Put {
        record: new,
        expected: Some(Version::from(expected)),
        parts: Parts::Whole,
        previous: old.claims(),
        live: false,
    }
}

/// Removes `old` at the version that is expected.
pub(super) fn delete(old: &Record, expected: u64) -> Delete {
    Delete {
        aggregate: old.aggregate(),
        key: old.key(),
        expected: Version::from(expected),
        previous: old.claims(),
    }
}

/// Counts the answers that were accepted; any refusal of another kind than `kind` fails the case.
pub(super) fn accepted<T>(answers: &[Result<T>], kind: ErrorKind) -> CaseResult<usize> {
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        super::check::equal(&error.kind(), &kind, error)?;
    }
    Ok(answers.iter().filter(|answer| answer.is_ok()).count())
}

/// Runs the futures at once, each in its own task, and gives their answers in order.
pub(super) async fn at_once<T, F>(futures: impl IntoIterator<Item = F>) -> CaseResult<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(
            task.await
                .map_err(|error| super::Failure::new(format!("a task ended: {error}")))?,
        );
    }
    Ok(answers)
}
