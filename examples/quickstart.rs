//! A shop in memory: one product, ten units, one paid order. `cargo run --release --example quickstart`

use stockroom::{
    Charge, Currency, Due, Error, IdempotencyKey, LocationId, Money, NewProduct, Owner, Pay, PaymentStatus, Reference,
    Stockroom,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = Stockroom::open("sqlite::memory:").await?;
    let mug = NewProduct::new("Mug").variant("MUG-BLUE", Money::new(9_50, Currency::USD));
    shop.products().create(mug).await?;
    shop.inventory().receive("MUG-BLUE", &LocationId::new("warehouse")?, 10).await?;

    let cart = shop.carts().create(Owner::Guest).await?;
    shop.carts().add(cart.id, "MUG-BLUE", 2).await?;

    // Here an application asks its payment provider and hands it `due.provider_key` as the idempotency key.
    let charge = |due: Due| async move { Ok::<_, Error>(Charge::captured(Reference::new(due.provider_key)?)) };
    let pay = Pay::cart(cart.id).key(IdempotencyKey::new(format!("pay-{}", cart.id))?);
    let paid = shop.checkout().pay(pay, charge).await?;

    let level = shop.inventory().levels("MUG-BLUE").await?.remove(0);
    println!("order {}: {}, {}", paid.order().id, paid.order().total, paid.order().payment_status());
    println!("{}: {} on hand, {} available", level.sku, level.on_hand, level.available());
    assert_eq!((paid.order().payment_status(), level.available()), (PaymentStatus::Paid, 8));
    Ok(())
}
