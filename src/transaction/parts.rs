//! The stock of an order or a hold that is larger than one write set: moved in parts, each in a commit of its own.
//!
//! - The order decides. While it is `Allocating` its parts are taken, while it is `Releasing` they are given back, and each part
//!   demands in its commit that the order still is as it was read. So none is taken once giving back has begun.
//! - Each part has an idempotency key for either way: whoever does it, however often, it is done once.
//! - docs/decisions/0015-orders-in-parts.md proves it.

mod holds;
mod keys;

pub(crate) use holds::hold;
pub(crate) use holds::unhold_all;

use std::sync::Arc;
use std::time::Duration;

use holds::unhold;
use keys::ALL;
use keys::Moved;
use keys::SINGLY;
use keys::once;
use keys::release_key;
use keys::single;
use keys::take_key;

use super::Attempts;
use super::Context;
use super::stock;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::CancelReason;
use crate::model::Expiry;
use crate::model::Hold;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::PageRequest;
use crate::model::Version;
use crate::repository;
use crate::repository::written;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::spi::store::OrderQuery;
use crate::spi::store::Put;
use crate::spi::store::ReadCheck;
use crate::spi::store::StockStep;

/// Levels in one part: with the lines of a hold they fit every store, unless they are spread over many shares. The keys of parts
/// rest on it: with another number they need another [`scope`].
const LEVELS: usize = 20;

/// Orders in one look for those that nobody finishes.
const STEP: u32 = 100;

/// Takes every part of an order that is allocating; what `hold` keeps of a part is used up by it.
///
/// - A part that was taken before is not taken again.
///
/// # Errors
/// - `InsufficientStock` with the short levels of the first part that is short: nothing of that part is taken.
/// - `Conflict` when the order has moved on, or goes on level by level.
pub(crate) async fn take(
    context: &Context,
    order: &Order,
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<()> {
    let steps = stock::allocate(order)?;
    let moved = match order.version {
        // Whatever was cut anew is at a later version.
        Version::FIRST => Moved::default(),
        _ => Moved::find(context, order.id, steps.len(), deadline).await?,
    };
    for (number, part) in steps.chunks(LEVELS).enumerate() {
        if !moved.singly {
            let taken = take_piece(context, order, hold, (number.to_string(), part), deadline).await;
            match taken {
                Err(error) if error.is(ErrorKind::TooLarge) => {
                    return Err(cut_singly(context, order, deadline).await?);
                }
                taken => taken?,
            }
        } else if !moved.has(&take_key(&number.to_string())) {
            for (index, step) in part.chunks(1).enumerate() {
                take_piece(context, order, hold, (single(number, index), step), deadline).await?;
            }
        }
    }
    Ok(())
}

async fn take_piece(
    context: &Context,
    order: &Order,
    hold: Option<&Hold>,
    (piece, steps): (String, &[StockStep]),
    deadline: Deadline,
) -> Result<()> {
    let key = take_key(&piece);
    let mut set = context.write_set();
    set.idempotent(once(order.id, &key)?).read(as_it_was(order));
    if let Some(unhold) = hold.and_then(|hold| unhold(hold, steps)) {
        set.delta(unhold);
    }
    for step in steps {
        set.delta(Delta::Stock(step.clone()));
    }
    set.event("order.allocating");
    match context.commit(set, deadline).await {
        // Another caller of the same key took the part, and with it the units that are missing now.
        Err(error)
            if error.is(ErrorKind::InsufficientStock)
                && Moved::is(context, order.id, &key, deadline).await? =>
        {
            Ok(())
        }
        taken => taken.map(drop),
    }
}

/// A part does not fit, as its levels are spread over too many shares: from here on one level goes at a time. What was read of the
/// order before is out of date, so that no whole part is moved any more. Gives the reason to read it again.
async fn cut_singly(context: &Context, order: &Order, deadline: Deadline) -> Result<Error> {
    let new = Order {
        updated_at: context.now(),
        ..order.clone()
    };
    let mut set = context.write_set();
    set.put(Put::root(order, new))
        .idempotent(once(order.id, SINGLY)?)
        .event(format!("order.{}", order.status));
    context.commit(set, deadline).await?;
    Ok(Error::conflict(format!("order {}", order.id), None))
}

/// Cancels an order whose stock moves in parts, or is too much for one commit.
///
/// - Where another caller cancels it at the same time, its reason may be the other's.
///
/// # Errors
/// `Conflict` when a part of it was sent, or it is completed.
pub(crate) async fn cancel(
    context: &Context,
    order: &Order,
    reason: CancelReason,
    deadline: Deadline,
) -> Result<Arc<Order>> {
    let mut attempts = Attempts::few(deadline);
    let mut order = Arc::new(order.clone());
    loop {
        match order.status {
            OrderStatus::Cancelled => return Ok(order),
            OrderStatus::Releasing => {}
            _ => drop(order.releasing(reason)?),
        }
        match back_out(context, &order, reason, deadline).await {
            Ok(order) => return Ok(order),
            Err(error) => attempts.after_conflict(error).await?,
        }
        order = load(context, order.id, deadline).await?;
    }
}

/// Gives up an order whose stock is under way; one that has come to its end meanwhile is given as it is.
///
/// # Errors
/// `Conflict` when others always were faster.
pub(crate) async fn abandon(
    context: &Context,
    order: &Order,
    reason: CancelReason,
    deadline: Deadline,
) -> Result<Arc<Order>> {
    let mut attempts = Attempts::few(deadline);
    let mut order = Arc::new(order.clone());
    while is_under_way(&order) {
        match back_out(context, &order, reason, deadline).await {
            Ok(order) => return Ok(order),
            Err(error) => attempts.after_conflict(error).await?,
        }
        order = load(context, order.id, deadline).await?;
    }
    Ok(order)
}

/// Whether the stock of an order is being taken or given back in parts.
pub(crate) const fn is_under_way(order: &Order) -> bool {
    matches!(order.status, OrderStatus::Allocating | OrderStatus::Releasing)
}

/// Gives back what an order has, from whichever state it was read in.
async fn back_out(
    context: &Context,
    order: &Order,
    reason: CancelReason,
    deadline: Deadline,
) -> Result<Arc<Order>> {
    if order.status == OrderStatus::Releasing {
        return release(context, order, deadline).await;
    }
    let releasing = begin_to_release(context, order, reason, deadline).await?;
    release(context, &releasing, deadline).await
}

/// From here on nothing is taken for the order any more.
async fn begin_to_release(
    context: &Context,
    order: &Order,
    reason: CancelReason,
    deadline: Deadline,
) -> Result<Order> {
    let new = Order {
        updated_at: context.now(),
        ..order.releasing(reason)?
    };
    let mut set = context.write_set();
    set.put(Put::root(order, new.clone())).event("order.releasing");
    if order.status == OrderStatus::Placed {
        // It may have been placed in one commit, without keys of parts.
        set.idempotent(once(order.id, ALL)?);
    }
    let committed = context.commit(set, deadline).await?;
    if committed.replay.is_some() {
        // Another caller has begun with it.
        return Err(Error::conflict(format!("order {}", order.id), None));
    }
    written(&committed, new)
}

/// Gives back what was taken for an order that is releasing, and cancels it.
///
/// # Errors
/// `Conflict` when another caller has done so meanwhile, or it goes on level by level.
pub(crate) async fn release(context: &Context, order: &Order, deadline: Deadline) -> Result<Arc<Order>> {
    let steps = stock::release(order)?;
    let moved = Moved::find(context, order.id, steps.len(), deadline).await?;
    for (number, part) in steps.chunks(LEVELS).enumerate() {
        let whole = number.to_string();
        let is_whole = moved.has(ALL) || moved.has(&take_key(&whole));
        if !moved.singly {
            if !is_whole {
                continue;
            }
            match release_piece(context, order, (whole, part), deadline).await {
                Err(error) if error.is(ErrorKind::TooLarge) => {
                    return Err(cut_singly(context, order, deadline).await?);
                }
                released => released?,
            }
        } else if !moved.has(&release_key(&whole)) {
            for (index, step) in part.chunks(1).enumerate() {
                let piece = single(number, index);
                if is_whole || moved.has(&take_key(&piece)) {
                    release_piece(context, order, (piece, step), deadline).await?;
                }
            }
        }
    }
    let new = Order {
        updated_at: context.now(),
        ..order.released()?
    };
    let mut set = context.write_set();
    set.put(Put::root(order, new.clone())).event("order.cancelled");
    let committed = context.commit(set, deadline).await?;
    written(&committed, new).map(Arc::new)
}

async fn release_piece(
    context: &Context,
    order: &Order,
    (piece, steps): (String, &[StockStep]),
    deadline: Deadline,
) -> Result<()> {
    let mut set = context.write_set();
    set.idempotent(once(order.id, &release_key(&piece))?)
        .read(as_it_was(order));
    for step in steps {
        set.delta(Delta::Stock(step.clone()));
    }
    set.event("order.releasing");
    context.commit(set, deadline).await.map(drop)
}

/// Gives up orders whose stock moves in parts and has not got further for so long; how many were given up.
///
/// # Errors
/// Those of the first order that could not be given up, after all were tried.
pub(crate) async fn give_up(context: &Context, idle: Duration, deadline: Deadline) -> Result<u64> {
    let (mut given_up, mut failed) = (0, None);
    for status in [OrderStatus::Allocating, OrderStatus::Releasing] {
        let query = OrderQuery::new().status(status);
        let mut page = PageRequest::new(STEP)?;
        loop {
            let found = context.orders()?.list(&query, &page, deadline).await?;
            for order in found.items {
                if !is_idle(context, &order, idle) {
                    continue;
                }
                match abandon(context, &order, CancelReason::Expired, deadline).await {
                    // Otherwise it was placed meanwhile.
                    Ok(left) => given_up += u64::from(left.status == OrderStatus::Cancelled),
                    // Somebody got further with it after all.
                    Err(error) if error.is(ErrorKind::Conflict) => {}
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            match found.next {
                Some(next) => page = PageRequest::new(STEP)?.after(next),
                None => break,
            }
        }
    }
    failed.map_or(Ok(given_up), Err)
}

fn is_idle(context: &Context, order: &Order, idle: Duration) -> bool {
    let until = Expiry::In(idle).resolved(order.updated_at);
    until <= context.now()
}

/// The order must still be what it was.
fn as_it_was(order: &Order) -> ReadCheck {
    ReadCheck {
        aggregate: Aggregate::Order,
        key: order.key(),
        version: Some(order.version),
    }
}

async fn load(context: &Context, id: OrderId, deadline: Deadline) -> Result<Arc<Order>> {
    let found = context.orders()?.get_many(&[id], deadline).await?;
    let found = repository::single(found);
    found.ok_or_else(|| Error::not_found(format!("order {id}")))
}
