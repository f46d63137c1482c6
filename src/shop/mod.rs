//! The handle that applications hold: a shop, opened, with its repositories.

mod builder;
mod open;
mod place;

pub use builder::Builder;

use std::sync::Arc;
use std::time::Duration;

use crate::cache::ShopCache;
use crate::changes::Changes;
use crate::changes::Relay;
use crate::checkout::Checkout;
use crate::error::Error;
use crate::error::Result;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::repository::Carts;
use crate::repository::Inventory;
use crate::repository::Orders;
use crate::repository::Payments;
use crate::repository::Products;
use crate::spi::store::CommitStatus;
use crate::spi::store::Store;
use crate::transaction::Context;
use crate::transaction::Home;
use crate::transaction::Placement;
use crate::transaction::Staged;
use crate::transaction::Tx;
use crate::transaction::run;
use crate::transaction::stage;

/// A shop: its repositories, its checkout, its units of work.
///
/// - Clones are cheap and share everything. Repositories are borrowed from the handle; whoever needs to keep
///   one clones it.
/// - Every call has a deadline, 10 s unless told otherwise; [`with_deadline`](Self::with_deadline) gives a
///   handle with another.
/// - Every write is done by an actor, the system unless told otherwise, and is kept in the history under that
///   name.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use std::time::Duration;
/// use stockroom::{Actor, Owner, Stockroom, UserId};
///
/// let shop = Stockroom::open("sqlite::memory:").await?;
/// let user = UserId::new();
/// let theirs = shop.acting(Actor::user(user)).with_deadline(Duration::from_secs(2));
/// let cart = theirs.carts().create(Owner::User(user)).await?;
/// assert_eq!(shop.carts().active(user).await?.map(|found| found.id), Some(cart.id));
/// shop.close().await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Stockroom {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    context: Context,
    products: Products,
    carts: Carts,
    orders: Orders,
    payments: Payments,
    inventory: Inventory,
    checkout: Checkout,
    changes: Changes,
    relay: Arc<Relay>,
    cache: ShopCache,
}

impl Stockroom {
    /// Opens a shop by the address of its store: `sqlite://shop.db`, `sqlite::memory:`, `postgres://…`,
    /// `dynamodb://…`. A `redis://…` holds carts alone, and is for [`Builder::place_url`].
    ///
    /// - An empty database gets the schema; any other must have the schema of this version of the crate.
    ///
    /// # Errors
    /// - `Config` when no engine of this build knows the address, it is not a database of a shop, or its
    ///   schema does not fit.
    /// - `Unavailable`, `Unauthenticated` when the server cannot be reached or refuses.
    pub async fn open(url: &str) -> Result<Self> {
        Self::builder().url(url).open().await
    }

    /// A shop to be opened with more than an address.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn new(context: Context, changes: Changes, (relay, cache): (Arc<Relay>, ShopCache)) -> Self {
        let parts = Parts {
            products: Products::new(context.clone(), cache.products()),
            carts: Carts::new(context.clone(), cache.carts()),
            orders: Orders::new(context.clone()),
            payments: Payments::new(context.clone()),
            inventory: Inventory::new(context.clone()).with_hints(cache.hints()),
            checkout: Checkout::new(context.clone()),
            changes,
            relay,
            cache,
            context,
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// What every handle of the shop shares beside its context.
    fn tasks(&self) -> (Arc<Relay>, ShopCache) {
        (Arc::clone(&self.parts.relay), self.parts.cache.clone())
    }

    /// The cache of the shop, as it was named when it was opened: what it did, and whether it answers.
    pub fn cache(&self) -> &ShopCache {
        &self.parts.cache
    }

    /// The same shop with another deadline for each call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self::new(
            self.parts.context.with_deadline(deadline),
            self.parts.changes.with_deadline(deadline),
            self.tasks(),
        )
    }

    /// The same shop with this one acting: the name in the history, and the scope of idempotency keys.
    #[must_use]
    pub fn acting(&self, actor: Actor) -> Self {
        Self::new(
            self.parts.context.acting(actor),
            self.parts.changes.clone(),
            self.tasks(),
        )
    }

    /// The same shop for readers who may see what was so a while ago: its repositories' reads may come from a replica.
    ///
    /// - What was committed more than `bound` before an answer comes is in it, proven by positions in the log, whatever the
    ///   clocks of the servers say. Where the replica cannot prove that, being late, down or promoted, the writer answers.
    /// - Two reads may come from two servers: the second may be older than the first, both within the bound. What a caller
    ///   has just written may not be there yet.
    /// - What expires, such as carts, is judged by the clock of the server that answers.
    /// - It concerns what the repositories return. Units of work, the checkout with its quotes, `verify_ledger`, and
    ///   whatever a write rests on always read from the writer.
    /// - A store without a replica answers as ever. See `PostgresOptions::replica`.
    #[must_use]
    pub fn stale_up_to(&self, bound: Duration) -> Self {
        Self::new(
            self.parts.context.stale_up_to(bound),
            self.parts.changes.clone(),
            self.tasks(),
        )
    }

    /// What the shop offers.
    pub fn products(&self) -> &Products {
        &self.parts.products
    }

    /// What customers mean to buy.
    pub fn carts(&self) -> &Carts {
        &self.parts.carts
    }

    /// What customers have bought.
    pub fn orders(&self) -> &Orders {
        &self.parts.orders
    }

    /// What providers were asked for, and what they told.
    pub fn payments(&self) -> &Payments {
        &self.parts.payments
    }

    /// What there is, where it lies, and for whom it is kept.
    pub fn inventory(&self) -> &Inventory {
        &self.parts.inventory
    }

    /// From cart to order.
    pub fn checkout(&self) -> &Checkout {
        &self.parts.checkout
    }

    /// The feed of changes and its sinks.
    pub fn changes(&self) -> &Changes {
        &self.parts.changes
    }

    /// How the write path is doing in this process: batches, their sizes, how long writes wait; of all stores together.
    pub fn commits(&self) -> CommitStatus {
        let mut all = CommitStatus::default();
        for home in self.placement().homes() {
            all.merge(&home.store.commits());
        }
        all
    }

    /// The system of record: of several stores the one that holds the orders.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.store_of(Aggregate::Order)
    }

    /// The system of record of an aggregate: see [`Builder::place`].
    pub fn store_of(&self, aggregate: Aggregate) -> &Arc<dyn Store> {
        self.placement().store(aggregate)
    }

    fn placement(&self) -> &Placement {
        self.parts.context.placement()
    }

    /// Runs a closure as a unit of work over several aggregates: what it wrote is committed, all or none.
    ///
    /// - What the closure reads must still hold when it commits; else it is run again, up to eight times
    ///   within the deadline. It must therefore do nothing outside of the unit of work that may not be done
    ///   twice.
    /// - An error of the closure is given back only after what it read still holds: an error that rests on a
    ///   state that is gone runs it again.
    /// - Nothing is locked while the closure runs. Waiting in it makes conflicts more likely and blocks
    ///   nobody.
    /// - A [`Tx`] that outlives its closure is refused.
    /// - What it writes, and what that rests on, must lie in one store: see [`Builder::place`]. A closure that only reads may
    ///   read from several, and all of its reads held at one moment.
    ///
    /// # Errors
    /// - What the closure gives.
    /// - `Unsupported` when it writes, and concerns two stores; nothing is written then.
    /// - Those of the commit: `Conflict` when another one moved first each time, `NotFound`, `AlreadyExists`,
    ///   `InsufficientStock`, `TooLarge`, `Timeout`, `Unavailable`, `OutcomeUnknown`.
    /// - `InvalidInput` when one row was changed by a delta and then replaced.
    ///
    /// # Cancel safety
    /// Dropping the future before the commit changes nothing; during it, everything was written or nothing.
    pub async fn transaction<F, Fut, T, E>(&self, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<Error> + Send,
    {
        run(&self.parts.context, work).await
    }

    /// Tells the shop that its database was restored to an earlier point, so that whatever follows it does the same.
    ///
    /// - Call it once, after the restore and before the shop is used again.
    /// - The store's epoch rises: what was read before the restore cannot be written back any more, in any process, and
    ///   every sink forgets what it has and is given all changes that are kept.
    /// - With several stores the epoch of each rises, whichever was restored: what one of them lost, the effects that rest on
    ///   the others bring about again.
    /// - Returns the new epoch; of several stores the sum of theirs.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`; calling it again is harmless.
    pub async fn after_restore(&self) -> Result<i64> {
        let deadline = self.parts.context.deadline();
        let mut epoch = 0_i64;
        for home in self.placement().homes() {
            let raised = home.store.after_restore(deadline).await;
            epoch = epoch.saturating_add(raised.map_err(|error| self.of(home, error, "after_restore"))?);
        }
        Ok(epoch)
    }

    /// Runs a closure as a unit of work and commits nothing: what it staged is joined to a transaction of the caller's
    /// own, together with the caller's own tables.
    ///
    /// - Call it before the transaction begins: the closure's reads use the shop's connections. On SQLite a read or a
    ///   write of the shop would otherwise wait for a lock that the caller itself holds.
    /// - What is staged is given to `PostgresStore::join` or `SqliteStore::join`, of the very store that the shop was
    ///   opened with and that holds what was written: see [`Builder::store_arc`]. There its reads are checked, and its writes are done.
    /// - The closure runs again only where it fails and what it read no longer holds. A race that is lost later is a
    ///   `Conflict` of the join: roll back, stage again.
    ///
    /// # Errors
    /// - What the closure gives.
    /// - Those of the plan and of the check of the reads: see [`transaction`](Self::transaction).
    ///
    /// # Cancel safety
    /// Nothing is written. Dropping the future, or what it gave, changes nothing.
    pub async fn stage<F, Fut, T, E>(&self, work: F) -> Result<Staged<T>, E>
    where
        F: Fn(Tx) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: From<Error> + Send,
    {
        stage(&self.parts.context, work).await
    }

    /// Makes one round trip to the store; to each of several.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when it does not answer; of several stores the subject names the one that did not.
    pub async fn ping(&self) -> Result<()> {
        let deadline = self.parts.context.deadline();
        for home in self.placement().homes() {
            let answered = home.store.ping(deadline).await;
            answered.map_err(|error| self.of(home, error, "ping"))?;
        }
        Ok(())
    }

    /// An error of one store.
    fn of(&self, home: &Home, error: Error, operation: &'static str) -> Error {
        let error = error.operation(operation);
        if self.placement().homes().len() == 1 {
            return error;
        }
        error.concerning(format!("store {}", home.name))
    }

    /// Finishes the writes under way, ends the work in the background and closes the stores, for every clone of the handle.
    ///
    /// - Later calls are `Unavailable`.
    pub async fn close(&self) {
        self.parts.relay.close().await;
        self.parts.context.close().await;
        // Last: the writes that were under way have told it.
        self.parts.cache.close().await;
    }
}
