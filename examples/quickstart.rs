//! A shop in memory: one product, ten units, one paid order. `cargo run --release --example quickstart`

use stockroom::{Charge, Currency, Due, IdempotencyKey, LocationId, Money};
use stockroom::{NewProduct, Owner, Pay, PaymentStatus, Reference, Stockroom};

#[tokio::main]
async fn main() -> stockroom::Result<()> {
    let shop = Stockroom::open("sqlite::memory:").await?;
    let (products, carts, stock) = (shop.products(), shop.carts(), shop.inventory());
    let mug = NewProduct::new("Mug").variant("MUG-BLUE", Money::new(9_50, Currency::USD));
    products.create(mug).await?;
    stock.receive("MUG-BLUE", &LocationId::new("berlin")?, 10).await?;

    let cart = carts.create(Owner::Guest).await?;
    carts.add(cart.id, "MUG-BLUE", 2).await?;
    let key = IdempotencyKey::new(format!("pay-{}", cart.id))?;
    let paid = shop.checkout().pay(Pay::cart(cart.id).key(key), charge).await?;

    let (order, left) = (paid.order(), stock.levels("MUG-BLUE").await?[0].available());
    println!("order {}: {}; {left} mugs left", order.id, order.total);
    assert_eq!((order.payment_status(), left), (PaymentStatus::Paid, 8));
    Ok(())
}

/// An application asks its payment provider here, with `provider_key` as the provider's idempotency key.
async fn charge(due: Due) -> stockroom::Result<Charge> {
    Ok(Charge::captured(Reference::new(due.provider_key)?))
}
