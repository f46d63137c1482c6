//! Numbers: quantities, amounts, lengths of time, currencies that do not mix.

use std::time::Duration;

use stockroom::Charge;
use stockroom::Currency;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::HoldLine;
use stockroom::LineKey;
use stockroom::MAX_LINE_QUANTITY;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Options;
use stockroom::Pay;
use stockroom::PaymentFact;
use stockroom::Place;
use stockroom::Provider;
use stockroom::Quantity;
use stockroom::TaxRate;

use super::Furnished;
use super::invalid;
use super::refused;
use crate::support::Ground;
use crate::support::berlin;
use crate::support::key;
use crate::support::on;
use crate::support::reference;
use crate::support::sku;
use crate::support::units;
use crate::support::usd;

on!([file postgres dynamodb]
    numbers_out_of_bounds_are_refused_by_field
    sums_that_overflow_are_refused_by_field
);

async fn numbers_out_of_bounds_are_refused_by_field(ground: Ground) {
    let furnished = Furnished::new(ground).await;
    furnished.unchanged(async || quantities(&furnished).await).await;
    furnished.unchanged(async || times(&furnished).await).await;
    furnished.unchanged(async || currencies(&furnished).await).await;
    furnished.unchanged(async || shortages(&furnished).await).await;
}

async fn quantities(furnished: &Furnished) {
    let shop = &furnished.shop;
    let line = LineKey::of(&sku("MUG"), &Options::new());
    for bad in [0, -1, 1_000_001, i64::MAX, i64::MIN] {
        invalid(Quantity::new(bad), "quantity");
        invalid(shop.carts().add(furnished.cart, "MUG", bad).await, "quantity");
        invalid(
            shop.carts().set_quantity(furnished.cart, &line, bad).await,
            "quantity",
        );
        invalid(shop.inventory().receive("MUG", &berlin(), bad).await, "quantity");
    }
    invalid(
        shop.carts()
            .add(furnished.cart, "MUG", MAX_LINE_QUANTITY + 1)
            .await,
        "quantity",
    );
    // Each is allowed, both together are not.
    invalid(
        shop.carts().add(furnished.cart, "MUG", MAX_LINE_QUANTITY).await,
        "quantity",
    );
    invalid(
        shop.carts()
            .set_quantity(furnished.cart, &line, MAX_LINE_QUANTITY + 1)
            .await,
        "quantity",
    );
    for bad in [0, 1_000_001, -1_000_001, i64::MAX, i64::MIN] {
        invalid(
            shop.inventory().adjust("MUG", &berlin(), bad, "").await,
            "quantity",
        );
    }
    // More than lies there: the store finds out, and names the counter.
    invalid(
        shop.inventory().adjust("MUG", &berlin(), -101, "").await,
        "on_hand",
    );
    invalid(
        shop.inventory().adjust("NEVER", &berlin(), -1, "").await,
        "on_hand",
    );
    for bad in [-1, 1_000_001, i64::MAX] {
        invalid(
            shop.inventory().set_backorder_limit("MUG", &berlin(), bad).await,
            "backorder_limit",
        );
    }
    let order = shop.orders().require(furnished.order).await.unwrap();
    invalid(shop.orders().ship(&order, &[(1, units(2))]).await, "quantity");
    invalid(shop.orders().ship(&order, &[(2, units(1))]).await, "lines");
    invalid(shop.orders().ship(&order, &[]).await, "lines");
    invalid(TaxRate::basis_points(10_001), "tax_rate");
}

async fn times(furnished: &Furnished) {
    let shop = &furnished.shop;
    let line = [HoldLine {
        sku: sku("MUG"),
        location: berlin(),
        quantity: units(1),
    }];
    let quote = shop.checkout().quote(furnished.cart).await.unwrap();
    let charge = |_: Due| async { Ok::<_, Error>(Charge::declined("never asked")) };
    for ttl in [
        Duration::ZERO,
        Duration::from_secs(31 * 24 * 60 * 60),
        Duration::MAX,
    ] {
        invalid(shop.inventory().hold(&line, ttl).await, "ttl");
        invalid(shop.checkout().hold(&quote, ttl).await, "ttl");
        let pay = Pay::cart(furnished.cart).hold_for(ttl).key(key("ttl"));
        invalid(shop.checkout().pay(pay, charge).await, "ttl");
        let pay = Pay::cart(furnished.cart).lease(ttl).key(key("lease"));
        invalid(shop.checkout().pay(pay, charge).await, "lease");
    }
}

async fn currencies(furnished: &Furnished) {
    let shop = &furnished.shop;
    let euro = Money::new(1, Currency::EUR);
    invalid(usd(1).checked_add(euro), "currency");
    invalid(usd(1).checked_sub(euro), "currency");
    invalid(shop.checkout().quote(furnished.foreign).await, "currency");
    invalid(
        shop.checkout()
            .place(Place::cart(furnished.foreign).key(key("foreign")))
            .await,
        "currency",
    );
    let acme = Provider::new("acme").unwrap();
    let fact = PaymentFact::refunded(acme.clone(), reference("event"), euro);
    invalid(
        shop.payments().record(furnished.payment, fact.clone()).await,
        "currency",
    );
    invalid(
        shop.payments().record_for_order(furnished.order, fact).await,
        "currency",
    );
    for nothing in [0, -1] {
        let fact = PaymentFact::refunded(acme.clone(), reference("event"), usd(nothing));
        invalid(shop.payments().record(furnished.payment, fact).await, "amount");
    }
}

async fn shortages(furnished: &Furnished) {
    let shop = &furnished.shop;
    let line = |count| HoldLine {
        sku: sku("MUG"),
        location: berlin(),
        quantity: units(count),
    };
    let error = shop
        .inventory()
        .hold(&[line(60), line(60)], Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.shortages()[0].requested),
        (ErrorKind::InsufficientStock, 120)
    );
    let nowhere = HoldLine {
        sku: sku("NEVER"),
        ..line(1)
    };
    let error = shop
        .inventory()
        .hold(&[line(1), nowhere], Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.shortages()[0].sku.as_str()),
        (ErrorKind::InsufficientStock, "NEVER")
    );
}

async fn sums_that_overflow_are_refused_by_field(ground: Ground) {
    let furnished = Furnished::new(ground).await;
    let shop = &furnished.shop;
    furnished
        .unchanged(async || {
            invalid(Money::new(i64::MAX, Currency::USD).checked_add(usd(1)), "amount");
            invalid(Money::new(i64::MAX, Currency::USD).checked_mul(2), "amount");
            for price in [-1, i64::MIN] {
                invalid(
                    shop.products()
                        .create(NewProduct::new("Gold").variant("GOLD", usd(price)))
                        .await,
                    "prices",
                );
            }
        })
        .await;
    // A price may be as high as the type allows or refused: what must not happen is a wrong sum.
    let dear = NewProduct::new("Gold").variant("GOLD", usd(i64::MAX));
    match shop.products().create(dear).await {
        Err(error) => assert_eq!(error.invalid_field(), Some("prices"), "{error:?}"),
        Ok(_) => {
            shop.inventory().receive("GOLD", &berlin(), 10).await.unwrap();
            let cart = shop.cart(&[("GOLD", 2)]).await;
            furnished
                .unchanged(async || {
                    invalid(shop.checkout().quote(cart).await, "amount");
                    invalid(
                        shop.checkout().place(Place::cart(cart).key(key("gold"))).await,
                        "amount",
                    );
                })
                .await;
        }
    }
    furnished
        .unchanged(async || {
            let fact =
                PaymentFact::refunded(Provider::new("acme").unwrap(), reference("event"), usd(i64::MAX));
            let outcome = shop.payments().record(furnished.payment, fact).await;
            invalid(outcome, "amount");
            refused(
                shop.orders()
                    .complete(&shop.orders().require(furnished.order).await.unwrap())
                    .await,
                ErrorKind::Conflict,
                furnished.order,
            );
        })
        .await;
}
