//! Which store shall hold which aggregate: said to the builder, checked when the shop is opened.
//!
//! What would fail at the first call, or go wrong without failing, is refused here: a store that cannot hold what is placed
//! on it, a checkout whose parts could not be committed together, carts that nobody could close.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::builder::Source;
use super::builder::config;
use crate::changes::Changes;
use crate::changes::Origin;
use crate::changes::Sink;
use crate::changes::SinkPolicy;
use crate::checkout::CartCloser;
use crate::error::Result;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::Clock;
use crate::resilience::Backoff;
use crate::resilience::Deadline;
use crate::spi::store::Store;
use crate::transaction::BoxFuture;
use crate::transaction::Context;
use crate::transaction::Home;
use crate::transaction::Placement;
use crate::transaction::parts;

/// What an order, its payment and its stock are written in: one commit.
const ONE_COMMIT: [Aggregate; 3] = [Aggregate::Order, Aggregate::Payment, Aggregate::Level];

/// How long an order in parts may take before it is given up: as long as a payment holds its stock.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Orders that the effect looks at in one delivery: each may cost it a few round trips.
const BATCH: usize = 100;

/// Pauses of the effect while the carts' store is down: customers wait for it to come back.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));

/// Aggregates and the store that shall hold them.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) source: Source,
}

impl Builder {
    /// Another store for some of the aggregates; may be called more than once. Whatever is not placed lies in the store that
    /// [`url`](Self::url) or [`store`](Self::store) names.
    ///
    /// - Orders, payments and levels change in one commit, and lie in one store. Carts and products may lie anywhere.
    /// - What is written at once, and what it rests on, must lie in one store: else it is `Unsupported`, before anything is
    ///   written.
    /// - Where carts lie apart from orders, the checkout closes them after its commit. An effect that the feed of the orders
    ///   drives does so where the checkout did not come to it; what was added meanwhile moves to a new cart. So one
    ///   process at least must work in the background. docs/placement.md thinks each case through.
    /// - Where products lie apart from levels, a list `in_stock` is `Unsupported`.
    /// - Sinks are given the changes of every store that has a feed; those of different stores in no order.
    /// - Placing does not move what is stored already.
    ///
    /// [`open`](Self::open) answers `Config` when the store cannot hold the aggregate, one is placed twice, orders, payments
    /// and levels are torn apart, or carts lie apart from orders whose store has no feed.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> stockroom::Result<()> {
    /// use stockroom::{Aggregate, Owner, SqliteOptions, SqliteStore, Stockroom};
    ///
    /// let shop = Stockroom::builder()
    ///     .url("sqlite::memory:")
    ///     .place([Aggregate::Cart], SqliteStore::open(SqliteOptions::new("sqlite::memory:")).await?)
    ///     .open()
    ///     .await?;
    /// let cart = shop.carts().create(Owner::Guest).await?;
    /// assert!(shop.carts().get(cart.id).await?.is_some());
    /// shop.close().await;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    pub fn place(self, aggregates: impl IntoIterator<Item = Aggregate>, store: impl Store + 'static) -> Self {
        self.place_arc(aggregates, Arc::new(store))
    }

    /// Another store for some of the aggregates, where it is shared: see [`place`](Self::place).
    ///
    /// - The same `Arc` again is the same store. Two stores on one database are two: nothing can be written to both at once.
    pub fn place_arc(
        mut self,
        aggregates: impl IntoIterator<Item = Aggregate>,
        store: Arc<dyn Store>,
    ) -> Self {
        self.placed.push(Placed {
            aggregates: aggregates.into_iter().collect(),
            source: Source::Store(store),
        });
        self
    }

    /// Another store for some of the aggregates, by its address: see [`place`](Self::place) and
    /// [`Stockroom::open`](super::Stockroom::open).
    ///
    /// - It is opened with the shop. The same address again is another store.
    /// - `redis://…` holds carts and nothing else; docs/redis-carts.md tells what is needed of the server.
    pub fn place_url(
        mut self,
        aggregates: impl IntoIterator<Item = Aggregate>,
        url: impl Into<String>,
    ) -> Self {
        self.placed.push(Placed {
            aggregates: aggregates.into_iter().collect(),
            source: Source::Url(url.into()),
        });
        self
    }
}

/// The checked placement.
pub(super) fn placement(
    main: Arc<dyn Store>,
    placed: Vec<(Vec<Aggregate>, Arc<dyn Store>)>,
) -> Result<Placement> {
    let mut known = BTreeSet::new();
    for (aggregates, _) in &placed {
        if aggregates.is_empty() {
            return Err(config(
                "a store is placed without an aggregate: name what it shall hold",
            ));
        }
        if let Some(twice) = aggregates.iter().find(|kind| !known.insert(**kind)) {
            return Err(config(format!("{twice} is placed twice: name one store for it")));
        }
    }
    let placement = Placement::new(main, placed);
    Aggregate::ALL
        .iter()
        .try_for_each(|kind| check_holds(placement.home(*kind), *kind))?;
    check_checkout(&placement)?;
    Ok(placement)
}

/// A store that does not hold an aggregate, or cannot read it, would fail at the first call; it fails here.
fn check_holds(home: &Home, kind: Aggregate) -> Result<()> {
    let readers = home.store.readers();
    let mut needed = vec![match kind {
        Aggregate::Product => ("products", readers.product.is_some()),
        Aggregate::Cart => ("carts", readers.cart.is_some()),
        Aggregate::Order => ("orders", readers.order.is_some()),
        Aggregate::Payment => ("payments", readers.payment.is_some()),
        Aggregate::Level => ("inventory", readers.inventory.is_some()),
    }];
    if kind == Aggregate::Order {
        // Idempotency keys lie with the orders that came of them, and what happened to an order can be asked for.
        needed.push(("unique keys", readers.claim.is_some()));
        needed.push(("history", readers.history.is_some()));
    }
    let capability = home.store.capability();
    needed.push((kind.as_str(), capability.holds(kind)));
    match needed.into_iter().find(|(_, present)| !present) {
        Some((what, _)) => Err(config(format!(
            "the store {} ({}) does not hold {what}: place {kind} on one that does",
            home.name, capability.engine
        ))),
        None => Ok(()),
    }
}

/// An order that could not be committed with its stock, or whose cart nobody could close, fails here.
fn check_checkout(placement: &Placement) -> Result<()> {
    let [order, others @ ..] = ONE_COMMIT;
    if let Some(torn) = others.into_iter().find(|kind| !placement.together(order, *kind)) {
        return Err(config(format!(
            "{order} lies in store {}, {torn} in store {}: a checkout writes order, payment and level in one commit, \
             place them on one store",
            placement.home(order).name,
            placement.home(torn).name
        )));
    }
    let Home { name, store, .. } = placement.home(order);
    let feeds = store.changes().is_some() && store.coordination().is_some();
    if !placement.together(order, Aggregate::Cart) && !feeds {
        return Err(config(format!(
            "carts lie apart from orders, and the store {name} ({}) has no feed of changes that would have them closed: \
             place carts and orders on one store",
            store.capability().engine
        )));
    }
    Ok(())
}

/// The effect that closes the carts of orders, fed from the orders' store alone.
pub(super) fn closing(context: &Context) -> Sink {
    let policy = SinkPolicy::new().batch(BATCH).pauses(PAUSES);
    let closer = Arc::new(CartCloser::new(context.clone()));
    let store = &context.placement().home(Aggregate::Order).name;
    Sink::new(CartCloser::NAME.to_owned(), closer, policy).of(store)
}

/// The effect that gives up orders in parts that nobody finishes.
pub(super) fn idle_orders(
    context: &Context,
) -> impl Fn(Deadline) -> BoxFuture<Result<u64>> + Send + Sync + use<> {
    let context = context.acting(Actor::system());
    move |deadline| {
        let context = context.clone();
        Box::pin(async move { parts::give_up(&context, IDLE, deadline).await })
    }
}

/// The feeds of all stores, for these sinks.
pub(super) fn changes(
    context: &Context,
    clock: &Arc<dyn Clock>,
    sinks: Vec<Sink>,
    deadline: Duration,
) -> Result<Changes> {
    let placement = context.placement();
    let homes = placement.homes().iter();
    let origins: Vec<_> = homes
        .map(|home| Origin {
            name: &home.name,
            store: &*home.store,
        })
        .collect();
    let keeper = &placement.home(Aggregate::Order).name;
    Changes::new(&origins, keeper, clock, sinks, deadline).map_err(|error| error.operation("open"))
}
