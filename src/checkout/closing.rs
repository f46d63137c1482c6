//! Closes the cart of an order; what was not ordered goes on in a successor.
//!
//! Where carts lie in another store than orders, one commit cannot write both stores. So the order commits first, with the unique claim that no other order is made of its
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
pub(super) fn stage(context: &Context, cart: &Cart, order: &Order, set: &mut WriteSet) -> Result<()> {
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
fn without(cart: &Cart, order: &Order) -> Result<Cart> {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Currency;
    use crate::model::FulfilmentStatus;
    use crate::model::LocationId;
    use crate::model::Money;
    use crate::model::Options;
    use crate::model::OrderLine;
    use crate::model::Owner;
    use crate::model::ProductId;
    use crate::model::Settlement;
    use crate::model::Sku;
    use crate::model::TaxRate;
    use crate::model::Version;
    use crate::model::from_micros;

    fn cart(lines: &[(&str, i64)]) -> Cart {
        let now = from_micros(0).unwrap();
        let ttl = Duration::from_secs(60);
        let mut cart = Cart::open(CartId::new(), Owner::Guest, Currency::EUR, ttl, now);
        for (sku, quantity) in lines {
            let (sku, quantity) = (Sku::new(*sku).unwrap(), Quantity::new(*quantity).unwrap());
            cart.lines
                .push(CartLine::new(sku, Options::new(), quantity, now).unwrap());
        }
        cart
    }

    fn order(lines: &[(&str, i64)]) -> Order {
        let (now, zero) = (from_micros(0).unwrap(), Money::new(0, Currency::EUR));
        let line = |(sku, quantity): &(&str, i64)| OrderLine {
            number: 1,
            sku: Sku::new(*sku).unwrap(),
            product: ProductId::new(),
            title: "Mug".to_owned(),
            options: Options::new(),
            quantity: Quantity::new(*quantity).unwrap(),
            unit_price: zero,
            tax_rate: TaxRate::basis_points(0).unwrap(),
            tax: zero,
            total: zero,
            location: LocationId::new("berlin").unwrap(),
            shipped: 0,
        };
        Order {
            id: OrderId::new(),
            version: Version::FIRST,
            customer: None,
            cart: None,
            status: OrderStatus::Placed,
            fulfilment: FulfilmentStatus::Unfulfilled,
            currency: Currency::EUR,
            subtotal: zero,
            tax: zero,
            total: zero,
            paid: Settlement::ZERO,
            ship_to: None,
            bill_to: None,
            email: None,
            cancel_reason: None,
            lines: lines.iter().map(line).collect(),
            placed_at: now,
            updated_at: now,
        }
    }

    fn units(lines: &[CartLine]) -> Vec<(&str, i64)> {
        lines
            .iter()
            .map(|line| (line.sku.as_str(), line.quantity.get()))
            .collect()
    }

    #[test]
    fn what_came_too_late_and_what_was_ordered_are_the_cart() {
        let cart = cart(&[("A", 5), ("B", 2), ("C", 1)]);
        // A line that no location had whole is two lines of the order.
        let rest = without(&cart, &order(&[("A", 1), ("A", 2), ("B", 2)]))
            .unwrap()
            .lines;
        assert_eq!(units(&rest), [("A", 2), ("C", 1)]);
        assert_eq!(units(&difference(&cart.lines, &rest)), [("A", 3), ("B", 2)]);
    }

    #[test]
    fn what_was_taken_out_of_the_cart_after_its_order_is_not_missed() {
        let cart = cart(&[("A", 1), ("C", 1)]);
        let rest = without(&cart, &order(&[("A", 2), ("B", 1)])).unwrap().lines;
        assert_eq!(units(&rest), [("C", 1)]);
        assert_eq!(units(&difference(&cart.lines, &rest)), [("A", 1)]);
    }

    #[test]
    fn only_an_order_that_was_placed_and_not_cancelled_is_live() {
        let live = |status| {
            is_live(&Order {
                status,
                ..order(&[("A", 1)])
            })
        };
        assert!(live(OrderStatus::Placed) && live(OrderStatus::Completed));
        assert!(!live(OrderStatus::Pending) && !live(OrderStatus::Cancelled));
    }
}
