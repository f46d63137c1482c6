//! The stock of an order or a hold that is larger than one write set: moved in parts, each in a commit of its own.
//!
//! - The order decides. While it is `Allocating` its parts are taken, while it is `Releasing` they are given back, and each part
//!   demands in its commit that the order still is as it was read. So none is taken once giving back has begun.
//! - Each part has an idempotency key for either way: whoever does it, however often, it is done once.
//! - docs/decisions/0015-orders-in-parts.md proves it.

use std::sync::Arc;
use std::time::Duration;

use sha2::Digest;
use sha2::Sha256;

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
use crate::model::HoldId;
use crate::model::HoldLine;
use crate::model::IdempotencyKey;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::PageRequest;
use crate::repository::single;
use crate::repository::written;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::OrderQuery;
use crate::spi::store::Put;
use crate::spi::store::ReadCheck;
use crate::spi::store::StockStep;

/// Levels in one part: with the lines of a hold and some shares of spread levels they fit every store. The keys of parts rest on
/// it: with another number they need another [`scope`].
const LEVELS: usize = 20;

/// The key by which an order that was placed says, once it is releasing, that all of its parts are to be given back.
const ALL: &str = "all";

/// Orders in one look for those that nobody finishes.
const STEP: u32 = 100;

/// Takes every part of an order that is allocating; what `hold` keeps of a part is used up by it.
///
/// - A part that was taken before is not taken again.
///
/// # Errors
/// - `InsufficientStock` with the short levels of the first part that is short: nothing of that part is taken.
/// - `Conflict` when the order has moved on.
pub(crate) async fn take(
    context: &Context,
    order: &Order,
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<()> {
    for (number, part) in stock::allocate(order)?.chunks(LEVELS).enumerate() {
        let key = format!("take-{number}");
        let mut set = context.write_set();
        set.idempotent(once(order.id, &key)?).read(as_it_was(order));
        if let Some(unhold) = hold.and_then(|hold| unhold(hold, part)) {
            set.delta(unhold);
        }
        for step in part {
            set.delta(Delta::Stock(step.clone()));
        }
        set.event("order.allocating");
        match context.commit(set, deadline).await {
            Ok(_) => {}
            // Another caller of the same key took the part, and with it the units that are missing now.
            Err(error) if error.is(ErrorKind::InsufficientStock) => {
                if !is_done(context, order.id, &key, deadline).await? {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
/// `Conflict` when another caller has done so meanwhile.
pub(crate) async fn release(context: &Context, order: &Order, deadline: Deadline) -> Result<Arc<Order>> {
    let steps = stock::release(order)?;
    let parts: Vec<&[StockStep]> = steps.chunks(LEVELS).collect();
    let taken = taken(context, order.id, parts.len(), deadline).await?;
    for (number, part) in parts.into_iter().enumerate() {
        if !taken[number] {
            continue;
        }
        let mut set = context.write_set();
        set.idempotent(once(order.id, &format!("release-{number}"))?)
            .read(as_it_was(order));
        for step in part {
            set.delta(Delta::Stock(step.clone()));
        }
        set.event("order.releasing");
        context.commit(set, deadline).await?;
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

/// Opens a hold in parts; gives back what it has when a part is refused.
///
/// # Errors
/// Those of the part that was refused.
pub(crate) async fn hold(
    context: &Context,
    lines: &[HoldLine],
    ttl: Duration,
    deadline: Deadline,
) -> Result<Hold> {
    let id = HoldId::new();
    let merged = stock::merged(lines)?;
    let mut expires_at = None;
    for (number, part) in stock::hold(lines, id, ttl)?.chunks(LEVELS).enumerate() {
        let mut set = context.write_set();
        for step in part {
            set.delta(Delta::Stock(step.clone()));
        }
        match context.commit(set, deadline).await {
            // The first part ends first.
            Ok(committed) => expires_at = expires_at.or(Some(Expiry::In(ttl).resolved(committed.at))),
            Err(error) => {
                // What may have been held in doubt, too: giving back what is not there is harmless.
                let parts = number + usize::from(error.is(ErrorKind::OutcomeUnknown));
                let held = &merged[..(parts * LEVELS).min(merged.len())];
                if let Err(error) = unhold_all(context, id, held, deadline).await {
                    tracing::debug!(kind = ?error.kind(), "parts of a hold are left to end by themselves");
                }
                return Err(error);
            }
        }
    }
    Ok(Hold {
        id,
        lines: merged,
        expires_at: expires_at.unwrap_or_else(|| context.now()),
        alive: true,
    })
}

/// Ends a hold in parts.
pub(crate) async fn unhold_all(
    context: &Context,
    hold: HoldId,
    lines: &[HoldLine],
    deadline: Deadline,
) -> Result<()> {
    for part in lines.chunks(LEVELS) {
        let mut set = context.write_set();
        set.delta(stock::unhold(hold, part));
        context.commit(set, deadline).await?;
    }
    Ok(())
}

/// The end of what a hold keeps on the levels of a part, if it keeps anything there.
fn unhold(hold: &Hold, part: &[StockStep]) -> Option<Delta> {
    let of_part = |line: &&HoldLine| {
        part.iter()
            .any(|step| step.sku == line.sku && step.location == line.location)
    };
    let lines: Vec<HoldLine> = hold.lines.iter().filter(of_part).cloned().collect();
    (!lines.is_empty()).then(|| stock::unhold(hold.id, &lines))
}

/// The order must still be what it was.
fn as_it_was(order: &Order) -> ReadCheck {
    ReadCheck {
        aggregate: Aggregate::Order,
        key: order.key(),
        version: Some(order.version),
    }
}

/// The scope of the keys of an order's parts.
fn scope(order: OrderId) -> String {
    format!("order.parts/{order}")
}

/// The key under which a part is moved once.
fn once(order: OrderId, key: &str) -> Result<Idempotency> {
    Ok(Idempotency {
        scope: scope(order),
        key: IdempotencyKey::new(key)?,
        fingerprint: Sha256::digest(key).into(),
        owner: order.uuid(),
    })
}

/// Which parts of an order were taken. Once the order is releasing no more will be.
async fn taken(context: &Context, order: OrderId, parts: usize, deadline: Deadline) -> Result<Vec<bool>> {
    let space = Idempotency::space(&scope(order));
    let names = (0..parts).map(|number| format!("take-{number}"));
    let keys: Vec<_> = std::iter::once(ALL.to_owned())
        .chain(names)
        .map(|key| (space.clone(), key))
        .collect();
    let found = context.claims(Aggregate::Order)?.find(&keys, deadline).await?;
    let all = found.first().is_some_and(Option::is_some);
    let mut taken: Vec<bool> = found.iter().skip(1).map(|key| all || key.is_some()).collect();
    taken.resize(parts, all);
    Ok(taken)
}

async fn is_done(context: &Context, order: OrderId, key: &str, deadline: Deadline) -> Result<bool> {
    let place = (Idempotency::space(&scope(order)), key.to_owned());
    let found = context.claims(Aggregate::Order)?.find(&[place], deadline).await?;
    Ok(single(found).is_some())
}

async fn load(context: &Context, id: OrderId, deadline: Deadline) -> Result<Arc<Order>> {
    let found = single(context.orders()?.get_many(&[id], deadline).await?);
    found.ok_or_else(|| Error::not_found(format!("order {id}")))
}
