//! What every call works with: the stores, the clock, the observers, who acts and how long it may take.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::pipeline::Pipeline;
use super::stage::Staged;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::Clock;
use crate::model::Currency;
use crate::model::Timestamp;
use crate::resilience::Deadline;
use crate::spi::changes::Wake;
use crate::spi::store::CartReader;
use crate::spi::store::ClaimReader;
use crate::spi::store::CommitObserver;
use crate::spi::store::Committed;
use crate::spi::store::InventoryReader;
use crate::spi::store::OrderReader;
use crate::spi::store::PaymentReader;
use crate::spi::store::ProductReader;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// A future that owns what it works on.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a shop was opened with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn CommitObserver>>,
    pub(crate) wake: Option<Wake>,
    pub(crate) cart_expiry: Duration,
    pub(crate) currency: Currency,
}

/// A shop as one caller sees it; clones share everything but actor, deadline and how old a read may be.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    shared: Arc<Shared>,
    tolerant: Option<Readers>,
    actor: Actor,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pipeline: Pipeline,
    cart_expiry: Duration,
    currency: Currency,
}

impl Context {
    pub(crate) fn new(settings: Settings, deadline: Duration) -> Self {
        let shared = Shared {
            store: settings.store,
            clock: settings.clock,
            pipeline: Pipeline::new(settings.observers, settings.wake),
            cart_expiry: settings.cart_expiry,
            currency: settings.currency,
        };
        Self {
            shared: Arc::new(shared),
            tolerant: None,
            actor: Actor::system(),
            deadline,
        }
    }

    pub(crate) fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    pub(crate) fn acting(&self, actor: Actor) -> Self {
        Self {
            actor,
            ..self.clone()
        }
    }

    pub(crate) fn stale_up_to(&self, bound: Duration) -> Self {
        Self {
            tolerant: self.shared.store.tolerant(bound),
            ..self.clone()
        }
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The instant by which a call that starts now has to answer.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::within(self.deadline)
    }

    /// How long a call may take. Who may not need a deadline asks for this, and reads the clock when it does.
    pub(crate) fn deadline_length(&self) -> Duration {
        self.deadline
    }

    /// Whether answers may be older than the store's.
    pub(crate) fn is_tolerant(&self) -> bool {
        self.tolerant.is_some()
    }

    /// The time for stamps; expiry and leases are the store's business.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn cart_expiry(&self) -> Duration {
        self.shared.cart_expiry
    }

    pub(crate) fn currency(&self) -> Currency {
        self.shared.currency
    }

    /// The system of record of an aggregate. One store holds them all until stores can be placed by
    /// aggregate; callers ask here, so that this stays the only place to change then.
    pub(crate) fn store_for(&self, _aggregate: Aggregate) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// The readers behind what repositories return, and nothing else: these answers may be as old as the caller allowed.
    /// Whatever a write or a decision rests on is read through the methods below.
    pub(crate) fn shown(&self, aggregate: Aggregate) -> &Readers {
        match &self.tolerant {
            Some(readers) => readers,
            None => self.store_for(aggregate).readers(),
        }
    }

    pub(crate) fn products(&self) -> Result<&Arc<dyn ProductReader>> {
        self.store_for(Aggregate::Product).readers().product()
    }

    pub(crate) fn carts(&self) -> Result<&Arc<dyn CartReader>> {
        self.store_for(Aggregate::Cart).readers().cart()
    }

    pub(crate) fn orders(&self) -> Result<&Arc<dyn OrderReader>> {
        self.store_for(Aggregate::Order).readers().order()
    }

    pub(crate) fn payments(&self) -> Result<&Arc<dyn PaymentReader>> {
        self.store_for(Aggregate::Payment).readers().payment()
    }

    pub(crate) fn inventory(&self) -> Result<&Arc<dyn InventoryReader>> {
        self.store_for(Aggregate::Level).readers().inventory()
    }

    /// Unique keys and idempotency keys lie where the aggregate lies that they are for.
    pub(crate) fn claims(&self, aggregate: Aggregate) -> Result<&Arc<dyn ClaimReader>> {
        self.store_for(aggregate).readers().claim()
    }

    /// An empty write set by who acts, in the store's epoch.
    pub(crate) fn write_set(&self) -> WriteSet {
        let mut set = WriteSet::new(self.actor.clone());
        set.epoch = self.shared.store.epoch();
        set
    }

    /// The one way in: see [`Pipeline::commit`].
    pub(crate) async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let set = set.plan()?;
        let store = self.store_of(&set)?;
        self.shared.pipeline.commit(store, set, deadline).await
    }

    /// The one write path for a task of the shop, which must not keep the shop itself alive.
    pub(crate) fn write_path(
        &self,
    ) -> impl Fn(WriteSet, Deadline) -> BoxFuture<Result<Committed>> + Send + Sync + use<> {
        let (pipeline, store) = (self.shared.pipeline.clone(), Arc::clone(&self.shared.store));
        move |set, deadline| {
            let (pipeline, store) = (pipeline.clone(), Arc::clone(&store));
            Box::pin(async move { pipeline.commit(&store, set.plan()?, deadline).await })
        }
    }

    /// Plans a set that a transaction of the caller is to carry.
    pub(crate) fn stage<T>(&self, set: WriteSet, value: T) -> Result<Staged<T>> {
        let set = set.plan()?;
        let store = Arc::clone(self.store_of(&set)?);
        Ok(Staged::new(
            set,
            value,
            store,
            self.shared.pipeline.clone(),
            self.deadline,
        ))
    }

    /// Waits for the writes that are under way, then closes the store.
    pub(crate) async fn close(&self) {
        self.shared.pipeline.close().await;
        self.shared.store.close().await;
    }

    /// The one store that holds all of a set.
    fn store_of(&self, set: &WriteSet) -> Result<&Arc<dyn Store>> {
        let reads = set.reads.iter().map(|read| read.aggregate);
        let mut stores = set
            .touched()
            .into_iter()
            .map(|(aggregate, _)| aggregate)
            .chain(reads);
        let Some(first) = stores.next().map(|aggregate| self.store_for(aggregate)) else {
            return Ok(&self.shared.store);
        };
        if stores.any(|aggregate| !Arc::ptr_eq(self.store_for(aggregate), first)) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "one write cannot span two stores",
            ));
        }
        Ok(first)
    }
}
