//! A crowd that wants more than there is: carts on Redis, one level on PostgreSQL.

use std::sync::Arc;
use std::time::Instant;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::IdempotencyKey;
use stockroom::Order;
use stockroom::Owner;
use stockroom::Place;
use stockroom::Sku;
use stockroom::Stockroom;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::checks::Checks;
use crate::goods::LAST;
use crate::goods::Shelf;
use crate::sell;

const CUSTOMERS: usize = 40;

/// The orders of those who were served.
pub(crate) async fn for_the_last(
    shop: &Stockroom,
    shelf: &Shelf,
    checks: &mut Checks,
) -> Outcome<Vec<Arc<Order>>> {
    let (begun, rare) = (Instant::now(), shelf.rare()?.clone());
    let mut crowd = JoinSet::new();
    for _ in 0..CUSTOMERS {
        crowd.spawn(buy(shop.clone(), rare.clone()));
    }
    let (mut sold, mut late) = (Vec::new(), 0);
    for outcome in crowd.join_all().await {
        match outcome {
            Ok(order) => sold.push(order),
            Err(error) if error.is(ErrorKind::InsufficientStock) => late += 1,
            Err(error) => return Err(error.into()),
        }
    }
    println!(
        "  {} were served, {late} came too late, in {:.1?}",
        sold.len(),
        begun.elapsed()
    );
    checks.that(
        "exactly the last ten were sold",
        i64::try_from(sold.len())? == LAST,
    );
    let mut closed = 0;
    for cart in sold.iter().filter_map(|order| order.cart) {
        closed += usize::from(sell::closes(shop, cart).await?);
    }
    checks.that(
        "the carts of those who were served are closed",
        closed == sold.len(),
    );
    Ok(sold)
}

async fn buy(shop: Stockroom, sku: Sku) -> Result<Arc<Order>, Error> {
    let cart = shop.carts().create(Owner::Guest).await?.id;
    shop.carts().add(cart, sku, 1).await?;
    let key = IdempotencyKey::new(format!("place-{cart}"))?;
    let placed = shop.checkout().place(Place::cart(cart).key(key)).await?;
    Ok(placed.order)
}
