//! What happens while an order is placed in parts, and when nobody goes on with it.

use std::sync::Arc;
use std::time::Duration;

use stockroom::CancelReason;
use stockroom::CartStatus;
use stockroom::ErrorKind;
use stockroom::OrderStatus;
use stockroom::PaymentFact;
use stockroom::PaymentStatus;
use stockroom::Place;
use stockroom::Provider;
use stockroom::Stockroom;
use stockroom::model::Clock as _;
use stockroom::model::ManualClock;
use stockroom::model::SystemClock;
use stockroom::model::from_micros;
use stockroom::model::micros;

use super::goods::LINES;
use super::goods::assert_levels;
use super::goods::cart;
use super::goods::name;
use super::goods::stock;
use super::mortal::Fate;
use crate::support::Ground;
use crate::support::key;
use crate::support::on;
use crate::support::reference;
use crate::support::until;
use crate::support::usd;

on!([memory file postgres dynamodb]
    nothing_is_taken_once_giving_back_has_begun
    an_order_that_was_placed_meanwhile_is_not_given_up
    what_is_added_meanwhile_moves_to_a_new_cart
    money_that_comes_meanwhile_is_recorded
    the_background_ends_what_was_left
);

async fn nothing_is_taken_once_giving_back_has_begun(ground: Ground) {
    let shop = ground.open().await;
    stock(&shop, LINES, 1).await;
    for commits in 1..5 {
        let cart = cart(&shop, 0..LINES, 1).await;
        let fate = Fate::waits_after(commits);
        let slow = fate.meets(&shop).await;
        let place = Place::cart(cart).key(key(format!("slow-{commits}")));
        let caller = tokio::spawn(async move { slow.checkout().place_in_parts(place).await });
        fate.is_waiting().await;
        let order = &shop.every_order().await[0];
        assert_eq!(order.status, OrderStatus::Allocating);
        if commits % 2 == 0 {
            let given_up = shop.checkout().give_up_idle(Duration::ZERO).await.unwrap();
            assert_eq!(given_up, 1);
        } else {
            let cancelled = shop
                .orders()
                .cancel(order.id, CancelReason::Customer)
                .await
                .unwrap();
            assert_eq!(cancelled.status, OrderStatus::Cancelled);
        }
        assert_levels(&shop, LINES, 0, 0).await;
        fate.let_go();
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert_levels(&shop, LINES, 0, 0).await;
        assert_eq!(shop.carts().require(cart).await.unwrap().status, CartStatus::Open);
    }
    shop.assert_sound().await;
}

async fn an_order_that_was_placed_meanwhile_is_not_given_up(ground: Ground) {
    let shop = ground.open().await;
    stock(&shop, LINES, 1).await;
    let place = Place::cart(cart(&shop, 0..LINES, 1).await).key(key("slow"));
    let mortal = Fate::dies_after(3).meets(&shop).await;
    mortal.checkout().place_in_parts(place.clone()).await.unwrap_err();
    // It has read that the order is allocating, and does not know yet that it will be placed.
    let fate = Fate::waits_after(0);
    let late = fate.meets(&shop).await;
    let gives_up = tokio::spawn(async move { late.checkout().give_up_idle(Duration::ZERO).await });
    fate.is_waiting().await;
    let placed = shop.checkout().place_in_parts(place).await.unwrap();
    fate.let_go();
    assert_eq!(gives_up.await.unwrap().unwrap(), 0);
    let order = shop.orders().require(placed.order.id).await.unwrap();
    assert_eq!(order.status, OrderStatus::Placed);
    assert_levels(&shop, LINES, 1, 0).await;
    shop.assert_sound().await;
}

async fn what_is_added_meanwhile_moves_to_a_new_cart(ground: Ground) {
    let shop = ground.open().await;
    stock(&shop, LINES + 1, 2).await;
    let cart = cart(&shop, 0..LINES, 1).await;
    let fate = Fate::waits_after(2);
    let slow = fate.meets(&shop).await;
    let place = Place::cart(cart).key(key("slow"));
    let caller = tokio::spawn(async move { slow.checkout().place_in_parts(place).await });
    fate.is_waiting().await;
    shop.carts().add(cart, name(LINES).as_str(), 1).await.unwrap();
    let other = Place::cart(cart).key(key("other"));
    let error = shop.checkout().place_in_parts(other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    fate.let_go();
    let placed = caller.await.unwrap().unwrap();
    assert_eq!(
        (placed.order.status, placed.order.lines.len()),
        (OrderStatus::Placed, LINES)
    );
    let current = shop.carts().current(cart).await.unwrap().unwrap();
    assert_ne!(current.id, cart);
    let left: Vec<_> = current.lines.iter().map(|line| line.sku.to_string()).collect();
    assert_eq!(left, [name(LINES)]);
    shop.assert_sound().await;
}

async fn money_that_comes_meanwhile_is_recorded(ground: Ground) {
    let shop = ground.open().await;
    stock(&shop, LINES, 1).await;
    let cart = cart(&shop, 0..LINES, 1).await;
    let fate = Fate::waits_after(2);
    let slow = fate.meets(&shop).await;
    let place = Place::cart(cart).key(key("slow"));
    let caller = tokio::spawn(async move { slow.checkout().place_in_parts(place).await });
    fate.is_waiting().await;
    let order = shop.every_order().await[0].id;
    let fact = PaymentFact::captured(Provider::new("bank").unwrap(), reference("transfer-1"), usd(500));
    shop.payments().record_for_order(order, fact).await.unwrap();
    fate.let_go();
    let placed = caller.await.unwrap().unwrap();
    assert_eq!(
        (placed.order.id, placed.order.status),
        (order, OrderStatus::Placed)
    );
    assert_eq!(placed.order.payment_status(), PaymentStatus::Paid);
    assert_levels(&shop, LINES, 1, 0).await;
    let cancelled = shop.orders().cancel(order, CancelReason::Customer).await.unwrap();
    assert_eq!(cancelled.refund_due(), usd(500));
    assert_levels(&shop, LINES, 0, 0).await;
    shop.assert_sound().await;
}

async fn the_background_ends_what_was_left(ground: Ground) {
    let shop = ground.open().await;
    stock(&shop, LINES, 2).await;
    let cart = cart(&shop, 0..LINES, 1).await;
    let quote = shop.checkout().quote(cart).await.unwrap();
    let hold = shop
        .checkout()
        .hold_in_parts(&quote, Duration::from_secs(60))
        .await
        .unwrap();
    let mortal = Fate::dies_after(3).meets(&shop).await;
    let place = Place::quote(quote).key(key("dead"));
    let error = mortal.checkout().place_in_parts(place).await.unwrap_err();
    let order = error.existing_id().unwrap().into();
    assert!(shop.orders().require(order).await.unwrap().status == OrderStatus::Allocating);
    shop.shift_clock(Duration::from_secs(61));
    let later = from_micros(micros(SystemClock.now()) + 16 * 60 * 1_000_000).unwrap();
    let background = Stockroom::builder()
        .store_arc(Arc::clone(shop.store()))
        .clock(Arc::new(ManualClock::new(later)))
        .sweep_every(Duration::from_millis(1))
        .open()
        .await
        .unwrap();
    until("the hold is off the books", async || {
        shop.inventory().hold_status(hold.id).await.unwrap().is_none()
    })
    .await;
    until("the order is given up", async || {
        shop.orders().require(order).await.unwrap().status == OrderStatus::Cancelled
    })
    .await;
    assert_levels(&shop, LINES, 0, 0).await;
    shop.assert_sound().await;
    background.close().await;
}
