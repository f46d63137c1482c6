//! Two customers: one adds to the cart while the card is charged, the other's cart is on a server that dies meanwhile.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use stockroom::CartId;
use stockroom::CartStatus;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::IdempotencyKey;
use stockroom::Order;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::Reference;
use stockroom::Stockroom;
use stockroom::UserId;
use stockroom::testkit::engines::Redis;

use crate::Outcome;
use crate::checks::Checks;
use crate::goods::Shelf;

/// How long the feed may take to close a cart once its server is back.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn with_a_late_line(
    shop: &Stockroom,
    shelf: &Shelf,
    checks: &mut Checks,
) -> Outcome<Arc<Order>> {
    let user = UserId::new();
    let cart = shop.carts().create(Owner::User(user)).await?.id;
    shop.carts().add(cart, shelf.skus[0].clone(), 2).await?;
    shop.carts().add(cart, shelf.skus[1].clone(), 1).await?;
    let charge = async |due: Due| {
        println!("  the card is charged {}; the customer adds one more", due.amount);
        shop.carts().add(cart, shelf.skus[2].clone(), 1).await?;
        captured(due)
    };
    let order = pay(shop, cart, charge).await?;
    println!("  order {} of {} units, {}", order.id, units(&order), order.total);
    checks.that("what was paid for is what was ordered", units(&order) == 3);
    checks.that("the cart is closed", closes(shop, cart).await?);
    let next = shop.carts().active(user).await?;
    let moved = next.is_some_and(|next| next.id == cart.successor() && next.lines.len() == 1);
    checks.that("what came too late is in the customer's next cart", moved);
    Ok(order)
}

pub(crate) async fn while_redis_is_down(
    shop: &Stockroom,
    shelf: &Shelf,
    redis: &Redis,
    checks: &mut Checks,
) -> Outcome<Arc<Order>> {
    let cart = shop.carts().create(Owner::Guest).await?.id;
    shop.carts().add(cart, shelf.skus[3].clone(), 3).await?;
    let charge = async |due: Due| {
        redis
            .kill()
            .map_err(|error| Error::new(ErrorKind::Internal, "Redis could not be killed").caused_by(error))?;
        println!("  kill -9, then the card is charged {}", due.amount);
        captured(due)
    };
    let order = pay(shop, cart, charge).await?;
    checks.that(
        "the order is placed and paid without Redis",
        order.status == OrderStatus::Placed && units(&order) == 3,
    );
    let gone = shop.carts().get(cart).await;
    checks.that(
        "its cart cannot be read",
        gone.is_err_and(|error| error.is(ErrorKind::Unavailable)),
    );
    redis.restart()?;
    let begun = Instant::now();
    let closed = closes(shop, cart).await?;
    println!("  restarted; the cart was closed {:.1?} later", begun.elapsed());
    checks.that("the cart survived its server, and the feed closed it", closed);
    Ok(order)
}

/// Whether the cart is closed, as soon as it is: on a slow machine the feed does it.
pub(crate) async fn closes(shop: &Stockroom, cart: CartId) -> Outcome<bool> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match shop.carts().get(cart).await {
            Ok(Some(found)) if found.status == CartStatus::Ordered => return Ok(true),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            // The client is not back yet.
            Err(error) if error.is(ErrorKind::Unavailable) || error.is(ErrorKind::Timeout) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(false)
}

async fn pay<F, Fut>(shop: &Stockroom, cart: CartId, charge: F) -> Outcome<Arc<Order>>
where
    F: Fn(Due) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Charge, Error>> + Send,
{
    let key = IdempotencyKey::new(format!("pay-{cart}"))?;
    match shop.checkout().pay(Pay::cart(cart).key(key), charge).await? {
        Paid::Order { order, .. } => Ok(order),
        other => Err(format!("the payment of cart {cart} ended in {other:?}").into()),
    }
}

/// A provider that takes no money.
fn captured(due: Due) -> Result<Charge, Error> {
    Ok(Charge::captured(Reference::new(due.provider_key)?))
}

fn units(order: &Order) -> i64 {
    order.lines.iter().map(|line| line.quantity.get()).sum()
}
