//! The application's own table and the shop's, in one transaction: an order is shipped, and its customer is given points.
//! Both happen or neither does. It checks what it shows, and fails if that is not so.
//!
//! ```sh
//! cargo run --release --features full --example own_tables                      # SQLite, in a temporary file
//! cargo run --release --features full --example own_tables -- postgres://…      # PostgreSQL, in a schema of its own
//! ```

mod desk;

use desk::Desk;
use stockroom::{Currency, Error, ErrorKind, FulfilmentStatus, IdempotencyKey, LocationId, Money};
use stockroom::{NewProduct, Order, OrderId, Owner, Place, Quantity, Result, Staged, Stockroom};

/// A point for each dollar; nobody gathers more than this many.
const MOST_POINTS: i64 = 100;

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut desk = Desk::open(std::env::args().nth(1)).await?;
    desk.run(&format!(
        "CREATE TABLE points (order_id text PRIMARY KEY, points bigint NOT NULL CHECK (points <= {MOST_POINTS}))"
    ))
    .await?;
    let shop = desk.shop().clone();
    let small = order(&shop, "MUG", 2).await?;
    let large = order(&shop, "MUG", 12).await?;

    println!("1. An order is shipped, and its points are given: one commit.");
    ship(&mut desk, &shop, small.id).await?;
    show(&mut desk, &shop, small.id, (FulfilmentStatus::Fulfilled, 18)).await?;

    println!("2. The application's own rule refuses: the shipment is not made either.");
    let refused = ship(&mut desk, &shop, large.id).await;
    check(refused.is_err(), "108 points are more than anybody may have")?;
    show(&mut desk, &shop, large.id, (FulfilmentStatus::Unfulfilled, 0)).await?;

    println!(
        "3. The shop refuses, since another one was faster: no points, and the transaction is as it was."
    );
    let late = shipment(&shop, large.id).await?;
    let another = shop.orders().require(large.id).await?;
    shop.checkout()
        .cancel(another.id, stockroom::CancelReason::Customer)
        .await?;
    desk.run("BEGIN").await?;
    desk.give(&large, 1).await?;
    let joined = desk.join(late).await;
    desk.run("ROLLBACK").await?;
    let kind = joined.map(drop).err().map(|error| error.kind());
    check(
        kind == Some(ErrorKind::Conflict),
        "the order was cancelled meanwhile",
    )?;
    show(&mut desk, &shop, large.id, (FulfilmentStatus::Unfulfilled, 0)).await?;

    let left = shop.inventory().levels("MUG").await?[0].on_hand;
    check(left == 18, "two of twenty mugs have left the shelf")?;
    println!("{left} of 20 mugs are on the shelf; points and shipments agree.");
    desk.close().await?;
    Ok(())
}

/// What the shop is to do: staged before the transaction begins, so that no lock is held while it reads.
async fn shipment(shop: &Stockroom, id: OrderId) -> Result<Staged<()>> {
    shop.stage(|tx| async move {
        let order = tx.orders().require(id).await?;
        let lines: Vec<(u32, Quantity)> = order
            .lines
            .iter()
            .map(|line| (line.number, line.quantity))
            .collect();
        tx.orders().ship(&order, &lines)?;
        tx.inventory().ship(&order, &lines)?;
        tx.event("points.given")
    })
    .await
}

/// Ships an order and gives its points, or does neither.
async fn ship(
    desk: &mut Desk,
    shop: &Stockroom,
    id: OrderId,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let order = shop.orders().require(id).await?;
    let staged = shipment(shop, id).await?;
    desk.begin().await?;
    let pending = desk.join(staged).await?;
    if let Err(error) = desk.give(&order, order.total.minor() / 100).await {
        desk.run("ROLLBACK").await?;
        return Err(error.into());
    }
    desk.run("COMMIT").await?;
    pending.done().await;
    Ok(())
}

/// Prints what both sides hold, and compares it with what it should be.
async fn show(
    desk: &mut Desk,
    shop: &Stockroom,
    id: OrderId,
    expected: (FulfilmentStatus, i64),
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let order = shop.orders().require(id).await?;
    let points = desk.points(id).await?;
    println!(
        "   order of {}: {:?}, shipped {:?}, {points} points",
        order.total, order.status, order.fulfilment
    );
    Ok(check(
        (order.fulfilment, points) == expected,
        "shop and points differ",
    )?)
}

fn check(holds: bool, what: &'static str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, what))
}

/// An order of so many mugs at 9.00; the first one stocks the shelf.
async fn order(shop: &Stockroom, sku: &str, mugs: i64) -> Result<std::sync::Arc<Order>> {
    if shop.products().find_by_sku(sku).await?.is_none() {
        let mug = NewProduct::new("Mug").variant(sku, Money::new(9_00, Currency::USD));
        shop.products().create(mug).await?;
        shop.inventory()
            .receive(sku, &LocationId::new("berlin")?, 20)
            .await?;
    }
    let cart = shop.carts().create(Owner::Guest).await?;
    shop.carts().add(cart.id, sku, mugs).await?;
    let key = IdempotencyKey::new(format!("place-{}", cart.id))?;
    let placed = shop.checkout().place(Place::cart(cart.id).key(key)).await?;
    Ok(placed.order)
}
