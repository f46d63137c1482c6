//! From cart to order: quote, hold, place, pay, resume, cancel.
//!
//! - An order, its stock, its payment and its cart change in one commit each time: no state in between can be
//!   read.
//! - Both ways to an order are named by a key of the caller: one order comes of a key, however often the call
//!   is made.

mod charge;
mod closing;
mod fingerprint;
mod once;
mod pay;
mod place;
mod quote;
mod resume;
mod settle;
mod source;
mod terms;

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "testkit"))]
mod tests;

pub use charge::Charge;
pub use charge::Due;
pub use charge::Paid;
pub use pay::Pay;
pub use place::Place;
pub use place::Placed;
pub use quote::Quote;
pub use quote::QuoteLine;

pub(crate) use closing::CartCloser;

use std::sync::Arc;
use std::time::Duration;

use once::Once;
use resume::Begun;

use crate::error::Error;
use crate::error::Result;
use crate::model::CancelReason;
use crate::model::CartId;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::IdempotencyKey;
use crate::model::Order;
use crate::model::OrderId;
use crate::repository::Inventory;
use crate::repository::Orders;
use crate::transaction::Context;

/// The flow from cart to order.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use stockroom::{
///     Charge, Currency, Due, Error, IdempotencyKey, LocationId, Money, NewProduct, Owner, Paid, Pay, Reference,
///     Stockroom,
/// };
///
/// let shop = Stockroom::open("sqlite::memory:").await?;
/// shop.products().create(NewProduct::new("Mug").variant("MUG", Money::new(9_00, Currency::USD))).await?;
/// shop.inventory().receive("MUG", &LocationId::new("berlin")?, 10).await?;
/// let cart = shop.carts().create(Owner::Guest).await?;
/// shop.carts().add(cart.id, "MUG", 2).await?;
///
/// // The provider's own idempotency key is `due.provider_key`: the same in every attempt.
/// let charge = |due: Due| async move { Ok::<_, Error>(Charge::captured(Reference::new(due.provider_key)?)) };
/// let key = IdempotencyKey::new("checkout-4711")?;
/// match shop.checkout().pay(Pay::cart(cart.id).key(key), charge).await? {
///     Paid::Order { order, .. } => assert_eq!(order.total, Money::new(18_00, Currency::USD)),
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(shop.inventory().levels("MUG").await?[0].available(), 8);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Checkout {
    context: Context,
    inventory: Inventory,
    orders: Orders,
}

impl Checkout {
    pub(crate) fn new(context: Context) -> Self {
        let (inventory, orders) = (Inventory::new(context.clone()), Orders::new(context.clone()));
        Self {
            context,
            inventory,
            orders,
        }
    }

    /// What a cart costs now, and where its units would come from.
    ///
    /// - Lines of the same SKU count together: for the price of a quantity, and for what is available.
    /// - A line comes from one location where one has enough, else it becomes several lines.
    /// - Tax is rounded once for each line of the cart, halves to even.
    /// - It reserves nothing: see [`hold`](Self::hold).
    ///
    /// # Errors
    /// - `NotFound` without such a cart, or for a SKU that no product has.
    /// - `Conflict` when the cart is closed.
    /// - `InvalidInput`: field `cart` when it is empty, `sku` for one that is not on offer, `currency` for
    ///   one without a price in the cart's currency; the subject names the SKU.
    /// - `InsufficientStock` with every SKU that is short.
    /// - `Timeout`, `Unavailable`.
    pub async fn quote(&self, cart: CartId) -> Result<Quote> {
        let quote = quote::quote(&self.context, cart, None, self.context.deadline()).await;
        quote.map_err(|error| error.operation("checkout.quote"))
    }

    /// Keeps the units of a quote until `ttl` has passed by the store's clock.
    ///
    /// - Give the hold to [`Place::hold`] or [`Pay::hold`], which use it up; else it stands in their way
    ///   until it ends.
    ///
    /// # Errors
    /// Those of [`Inventory::hold`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves all lines held or none; a hold that nobody knows ends by itself.
    pub async fn hold(&self, quote: &Quote, ttl: Duration) -> Result<Hold> {
        let hold = self.inventory.hold(&quote.hold_lines(), ttl).await;
        hold.map_err(|error| error.operation("checkout.hold"))
    }

    /// Ends a hold; one that is absent was released or used up.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the whole hold or nothing of it.
    pub async fn release(&self, hold: HoldId) -> Result<()> {
        self.inventory
            .release_hold(hold)
            .await
            .map_err(|error| error.operation("checkout.release"))
    }

    /// Makes an order without a payment, such as on account.
    ///
    /// - One write set: the order with its lines, its allocated stock, the closed cart, the key. A quote that
    ///   still holds takes one round trip.
    /// - The same key again gives the same order with `replayed` set, also when the cart is closed by then.
    ///   Keys are kept apart by actor.
    /// - When a quoted location ran short, the units are looked for at the others; prices stay as quoted.
    /// - Where the cart lies in another store, it is closed after the order's commit, at the latest by the change feed. What
    ///   was added to it meanwhile moves to a new cart: see [`Carts::current`](crate::Carts::current).
    ///
    /// # Errors
    /// - `KeyReused` when the key was used for another request.
    /// - `InsufficientStock` when no location has what is short.
    /// - `Conflict` when the quoted cart changed, or is closed or expired.
    /// - `AlreadyExists` when a payment of the cart is under way; the existing id is its order.
    /// - `InvalidInput` naming the field, such as `email`; for a cart also the errors of
    ///   [`quote`](Self::quote).
    /// - `Timeout`, `Unavailable`; `OutcomeUnknown`: repeat it with the same key.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the order placed or absent; the same key tells which.
    pub async fn place(&self, place: Place) -> Result<Placed> {
        let placed = place::place(&self.context, place).await;
        if let Ok(placed) = &placed {
            closing::close_soon(&self.context, &placed.order).await;
        }
        placed.map_err(|error| error.operation("checkout.place"))
    }

    /// Makes an order and pays it.
    ///
    /// - **First** one write set: the key, a pending order, a payment with a lease, a hold on the stock. The
    ///   cart stays open.
    /// - **Then** `charge` is called, outside of any transaction, to ask the provider. Its time is the
    ///   application's to bound; the deadline of the shop counts for what comes before it, and anew for what
    ///   comes after it.
    /// - **Last** one write set: the money, and the order placed with its stock and its cart closed, or
    ///   cancelled. What was added to the cart during the payment moves to a new cart: see
    ///   [`Carts::current`](crate::Carts::current).
    /// - Money is recorded whatever happened meanwhile: see [`Paid`]. A webhook that tells the same charge
    ///   does not count twice.
    /// - The same key again gives the same outcome. While another caller is at it, this one waits; when that
    ///   one's lease has ended, this one calls `charge` with the same provider key. Keys are kept apart by
    ///   actor.
    /// - When `charge` fails, panics, or the process dies, the order stays pending until the same key is paid
    ///   or [`resume`](Self::resume)d; its hold ends by itself.
    ///
    /// # Errors
    /// - Those of [`quote`](Self::quote); `KeyReused` when the key was used for another request.
    /// - `AlreadyExists` when another payment of the cart is under way; the existing id is its order. Also
    ///   when the provider's reference belongs to another payment.
    /// - `InFlight` when another caller was at it until the deadline.
    /// - `Unavailable` with the error of `charge` as its source: whether money moved is unknown.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`. With retry class `SameKey`, the same key finishes it.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the payment not begun, begun or settled; the same key, or `resume`,
    /// finishes it.
    pub async fn pay<F, Fut, E>(&self, pay: Pay, charge: F) -> Result<Paid>
    where
        F: Fn(Due) -> Fut + Send + Sync,
        Fut: Future<Output = Result<Charge, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let pay_it = async {
            let deadline = self.context.deadline();
            let order = match pay::begin(&self.context, &pay, deadline).await? {
                Once::Done(attempt, _) => return resume::call(&self.context, attempt, &charge).await,
                Once::Known(order) => order,
            };
            self.begun(order, &pay.key, pay.lease)
                .follow(&charge, deadline)
                .await
        };
        let paid: Result<Paid> = pay_it.await;
        if let Ok(paid) = &paid {
            closing::close_soon(&self.context, paid.order()).await;
        }
        paid.map_err(|error| error.operation("checkout.pay"))
    }

    /// Finishes a payment that was begun under this key, as after a crash.
    ///
    /// - A settled payment gives its outcome again. One that another caller is at is waited for; one whose
    ///   lease has ended is taken over: `charge` is called with the same provider key as before.
    /// - The actor must be the one who began it: keys are kept apart by actor.
    ///
    /// # Errors
    /// - `NotFound` when nothing was begun under the key.
    /// - Those of [`pay`](Self::pay) that come after its first step.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the payment begun or settled; calling it again finishes it.
    pub async fn resume<F, Fut, E>(&self, key: &IdempotencyKey, charge: F) -> Result<Paid>
    where
        F: Fn(Due) -> Fut + Send + Sync,
        Fut: Future<Output = Result<Charge, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let resume = async {
            let deadline = self.context.deadline();
            let known = once::find_key(&self.context, &pay::scope(&self.context), key, deadline).await?;
            let known = known.ok_or_else(|| Error::not_found("a payment under this key"))?;
            self.begun(known.owner.into(), key, pay::LEASE)
                .follow(&charge, deadline)
                .await
        };
        let paid: Result<Paid> = resume.await;
        if let Ok(paid) = &paid {
            closing::close_soon(&self.context, paid.order()).await;
        }
        paid.map_err(|error| error.operation("checkout.resume"))
    }

    fn begun(&self, order: OrderId, key: &IdempotencyKey, lease: Duration) -> Begun<'_> {
        let provider_key = pay::provider_key(&pay::scope(&self.context), key);
        Begun {
            context: &self.context,
            order,
            provider_key,
            lease,
        }
    }

    /// Cancels an order of which nothing was sent: see [`Orders::cancel`].
    ///
    /// # Errors
    /// Those of [`Orders::cancel`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves the order cancelled with its stock released, or as it was.
    pub async fn cancel(&self, order: OrderId, reason: CancelReason) -> Result<Arc<Order>> {
        self.orders
            .cancel(order, reason)
            .await
            .map_err(|error| error.operation("checkout.cancel"))
    }
}
