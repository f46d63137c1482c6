//! From cart to order: quote, hold, place, pay, resume, cancel.
//!
//! - An order, its stock, its payment and its cart change in one commit each time: no state in between can be
//!   read.
//! - Both ways to an order are named by a key of the caller: one order comes of a key, however often the call
//!   is made.

mod charge;
mod closing;
mod fingerprint;
mod in_parts;
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
#[cfg(doc)]
use crate::model::OrderStatus;
use crate::repository::Inventory;
use crate::repository::Orders;
use crate::transaction::Context;
use crate::transaction::parts;

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

    /// [`hold`](Self::hold) for a quote of more lines than one commit takes: see [`Inventory::hold_in_parts`].
    ///
    /// # Errors
    /// Those of [`Inventory::hold_in_parts`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves some of the lines held; a hold that nobody knows ends by itself.
    pub async fn hold_in_parts(&self, quote: &Quote, ttl: Duration) -> Result<Hold> {
        let hold = self.inventory.hold_in_parts(&quote.hold_lines(), ttl).await;
        hold.map_err(|error| error.operation("checkout.hold_in_parts"))
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

    /// [`place`](Self::place) for an order of more lines than one commit takes
    /// ([`Capability::order_lines`](crate::spi::store::Capability::order_lines)), on any store.
    ///
    /// - **First** one write set: the key, and the order as [`Allocating`](OrderStatus::Allocating). The cart stays open, and nothing
    ///   else can be ordered of it.
    /// - **Then** the stock, in several write sets of some lines each; of a hold, such as
    ///   [`hold_in_parts`](Self::hold_in_parts) opens, what it keeps of these lines is used up with them.
    /// - **Last** one write set: the order placed, and the cart closed. What was added to it meanwhile moves to a new cart: see
    ///   [`Carts::current`](crate::Carts::current).
    /// - Units that are allocated stay allocated until the order is shipped or cancelled: an order that is placed never loses
    ///   its stock. What is short is given up: the parts are given back, the order is cancelled, and the answer is
    ///   `InsufficientStock`. Other locations are not looked for once the order has begun.
    /// - The same key again goes on where an earlier call was cut, or gives its order. A key is one order for `place` and this
    ///   together.
    /// - An order that nobody goes on with is given up by the sweep a quarter of an hour after it began, or by
    ///   [`give_up_idle`](Self::give_up_idle); a hold of which nothing was taken yet ends by itself.
    ///
    /// # Errors
    /// - Those of [`place`](Self::place). With retry class `SameKey`, the same key finishes it; the existing id is the order.
    /// - `InsufficientStock` with the short levels of the first part that is short. From then on the key gives this error.
    /// - `Conflict` when the order of the key was given up or cancelled.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the order absent, allocating, placed or given up; the same key finishes it.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> stockroom::Result<()> {
    /// use std::time::Duration;
    /// use stockroom::{Currency, IdempotencyKey, LocationId, Money, NewProduct, OrderStatus, Owner, Place, Stockroom};
    ///
    /// let shop = Stockroom::open("sqlite::memory:").await?;
    /// let cart = shop.carts().create(Owner::Guest).await?;
    /// for number in 0..50 {
    ///     let sku = format!("SCREW-{number}");
    ///     let price = Money::new(10, Currency::USD);
    ///     shop.products().create(NewProduct::new("Screw").variant(sku.as_str(), price)).await?;
    ///     shop.inventory().receive(sku.as_str(), &LocationId::new("berlin")?, 100).await?;
    ///     shop.carts().add(cart.id, sku.as_str(), 8).await?;
    /// }
    ///
    /// // While the customer looks at it once more.
    /// let quote = shop.checkout().quote(cart.id).await?;
    /// let hold = shop.checkout().hold_in_parts(&quote, Duration::from_secs(600)).await?;
    ///
    /// let order = Place::quote(quote).hold(hold).key(IdempotencyKey::new("order-4711")?);
    /// let placed = shop.checkout().place_in_parts(order.clone()).await?;
    /// assert_eq!(placed.order.status, OrderStatus::Placed);
    /// assert!(shop.checkout().place_in_parts(order).await?.replayed);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlite"))]
    /// # fn main() {}
    /// ```
    pub async fn place_in_parts(&self, place: Place) -> Result<Placed> {
        let placed = in_parts::place_in_parts(&self.context, place).await;
        if let Ok(placed) = &placed {
            closing::close_soon(&self.context, &placed.order).await;
        }
        placed.map_err(|error| error.operation("checkout.place_in_parts"))
    }

    /// Gives up the orders whose stock is moved in parts and that nobody has gone on with for `idle`; how many.
    ///
    /// - What was taken for them is given back, then they are cancelled with the reason `Expired`. Whoever still goes on with one
    ///   finds out.
    /// - The background does so once a sweep, with a quarter of an hour; see
    ///   [`Builder::sweep_every`](crate::Builder::sweep_every).
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`, `OutcomeUnknown`: calling it again goes on.
    ///
    /// # Cancel safety
    /// Dropping the future leaves some of them given up; calling it again goes on.
    pub async fn give_up_idle(&self, idle: Duration) -> Result<u64> {
        let given_up = parts::give_up(&self.context, idle, self.context.deadline()).await;
        given_up.map_err(|error| error.operation("checkout.give_up_idle"))
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
