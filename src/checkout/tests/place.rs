//! Quotes, holds and orders without a payment.

use std::time::Duration;

use super::bench;
use super::key;
use super::place;
use super::usd;
use crate::checkout::Place;
use crate::error::ErrorKind;
use crate::model::Currency;
use crate::model::Owner;

#[tokio::test]
async fn a_quote_prices_by_quantity_and_splits_what_no_place_has() {
    let bench = bench().await;
    let cart = bench.cart(&[("CUP", 6), ("MUG", 1)]).await;
    let quote = bench.shop.checkout().quote(cart.id).await.unwrap();
    assert_eq!(quote.subtotal, usd(27_00));
    assert_eq!(quote.tax, usd(1_26));
    assert_eq!(quote.lines.len(), 3);
    let parts: Vec<_> = quote
        .lines
        .iter()
        .map(|line| (line.location.as_str(), line.quantity.get()))
        .collect();
    assert_eq!(parts, [("berlin", 4), ("paris", 2), ("berlin", 1)]);
}

#[tokio::test]
async fn a_quote_refuses_what_cannot_be_ordered() {
    let bench = bench().await;
    let quote = async |lines: &[(&str, i64)]| {
        let cart = bench.cart(lines).await;
        bench.shop.checkout().quote(cart.id).await.unwrap_err()
    };
    assert_eq!(quote(&[]).await.invalid_field(), Some("cart"));
    assert!(quote(&[("NONE", 1)]).await.is(ErrorKind::NotFound));
    let short = quote(&[("CUP", 8), ("MUG", 11)]).await;
    assert!(short.is(ErrorKind::InsufficientStock));
    assert_eq!(short.shortages().len(), 2);
    let cart = bench
        .shop
        .carts()
        .create_in(Owner::Guest, Currency::EUR)
        .await
        .unwrap();
    bench.shop.carts().add(cart.id, "MUG", 1).await.unwrap();
    let error = bench.shop.checkout().quote(cart.id).await.unwrap_err();
    assert_eq!(
        (error.invalid_field(), error.subject()),
        (Some("currency"), Some("SKU MUG"))
    );
}

#[tokio::test]
async fn placing_again_gives_the_same_order() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 3)]).await;
    let checkout = bench.shop.checkout();
    let quote = checkout.quote(cart.id).await.unwrap();
    let placed = checkout
        .place(Place::quote(quote.clone()).key(key("a")))
        .await
        .unwrap();
    let again = checkout
        .place(Place::quote(quote.clone()).key(key("a")))
        .await
        .unwrap();
    assert!(!placed.replayed && again.replayed);
    assert_eq!(placed.order, again.order);
    assert_eq!(bench.available("MUG").await, 7);
    let other = checkout
        .place(Place::quote(quote.clone()).email("a@b").key(key("a")))
        .await
        .unwrap_err();
    assert!(other.is(ErrorKind::KeyReused));
    let second = checkout
        .place(Place::quote(quote).key(key("b")))
        .await
        .unwrap_err();
    assert!(second.is(ErrorKind::Conflict), "{second}");
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn placing_a_cart_again_gives_the_same_order_although_it_is_closed() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 10)]).await;
    let order = || Place::cart(cart.id).key(key("a"));
    let placed = bench.shop.checkout().place(order()).await.unwrap();
    let again = bench.shop.checkout().place(order()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(placed.order.id, again.order.id);
    let reused = bench
        .shop
        .checkout()
        .place(Place::cart(cart.id).email("a@b").key(key("a")))
        .await
        .unwrap_err();
    assert!(reused.is(ErrorKind::KeyReused));
}

#[tokio::test]
async fn a_quote_that_ran_short_is_served_from_elsewhere() {
    let bench = bench().await;
    let cart = bench.cart(&[("CUP", 2)]).await;
    let quote = bench.shop.checkout().quote(cart.id).await.unwrap();
    bench
        .shop
        .inventory()
        .adjust("CUP", &place("berlin"), -3, "broken")
        .await
        .unwrap();
    let placed = bench
        .shop
        .checkout()
        .place(Place::quote(quote.clone()).key(key("a")))
        .await
        .unwrap();
    assert_eq!(placed.order.lines[0].location.as_str(), "paris");
    assert_eq!(placed.order.total, quote.total);
}

#[tokio::test]
async fn a_hold_is_used_up_by_its_order() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 10)]).await;
    let checkout = bench.shop.checkout();
    let quote = checkout.quote(cart.id).await.unwrap();
    let hold = checkout.hold(&quote, Duration::from_secs(60)).await.unwrap();
    assert_eq!(bench.available("MUG").await, 0);
    let without = checkout
        .place(Place::cart(cart.id).key(key("a")))
        .await
        .unwrap_err();
    assert!(without.is(ErrorKind::InsufficientStock));
    checkout
        .place(Place::cart(cart.id).hold(hold.clone()).key(key("b")))
        .await
        .unwrap();
    assert_eq!(bench.shop.inventory().hold_status(hold.id).await.unwrap(), None);
    assert!(bench.is_consistent().await);
}
