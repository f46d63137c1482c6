//! An order on account that is cancelled, and a cart that wants more than there is.

use std::time::Duration;

use stockroom::CancelReason;
use stockroom::ErrorKind;
use stockroom::IdempotencyKey;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::Place;
use stockroom::Stockroom;

use crate::Outcome;
use crate::checks::Checks;
use crate::print;
use crate::sell::available;
use crate::sell::fill;
use crate::sell::levels;
use crate::shelf::Pick;

/// How long the stock of a quote is kept for the customer.
const THINKING: Duration = Duration::from_secs(600);

/// Quotes, holds, places, and cancels: what was taken is there again.
pub(crate) async fn cancelled_order(shop: &Stockroom, picks: &[Pick], checks: &mut Checks) -> Outcome {
    print::heading("An order on account, cancelled by the customer");
    let before = available(&levels(shop, picks).await?);
    let cart = fill(shop, picks).await?;
    let quote = shop.checkout().quote(cart.id).await?;
    let hold = shop.checkout().hold(&quote, THINKING).await?;
    let held = levels(shop, picks).await?;
    let key = IdempotencyKey::new(format!("place-{}", cart.id))?;
    let placed = shop
        .checkout()
        .place(Place::quote(quote).hold(hold).key(key))
        .await?
        .order;
    let ordered = levels(shop, picks).await?;
    let cancelled = shop.checkout().cancel(placed.id, CancelReason::Customer).await?;
    print::order(&cancelled);

    checks.that("what is held cannot be sold", available(&held) != before);
    checks.that(
        "the order uses up its hold",
        available(&ordered) == available(&held),
    );
    checks.that(
        "the order is cancelled",
        cancelled.status == OrderStatus::Cancelled,
    );
    checks.that(
        "its stock is there again",
        available(&levels(shop, picks).await?) == before,
    );
    Ok(())
}

/// Asks for one unit more than there is.
pub(crate) async fn more_than_there_is(shop: &Stockroom, picks: &[Pick], checks: &mut Checks) -> Outcome {
    print::heading("One more than there is");
    let pick = picks.last().ok_or("nothing was picked")?;
    let there = levels(shop, picks)
        .await?
        .get(&pick.sku)
        .map_or(0, stockroom::Level::available);
    let cart = shop.carts().create(Owner::Guest).await?;
    shop.carts().add(cart.id, pick.sku.clone(), there + 1).await?;
    let key = IdempotencyKey::new(format!("place-{}", cart.id))?;
    match shop.checkout().place(Place::cart(cart.id).key(key)).await {
        Ok(placed) => checks.that(&format!("order {} is refused", placed.order.id), false),
        Err(error) => {
            println!("  {error}");
            let short = error.shortages().first();
            let told = short.is_some_and(|short| (short.requested, short.available) == (there + 1, there));
            checks.that(
                "it is refused, with what is short",
                error.is(ErrorKind::InsufficientStock) && told,
            );
        }
    }
    Ok(())
}
