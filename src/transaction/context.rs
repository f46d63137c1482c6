//! What every call works with: the stores, the clock, the observers, who acts and how long it may take.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::pipeline::Pipeline;
use super::placement::Placement;
use super::stage::Staged;
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
use crate::spi::store::WriteSet;

/// A future that owns what it works on.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a shop was opened with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) placement: Placement,
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
    tolerant: Option<Arc<[Readers]>>,
    actor: Actor,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    placement: Placement,
    clock: Arc<dyn Clock>,
    pipeline: Pipeline,
    cart_expiry: Duration,
    currency: Currency,
}

impl Context {
    pub(crate) fn new(settings: Settings, deadline: Duration) -> Self {
        let shared = Shared {
            placement: settings.placement,
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
            tolerant: self.placement().tolerant(bound),
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

    /// Which store holds which aggregate.
    pub(crate) fn placement(&self) -> &Placement {
        &self.shared.placement
    }

    /// The readers behind what repositories return, and nothing else: these answers may be as old as the caller allowed.
    /// Whatever a write or a decision rests on is read through the methods below.
    pub(crate) fn shown(&self, aggregate: Aggregate) -> &Readers {
        match &self.tolerant {
            Some(readers) => self.placement().among(readers, aggregate),
            None => self.placement().readers(aggregate),
        }
    }

    pub(crate) fn products(&self) -> Result<&Arc<dyn ProductReader>> {
        self.placement().readers(Aggregate::Product).product()
    }

    pub(crate) fn carts(&self) -> Result<&Arc<dyn CartReader>> {
        self.placement().readers(Aggregate::Cart).cart()
    }

    pub(crate) fn orders(&self) -> Result<&Arc<dyn OrderReader>> {
        self.placement().readers(Aggregate::Order).order()
    }

    pub(crate) fn payments(&self) -> Result<&Arc<dyn PaymentReader>> {
        self.placement().readers(Aggregate::Payment).payment()
    }

    pub(crate) fn inventory(&self) -> Result<&Arc<dyn InventoryReader>> {
        self.placement().readers(Aggregate::Level).inventory()
    }

    /// Unique keys and idempotency keys lie where the aggregate lies that they are for.
    pub(crate) fn claims(&self, aggregate: Aggregate) -> Result<&Arc<dyn ClaimReader>> {
        self.placement().readers(aggregate).claim()
    }

    /// An empty write set by who acts, of now: what is restored before it commits makes it a conflict.
    pub(crate) fn write_set(&self) -> WriteSet {
        let mut set = WriteSet::new(self.actor.clone());
        set.epoch = self.placement().epoch();
        set
    }

    /// The one way in: see [`Pipeline::commit`].
    pub(crate) async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let mut set = set.plan()?;
        let store = self.placement().route(&mut set)?;
        self.shared.pipeline.commit(store, set, deadline).await
    }

    /// Asks whether what was read still holds, in whatever stores it lies.
    pub(crate) async fn check(&self, set: WriteSet, deadline: Deadline) -> Result<()> {
        if set.reads.is_empty() {
            return Ok(());
        }
        if self.placement().homes().len() == 1 {
            return self.commit(set, deadline).await.map(drop);
        }
        for part in self.placement().split(&set) {
            self.commit(part, deadline).await?;
        }
        Ok(())
    }

    /// The one write path to the store of an aggregate, for a task of the shop, which must not keep the shop itself alive.
    pub(crate) fn write_path(
        &self,
        aggregate: Aggregate,
    ) -> impl Fn(WriteSet, Deadline) -> BoxFuture<Result<Committed>> + Send + Sync + use<> {
        let store = Arc::clone(self.placement().store(aggregate));
        let pipeline = self.shared.pipeline.clone();
        move |set, deadline| {
            let (pipeline, store) = (pipeline.clone(), Arc::clone(&store));
            Box::pin(async move { pipeline.commit(&store, set.plan()?, deadline).await })
        }
    }

    /// Plans a set that a transaction of the caller is to carry.
    pub(crate) fn stage<T>(&self, set: WriteSet, value: T) -> Result<Staged<T>> {
        let mut set = set.plan()?;
        let store = Arc::clone(self.placement().route(&mut set)?);
        Ok(Staged::new(
            set,
            value,
            store,
            self.shared.pipeline.clone(),
            self.deadline,
        ))
    }

    /// Waits for the writes that are under way, then closes the stores.
    pub(crate) async fn close(&self) {
        self.shared.pipeline.close().await;
        for home in self.placement().homes() {
            home.store.close().await;
        }
    }
}
