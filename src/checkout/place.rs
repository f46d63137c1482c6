//! An order without a payment: on account, or paid elsewhere.

use std::sync::Arc;

use super::closing;
use super::fingerprint::Fingerprint;
use super::in_parts;
use super::once::Goods;
use super::once::Once;
use super::once::Request;
use super::quote::Quote;
use super::terms::Terms;
use super::terms::terms_methods;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::CartId;
use crate::model::Hold;
use crate::model::IdempotencyKey;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::repository::single;
use crate::repository::written;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use crate::transaction::Context;
use crate::transaction::parts;
use crate::transaction::stock;

/// What to order; it needs a [`key`](Place::key) before it can be placed.
///
/// ```
/// use stockroom::{CartId, IdempotencyKey, Place};
///
/// let place = Place::cart(CartId::new()).email("ada@example.com").key(IdempotencyKey::new("order-4711")?);
/// # let _ = place;
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Place<K = IdempotencyKey> {
    goods: Goods,
    terms: Terms,
    key: K,
}

impl Place<()> {
    /// What was quoted, at the prices that the customer saw.
    ///
    /// - The cart must be as it was quoted: else placing is `Conflict`.
    pub fn quote(quote: Quote) -> Self {
        Self {
            goods: Goods::Quote(Box::new(quote)),
            terms: Terms::default(),
            key: (),
        }
    }

    /// What is in the cart when the order is placed, at the prices of then.
    pub fn cart(cart: CartId) -> Self {
        Self {
            goods: Goods::Cart(cart),
            terms: Terms::default(),
            key: (),
        }
    }

    /// The key of this intent: one order comes of it, however often it is placed.
    pub fn key(self, key: IdempotencyKey) -> Place {
        Place {
            goods: self.goods,
            terms: self.terms,
            key,
        }
    }
}

impl<K> Place<K> {
    terms_methods!();
}

/// An order that was placed, now or by an earlier call with the same key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Placed {
    /// The order.
    pub order: Arc<Order>,
    /// Whether an earlier call with the same key made it; this call wrote nothing.
    pub replayed: bool,
}

impl Place {
    pub(super) fn held(&self) -> Option<&Hold> {
        self.terms.hold.as_ref()
    }
}

pub(super) async fn place(context: &Context, place: Place) -> Result<Placed> {
    let deadline = context.deadline();
    let request = request(context, &place, deadline);
    let made = request.once(|quote, set| stage(&request, quote, set)).await;
    match made.map_err(|error| advised(context, error))? {
        Once::Done(order, committed) => Ok(Placed {
            order: written(&committed, order).map(Arc::new)?,
            replayed: false,
        }),
        Once::Known(id) => {
            let order = load(context, id, deadline).await?;
            if parts::is_under_way(&order) {
                return in_parts::finish(context, order, place.held(), deadline).await;
            }
            Ok(Placed {
                order,
                replayed: true,
            })
        }
    }
}

/// An order that is too large for one commit is told what it can do; one whose record is too large for the store is not helped.
fn advised(context: &Context, error: Error) -> Error {
    if !error.is(ErrorKind::TooLarge) || error.subject().is_some() {
        return error;
    }
    let most = context
        .placement()
        .store(Aggregate::Order)
        .capability()
        .order_lines;
    let message = format!(
        "the order does not fit into one write, which takes {most} lines and fewer with a hold: use checkout().place_in_parts"
    );
    Error::new(ErrorKind::TooLarge, message).caused_by(error)
}

/// What is placed once, in one commit or in parts: a key is one order in either way.
pub(super) fn request<'a>(context: &'a Context, place: &'a Place, deadline: Deadline) -> Request<'a> {
    Request {
        context,
        goods: &place.goods,
        terms: &place.terms,
        idempotency: Idempotency {
            scope: format!("checkout.place/{}", context.actor()),
            fingerprint: fingerprint(place),
            key: place.key.clone(),
            owner: OrderId::new().uuid(),
        },
        deadline,
    }
}

/// Everything that placing an order writes.
fn stage(request: &Request<'_>, quote: &Quote, set: &mut WriteSet) -> Result<Order> {
    request.use_up_hold(set);
    let order = request.order(quote, OrderStatus::Placed)?;
    let mut cart = quote.cart.ordered()?;
    cart.updated_at = order.updated_at;
    set.put(Put::create(order.clone()));
    if !closing::is_apart(request.context) {
        set.put(Put::root(&*quote.cart, cart).live());
    }
    for step in stock::allocate(&order)? {
        set.delta(Delta::Stock(step));
    }
    set.event("order.placed");
    Ok(order)
}

/// The order of an earlier call.
pub(super) async fn load(context: &Context, id: OrderId, deadline: Deadline) -> Result<Arc<Order>> {
    let found = single(context.orders()?.get_many(&[id], deadline).await?);
    found.ok_or_else(|| Error::not_found(format!("order {id}")))
}

/// What tells this request from another: of a cart only its identity, since ordering it changes all else
/// about it.
fn fingerprint(place: &Place) -> [u8; 32] {
    let digest = Fingerprint::new("place").with_terms(&place.terms);
    let quote = match &place.goods {
        Goods::Cart(cart) => return digest.with("cart").with(cart).finish(),
        Goods::Quote(quote) => quote,
    };
    let digest = digest.with("quote").with(quote.cart.id).with(quote.total);
    let lines = quote
        .lines
        .iter()
        .fold(digest.with(quote.lines.len()), |digest, line| {
            let digest = digest
                .with(&line.sku)
                .with(line.quantity)
                .with(line.unit_price)
                .with(line.tax);
            line.options
                .iter()
                .fold(digest.with(line.options.len()), |digest, (name, value)| {
                    digest.with(name).with(value)
                })
        });
    lines.finish()
}
