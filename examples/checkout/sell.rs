//! From an empty cart to a paid order that is on its way: declined first, then paid, then paid again by mistake.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockroom::Address;
use stockroom::Cart;
use stockroom::CartId;
use stockroom::IdempotencyKey;
use stockroom::Level;
use stockroom::Order;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::PaymentStatus;
use stockroom::Sku;
use stockroom::Stockroom;

use crate::Outcome;
use crate::checks::Checks;
use crate::import;
use crate::print;
use crate::provider::Acme;
use crate::provider::Card;
use crate::shelf::Pick;

/// Sells the picks: a card without money, a good one, and the same request once more.
pub(crate) async fn paid_order(shop: &Stockroom, picks: &[Pick], checks: &mut Checks) -> Outcome {
    let before = levels(shop, picks).await?;
    let acme = Acme::default();
    let cart = fill(shop, picks).await?;
    print::heading("A cart");
    println!("{}", print::cart(&cart, picks));
    let quote = shop.checkout().quote(cart.id).await?;
    println!("{}", print::quote(&quote));

    print::heading("Paying with an empty card");
    let pay = |attempt| pay(cart.id, attempt);
    let declined = shop
        .checkout()
        .pay(pay(1)?, |due| acme.charge(Card::Empty, due))
        .await?;
    if let Paid::Declined { order, reason, .. } = &declined {
        println!("  declined: {reason}; order {} is {}", order.id, order.status);
    }
    checks.that(
        "a declined order is cancelled",
        declined.order().status == OrderStatus::Cancelled,
    );
    checks.that(
        "its stock is free again",
        available(&levels(shop, picks).await?) == available(&before),
    );
    checks.that(
        "its cart is open again",
        shop.carts().require(cart.id).await?.is_open(),
    );

    print::heading("Paying with a good card");
    let paid = shop
        .checkout()
        .pay(pay(2)?, |due| acme.charge(Card::Good, due))
        .await?;
    let order = Arc::clone(paid.order());
    print::order(&order);
    checks.that("the order is placed and paid", is_paid(&order));
    checks.that("the order costs what was quoted", order.total == quote.total);
    checks.that(
        "its stock is allocated",
        taken(&before, &levels(shop, picks).await?) == units(picks),
    );

    print::heading("The same request once more");
    let again = shop
        .checkout()
        .pay(pay(2)?, |due| acme.charge(Card::Good, due))
        .await?;
    println!(
        "  replayed: {}, order {}, the provider was called {} times",
        again.replayed(),
        again.order().id,
        acme.calls()
    );
    checks.that(
        "a repeated key gives the same order",
        again.replayed() && again.order().id == order.id,
    );
    checks.that(
        "the provider was not called again",
        (acme.calls(), acme.charges()) == (2, 1),
    );
    ship(shop, &order, checks).await
}

/// Sends the whole order, and tells its history.
async fn ship(shop: &Stockroom, order: &Order, checks: &mut Checks) -> Outcome {
    let all: Vec<_> = order
        .lines
        .iter()
        .map(|line| (line.number, line.quantity))
        .collect();
    let sent = shop.orders().ship(order, &all).await?;
    let done = shop.orders().complete(&sent).await?;
    print::heading("Shipped; what happened to the order, latest first");
    let history = shop.orders().history(done.id, PageRequest::default()).await?;
    println!("{}", print::history(&history.items));
    checks.that("the order is completed", done.status == OrderStatus::Completed);
    Ok(())
}

/// Stock and its ledger, and whether they agree.
pub(crate) async fn ledger(shop: &Stockroom, picks: &[Pick], checks: &mut Checks) -> Outcome {
    print::heading("Stock");
    let levels = levels(shop, picks).await?;
    println!("{}", print::levels(levels.values(), picks));
    let pick = picks.first().ok_or("nothing was sold")?;
    print::heading(&format!("The ledger of {}, latest first", pick.title));
    let movements = shop
        .inventory()
        .movements(pick.sku.clone(), &import::warehouse()?, PageRequest::default())
        .await?;
    println!("{}", print::movements(&movements.items));

    print::heading("The books");
    let report = shop.inventory().verify_ledger().await?;
    println!(
        "  {} levels against {} movements, {} differ",
        report.levels,
        report.movements,
        report.drift.len()
    );
    checks.that("every level is the sum of its movements", report.is_consistent());
    checks.that(
        "nothing is allocated or held any more",
        levels.values().all(|level| level.allocated + level.held == 0),
    );
    Ok(())
}

/// A guest's cart with the picks.
pub(crate) async fn fill(shop: &Stockroom, picks: &[Pick]) -> Outcome<Arc<Cart>> {
    let cart = shop.carts().create(Owner::Guest).await?;
    for pick in picks {
        shop.carts().add(cart.id, pick.sku.clone(), pick.units).await?;
    }
    Ok(shop.carts().require(cart.id).await?)
}

/// The request to pay a cart. Its key names the intent: a new attempt has a new one, a repeated request the same.
fn pay(cart: CartId, attempt: u32) -> stockroom::Result<Pay> {
    let key = IdempotencyKey::new(format!("pay-{cart}-{attempt}"))?;
    let address = Address::new("Ada Lovelace", "12 Market Street", "Springfield", "12345", "US")?;
    Ok(Pay::cart(cart)
        .provider(Acme::name()?)
        .email("ada@example.com")
        .ship_to(address)
        .key(key))
}

/// The levels of the picks in the warehouse.
pub(crate) async fn levels(shop: &Stockroom, picks: &[Pick]) -> Outcome<BTreeMap<Sku, Level>> {
    let skus: Vec<_> = picks.iter().map(|pick| pick.sku.clone()).collect();
    let levels = shop.inventory().levels_many(&skus).await?;
    Ok(levels
        .into_iter()
        .map(|level| (level.sku.clone(), level))
        .collect())
}

/// What can still be sold of each.
pub(crate) fn available(levels: &BTreeMap<Sku, Level>) -> BTreeMap<Sku, i64> {
    levels
        .iter()
        .map(|(sku, level)| (sku.clone(), level.available()))
        .collect()
}

/// How much less of each can be sold than before.
fn taken(before: &BTreeMap<Sku, Level>, now: &BTreeMap<Sku, Level>) -> BTreeMap<Sku, i64> {
    let now = available(now);
    let difference = |(sku, was): (Sku, i64)| {
        let is = now.get(&sku).copied().unwrap_or_default();
        (sku, was - is)
    };
    available(before).into_iter().map(difference).collect()
}

fn units(picks: &[Pick]) -> BTreeMap<Sku, i64> {
    picks.iter().map(|pick| (pick.sku.clone(), pick.units)).collect()
}

fn is_paid(order: &Order) -> bool {
    order.status == OrderStatus::Placed && order.payment_status() == PaymentStatus::Paid
}
