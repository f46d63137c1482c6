//! Closes the cart of an order where carts lie in another store than orders.
//!
//! One commit cannot write both stores. So the order commits first, with the unique claim that no other order is made of its
//! cart; then its cart is closed. That is a declared effect: whoever placed the order does it at once, and where that did
//! not happen, the feed of the orders' store has it done ([`CartCloser`]). docs/placement.md thinks each case through.
//!
//! - **Once in effect.** One write set of the carts' store closes the cart at the version that was read and opens its successor
//!   with what was not ordered. A cart that is closed already is left alone, whoever closed it.
//! - **Of the order that counts.** The cart is read before the order: an order that is live then was made of this cart at this
//!   version or an earlier one. One that was cancelled before its cart was closed leaves the cart open, and free for another.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Retry;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::LineKey;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::Quantity;
use crate::repository::single;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeSink;
use crate::spi::changes::Delivery;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use crate::transaction::Attempts;
use crate::transaction::Context;

/// The event of every commit that makes an order of a cart.
const PLACED: &str = "order.placed";

/// How long the answer of a checkout may wait for the carts' store: the order stands, and the feed does the rest.
const COURTESY: Duration = Duration::from_secs(1);

/// Whether carts and orders lie in different stores.
pub(super) fn is_apart(context: &Context) -> bool {
    !context.placement().together(Aggregate::Cart, Aggregate::Order)
}

/// Whether the cart of an order has become this order.
pub(super) fn is_live(order: &Order) -> bool {
    matches!(order.status, OrderStatus::Placed | OrderStatus::Completed)
}

/// Closes the cart of an order that was placed, if that can be done soon; the feed does it otherwise.
pub(super) async fn close_soon(context: &Context, order: &Order) {
    let Some(cart) = order.cart.filter(|_| is_apart(context) && is_live(order)) else {
        return;
    };
    let deadline = context.deadline().min(COURTESY);
    match deadline.bound(close(context, order.id, cart, deadline)).await {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(kind = ?error.kind(), "a cart is left for the feed to close"),
        None => tracing::debug!("a cart is left for the feed to close: its store is slow"),
    }
}

/// Closes the cart of an order, unless it is closed already or the order does not count.
async fn close(context: &Context, order: OrderId, cart: CartId, deadline: Deadline) -> Result<()> {
    let mut attempts = Attempts::few(deadline);
    loop {
        let found = single(context.carts()?.get_many(&[cart], deadline).await?);
        // One that has expired can never be ordered again, and what was in it is gone as it always goes.
        let Some(found) = found.filter(|cart| cart.is_open()) else {
            return Ok(());
        };
        let order = single(context.orders()?.get_many(&[order], deadline).await?);
        let Some(order) = order.filter(|order| is_live(order)) else {
            return Ok(());
        };
        let mut set = context.write_set();
        stage(context, &found, &order, &mut set)?;
        match context.commit(set, deadline).await {
            Ok(_) => return Ok(()),
            // It expired, and was removed.
            Err(error) if error.is(ErrorKind::NotFound) => attempts.pause(error).await?,
            Err(error) => attempts.after_conflict(error).await?,
        }
    }
}

/// The cart closed with what was ordered of it, and its successor with the rest, if there is any.
fn stage(context: &Context, cart: &Cart, order: &Order, set: &mut WriteSet) -> Result<()> {
    let now = context.now();
    let rest = without(cart, order)?.lines;
    let mut closed = cart.ordered()?;
    closed.updated_at = now;
    set.event("cart.ordered");
    if rest.is_empty() {
        set.put(Put::root(cart, closed).live());
        return Ok(());
    }
    closed.lines = difference(&cart.lines, &rest);
    set.put(Put::update(cart, closed).live());
    let ttl = context.cart_expiry();
    let mut successor = Cart::open(cart.id.successor(), cart.owner, cart.currency, ttl, now);
    successor.lines = rest;
    set.put(Put::create(successor));
    set.event("cart.continued");
    Ok(())
}

/// The cart without what was ordered: what was added since the order was made of it.
pub(super) fn without(cart: &Cart, order: &Order) -> Result<Cart> {
    let mut left = cart.clone();
    for line in &order.lines {
        let key = LineKey::of(&line.sku, &line.options);
        if let Some(there) = left.line(&key) {
            let rest = there.quantity.get() - line.quantity.get();
            left = left.with_quantity(&key, Quantity::new(rest).ok())?;
        }
    }
    Ok(left)
}

/// The lines without the units of the others, which are among them.
fn difference(lines: &[CartLine], others: &[CartLine]) -> Vec<CartLine> {
    let rest = |line: &CartLine| {
        let other = others.iter().find(|other| other.key == line.key);
        let taken = other.map_or(0, |other| other.quantity.get());
        let quantity = Quantity::new(line.quantity.get() - taken).ok()?;
        Some(CartLine {
            quantity,
            ..line.clone()
        })
    };
    lines.iter().filter_map(rest).collect()
}

/// Follows the orders, and closes the carts that are still open.
///
/// - Delivered twice, late or in another process it does the same, or nothing.
#[derive(Debug)]
pub(crate) struct CartCloser {
    context: Context,
}

impl CartCloser {
    /// The name of its checkpoint.
    pub(crate) const NAME: &'static str = "stockroom.carts";

    pub(crate) fn new(context: Context) -> Self {
        let context = context.acting(Actor::system());
        Self { context }
    }

    /// The orders among these changes that were placed, and whose carts are open: most were closed by whoever placed them.
    async fn open(&self, changes: &[Change], deadline: Deadline) -> Result<Vec<(OrderId, CartId)>> {
        let placed = changes.iter().filter(|change| {
            change.aggregate == Aggregate::Order && change.events.iter().any(|event| event == PLACED)
        });
        let ids: Vec<OrderId> = placed
            .filter_map(|change| change.key.id())
            .map(OrderId::from)
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let orders = self.context.orders()?.get_many(&ids, deadline).await?;
        let live = orders.into_iter().flatten().filter(|order| is_live(order));
        let pairs: Vec<_> = live.filter_map(|order| Some((order.id, order.cart?))).collect();
        let ids: Vec<CartId> = pairs.iter().map(|(_, cart)| *cart).collect();
        let carts = self.context.carts()?.get_many(&ids, deadline).await?;
        let open = carts
            .into_iter()
            .map(|cart| cart.is_some_and(|cart| cart.is_open()));
        Ok(pairs
            .into_iter()
            .zip(open)
            .filter_map(|(pair, open)| open.then_some(pair))
            .collect())
    }
}

#[async_trait]
impl ChangeSink for CartCloser {
    async fn deliver(&self, delivery: Delivery<'_>, deadline: Deadline) -> Result<()> {
        for (order, cart) in self.open(delivery.changes, deadline).await? {
            let closed = close(&self.context, order, cart, deadline).await;
            closed.map_err(|error| match error.kind() {
                // Doing it again is harmless.
                ErrorKind::OutcomeUnknown => error.retry(Retry::Safe),
                _ => error.concerning(format!("cart {cart} of order {order}")),
            })?;
        }
        Ok(())
    }

    /// It keeps nothing. Every order comes again: carts that were open at the restored point are closed again.
    async fn reset(&self, _: Deadline) -> Result<()> {
        Ok(())
    }
}
