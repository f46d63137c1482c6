//! Carts in one SQLite file, everything else in another: a checkout over both, and what becomes of a line that the customer adds
//! while the payment runs. It checks what it shows, and fails if that is not so.
//!
//! ```sh
//! cargo run --release --example placement
//! ```

use std::path::Path;
use std::sync::Arc;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use stockroom::{
    Aggregate, Cart, CartId, CartStatus, Charge, Currency, Due, Error, ErrorKind, IdempotencyKey,
};
use stockroom::{LocationId, Money, NewProduct, Order, Owner, Paid, Pay, Place, Quantity, Reference, Result};
use stockroom::{Sku, SqliteOptions, SqliteStore, Stockroom};

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("stockroom-placement-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&folder)?;
    let shown = show(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    Ok(shown?)
}

async fn show(folder: &Path) -> Result<()> {
    let carts = open(folder, "carts.db").await?;
    let shop = Stockroom::builder()
        .store(open(folder, "shop.db").await?)
        .place([Aggregate::Cart], carts)
        .open()
        .await?;
    where_it_lies(&shop);
    stock(&shop).await?;

    println!("\n1. One write over two stores is refused before anything is written.");
    refused(&shop).await?;

    println!("\n2. A cart is paid; while the provider is asked, the customer adds a cup and one more mug.");
    let cart = shop.carts().create(Owner::Guest).await?.id;
    shop.carts().add(cart, "MUG", 2).await?;
    let charge = async |due: Due| {
        shop.carts().add(cart, "CUP", 1).await?;
        shop.carts().add(cart, "MUG", 1).await?;
        Ok::<_, Error>(Charge::captured(Reference::new(due.provider_key)?))
    };
    let key = IdempotencyKey::new(format!("pay-{cart}"))?;
    let paid = shop.checkout().pay(Pay::cart(cart).key(key), charge).await?;
    let Paid::Order { order: first, .. } = paid else {
        return Err(unlike("the payment became an order"));
    };
    check(units(&first) == 2, "what was paid for is what was ordered")?;

    println!("\n3. The late lines are in a new cart, which is ordered by itself.");
    let closed = shop.carts().require(cart).await?;
    check(closed.status == CartStatus::Ordered, "the cart is closed")?;
    let next = shop.carts().current(cart).await?;
    let next = next.ok_or_else(|| unlike("the late lines are in a cart"))?;
    print_carts(&[&closed, &next]);
    let place = Place::cart(next.id).key(IdempotencyKey::new(format!("place-{}", next.id))?);
    let second = shop.checkout().place(place).await?.order;
    check(units(&second) == 2, "a cup and a mug")?;
    check(
        shop.carts().current(cart).await?.is_none(),
        "nothing is left to order",
    )?;

    println!("\n4. Two orders, one ledger.");
    print_orders(&[first, second]);
    let report = shop.inventory().verify_ledger().await?;
    check(report.is_consistent(), "the ledger adds up")?;
    let left = shop.inventory().levels("MUG").await?[0].available();
    check(left == 17, "three of twenty mugs are promised")?;
    println!("{left} of 20 mugs are left; every unit that was added is in one order.");
    shop.close().await;
    Ok(())
}

async fn open(folder: &Path, file: &str) -> Result<SqliteStore> {
    let url = format!("sqlite://{}", folder.join(file).display());
    SqliteStore::open(SqliteOptions::new(url)).await
}

/// Twenty mugs and cups.
async fn stock(shop: &Stockroom) -> Result<()> {
    let berlin = LocationId::new("berlin")?;
    for (title, sku) in [("Mug", "MUG"), ("Cup", "CUP")] {
        let price = Money::new(9_50, Currency::USD);
        shop.products()
            .create(NewProduct::new(title).variant(sku, price))
            .await?;
        shop.inventory().receive(sku, &berlin, 20).await?;
    }
    Ok(())
}

/// A cart and a level in one unit of work.
async fn refused(shop: &Stockroom) -> Result<()> {
    let both = shop.transaction(|tx| async move {
        tx.carts().create(Owner::Guest)?;
        let (sku, berlin) = (Sku::new("MUG")?, LocationId::new("berlin")?);
        tx.inventory().receive(&sku, &berlin, Quantity::ONE)
    });
    match both.await {
        Err(error) if error.is(ErrorKind::Unsupported) => {
            println!("   {error}");
            Ok(())
        }
        other => Err(unlike(&format!("it is refused, not {other:?}"))),
    }
}

fn where_it_lies(shop: &Stockroom) {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(["aggregate", "file", "engine"]);
    for kind in Aggregate::ALL {
        let store = shop.store_of(*kind);
        let apart = !Arc::ptr_eq(store, shop.store());
        let file = if apart { "carts.db" } else { "shop.db" };
        table.add_row([kind.as_str(), file, store.capability().engine]);
    }
    println!("{table}");
}

fn print_carts(carts: &[&Cart]) {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(["cart", "status", "lines"]);
    for cart in carts {
        let lines = cart
            .lines
            .iter()
            .map(|line| format!("{} × {}", line.quantity, line.sku));
        let lines: Vec<_> = lines.collect();
        table.add_row([short(cart.id), cart.status.to_string(), lines.join(", ")]);
    }
    println!("{table}");
}

fn print_orders(orders: &[Arc<Order>]) {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(["of cart", "status", "payment", "units", "total"]);
    for order in orders {
        table.add_row([
            order.cart.map(short).unwrap_or_default(),
            order.status.to_string(),
            order.payment_status().to_string(),
            units(order).to_string(),
            order.total.to_string(),
        ]);
    }
    println!("{table}");
}

/// The end of an identity, which tells the two apart.
fn short(cart: CartId) -> String {
    let text = cart.to_string();
    format!("…{}", text.rsplit('-').next().unwrap_or_default())
}

fn units(order: &Order) -> i64 {
    order.lines.iter().map(|line| line.quantity.get()).sum()
}

fn check(is_so: bool, what: &str) -> Result<()> {
    if is_so { Ok(()) } else { Err(unlike(what)) }
}

fn unlike(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("it is not so: {what}"))
}
