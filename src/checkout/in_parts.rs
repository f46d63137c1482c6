//! An order that is larger than one write set: begun in one commit, its stock taken in several, placed in one.
//!
//! - The commit that begins it has the key, the order as `Allocating` and the claim on its cart; the one that places it closes the
//!   cart. Between them the parts are taken, each once: see [`parts`].
//! - What is short, or idle for too long, is given up: all of its parts are given back, then it is cancelled.
//! - docs/decisions/0015-orders-in-parts.md tells why nothing is oversold or lost.

use std::sync::Arc;

use super::closing;
use super::once::Once;
use super::once::Request;
use super::place::Place;
use super::place::Placed;
use super::place::load;
use super::place::request;
use super::quote::Quote;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Retry;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::CancelReason;
use crate::model::Hold;
use crate::model::Order;
use crate::model::OrderStatus;
use crate::repository::single;
use crate::repository::written;
use crate::resilience::Deadline;
use crate::spi::store::Put;
use crate::spi::store::ReadCheck;
use crate::spi::store::WriteSet;
use crate::transaction::Attempts;
use crate::transaction::Context;
use crate::transaction::parts;

/// Places an order in parts.
pub(super) async fn place_in_parts(context: &Context, place: Place) -> Result<Placed> {
    let deadline = context.deadline();
    let request = request(context, &place, deadline);
    let order = match request.once(|quote, set| begin(&request, quote, set)).await? {
        Once::Done(order, committed) => Arc::new(written(&committed, order)?),
        Once::Known(id) => load(context, id, deadline).await?,
    };
    finish(context, order, place.held(), deadline).await
}

/// Everything that the beginning of an order in parts writes. The cart stays open, as the order may be given up.
fn begin(request: &Request<'_>, quote: &Quote, set: &mut WriteSet) -> Result<Order> {
    let order = request.order(quote, OrderStatus::Allocating)?;
    if !closing::is_apart(request.context) {
        set.read(ReadCheck {
            aggregate: Aggregate::Cart,
            key: quote.cart.key(),
            version: Some(quote.cart.version),
        });
    }
    set.put(Put::create(order.clone()));
    set.event("order.allocating");
    Ok(order)
}

/// Goes on with an order until it is placed or cancelled, wherever it was left.
pub(super) async fn finish(
    context: &Context,
    order: Arc<Order>,
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<Placed> {
    let id = order.id;
    let finished = go_on(context, order, hold, deadline).await;
    finished.map_err(|error| {
        let error = error.concerning(format!("order {id}")).existing(id.uuid());
        match error.kind() {
            ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::RateLimited
            | ErrorKind::OutcomeUnknown => error.retry(Retry::SameKey),
            _ => error,
        }
    })
}

async fn go_on(
    context: &Context,
    mut order: Arc<Order>,
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<Placed> {
    let mut attempts = Attempts::few(deadline);
    loop {
        let error = match order.status {
            OrderStatus::Allocating => match allocate(context, &order, hold, deadline).await {
                Ok(order) => {
                    return Ok(Placed {
                        order,
                        replayed: false,
                    });
                }
                Err(error) if error.is(ErrorKind::InsufficientStock) => {
                    match parts::abandon(context, &order, CancelReason::OutOfStock, deadline).await {
                        Ok(left) if left.status == OrderStatus::Cancelled => return Err(error),
                        // Another caller of the key had all of it.
                        Ok(left) => {
                            order = left;
                            continue;
                        }
                        Err(failed) => {
                            // What was taken is given back by whoever comes next: this caller again, or the sweep.
                            tracing::debug!(kind = ?failed.kind(), "an order is left for the sweep to give up");
                            return Err(error);
                        }
                    }
                }
                Err(error) => error,
            },
            OrderStatus::Releasing => match parts::release(context, &order, deadline).await {
                Ok(order) => return Err(given_up(&order)),
                Err(error) => error,
            },
            OrderStatus::Cancelled => return Err(given_up(&order)),
            _ => {
                return Ok(Placed {
                    order,
                    replayed: true,
                });
            }
        };
        match error.kind() {
            // The cart expired, and was removed.
            ErrorKind::NotFound => attempts.pause(error).await?,
            _ => attempts.after_conflict(error).await?,
        }
        order = load(context, order.id, deadline).await?;
    }
}

/// Takes the parts, then places the order: in that commit nobody may have begun to give them back.
async fn allocate(
    context: &Context,
    order: &Order,
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<Arc<Order>> {
    parts::take(context, order, hold, deadline).await?;
    let placed = Order {
        updated_at: context.now(),
        ..order.allocated()?
    };
    let mut set = context.write_set();
    set.put(Put::root(order, placed.clone())).event("order.placed");
    if let Some(cart) = order.cart.filter(|_| !closing::is_apart(context)) {
        let cart = single(context.carts()?.get_many(&[cart], deadline).await?);
        // The claim of the order stays on this cart: what was added meanwhile could not be ordered in it.
        if let Some(cart) = cart.filter(|cart| cart.is_open()) {
            closing::stage(context, &cart, &placed, &mut set)?;
        }
    }
    let committed = context.commit(set, deadline).await?;
    written(&committed, placed).map(Arc::new)
}

/// The answer to a key whose order was given up.
fn given_up(order: &Order) -> Error {
    let kind = match order.cancel_reason {
        Some(CancelReason::OutOfStock) => ErrorKind::InsufficientStock,
        _ => ErrorKind::Conflict,
    };
    let reason = order.cancel_reason.map_or("no reason", CancelReason::as_str);
    let message = format!("the order of this key was cancelled ({reason}): use a new key for a new order");
    Error::new(kind, message).retry(Retry::Never)
}
