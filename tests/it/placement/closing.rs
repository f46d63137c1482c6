//! A cart whose order lies in another store: closed at once, later, once; and what is added in between.

use stockroom::CancelReason;
use stockroom::CartStatus;
use stockroom::ErrorKind;
use stockroom::Owner;
use stockroom::Place;
use stockroom::UserId;

use super::Site;
use super::cart;
use super::closes;
use super::gate::Mood;
use super::goes_on;
use super::in_cart;
use super::in_order;
use super::place;
use super::status;
use super::units_of;
use crate::support::Ground;
use crate::support::key;
use crate::support::on;
use crate::support::until;

on!([file postgres redis]
    a_cart_is_closed_when_its_order_is_answered
    a_cart_that_could_not_be_closed_is_closed_by_the_feed
    what_is_added_too_late_moves_to_a_new_cart
    the_effect_is_in_effect_once_however_often_it_comes
);

on!([file redis]
    what_is_added_while_the_cart_is_being_closed_moves_too
    an_answer_that_is_lost_closes_the_cart_once
    the_same_key_closes_what_an_earlier_call_left_open
    a_closed_cart_is_refused_as_one_also_while_it_is_still_open
    an_order_that_was_cancelled_before_its_cart_was_closed_leaves_it_open
    an_order_that_is_cancelled_after_leaves_its_cart_closed
    a_quote_of_a_cart_that_moved_is_refused
    a_users_cart_goes_on_as_the_users_cart
    carts_go_on_through_several_orders
);

on!([file] an_expired_cart_is_left_alone);

async fn a_cart_is_closed_when_its_order_is_answered(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    let cart = cart(&shop, &[("MUG", 2), ("CUP", 1)]).await;
    let placed = place(&shop, cart, "a").await.unwrap();
    assert_eq!(in_order(&placed.order), units_of(&[("MUG", 2), ("CUP", 1)]));
    assert_eq!(status(&shop, cart).await, CartStatus::Ordered);
    assert_eq!(goes_on(&shop, cart).await, None);
    assert!(place(&shop, cart, "a").await.unwrap().replayed);
    let other = place(&shop, cart, "b").await.unwrap_err();
    assert!(other.is(ErrorKind::Conflict), "{other}");
    let late = shop.carts().add(cart, "MUG", 1).await.unwrap_err();
    assert!(late.is(ErrorKind::Conflict), "{late}");
    assert_eq!(gate.passed().await, 1);
    shop.assert_sound().await;
    shop.close().await;
}

async fn a_cart_that_could_not_be_closed_is_closed_by_the_feed(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    place(&shop, cart, "a").await.unwrap();
    assert_eq!(status(&shop, cart).await, CartStatus::Open);
    let tried = gate.came();
    until("the feed tries as well", async || gate.came() > tried + 1).await;
    gate.set(Mood::Open);
    closes(&shop, cart).await;
    assert_eq!(gate.passed().await, 1);
    shop.close().await;
}

async fn what_is_added_too_late_moves_to_a_new_cart(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let placed = place(&shop, cart, "a").await.unwrap();
    shop.carts().add(cart, "MUG", 3).await.unwrap();
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    assert_eq!(
        goes_on(&shop, cart).await,
        Some((cart, units_of(&[("MUG", 5), ("CUP", 1)])))
    );
    gate.set(Mood::Open);
    closes(&shop, cart).await;
    let closed = shop.carts().require(cart).await.unwrap();
    assert_eq!(in_cart(&closed), in_order(&placed.order));
    let next = cart.successor();
    assert_eq!(
        goes_on(&shop, cart).await,
        Some((next, units_of(&[("MUG", 3), ("CUP", 1)])))
    );
    let second = place(&shop, next, "b").await.unwrap();
    assert_eq!(in_order(&second.order), units_of(&[("MUG", 3), ("CUP", 1)]));
    assert_eq!(goes_on(&shop, cart).await, None);
    shop.assert_sound().await;
    shop.close().await;
}

async fn what_is_added_while_the_cart_is_being_closed_moves_too(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    gate.set(Mood::Holds);
    let placing = {
        let shop = shop.clone();
        tokio::spawn(async move { place(&shop, cart, "a").await })
    };
    until("the cart is about to be closed", async || gate.came() > 0).await;
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    gate.set(Mood::Open);
    placing.await.unwrap().unwrap();
    closes(&shop, cart).await;
    assert_eq!(
        goes_on(&shop, cart).await,
        Some((cart.successor(), units_of(&[("CUP", 1)])))
    );
    assert_eq!(gate.passed().await, 1);
    shop.close().await;
}

async fn the_effect_is_in_effect_once_however_often_it_comes(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    place(&shop, cart, "a").await.unwrap();
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    gate.set(Mood::Open);
    closes(&shop, cart).await;
    let pair = [cart, cart.successor()];
    let before = shop.carts().get_many(&pair).await.unwrap();
    // Every change of the shop comes again, twice.
    for _ in 0..2 {
        let delivered = delivered(&shop).await;
        shop.changes().restart("stockroom.carts").await.unwrap();
        until("everything came again", async || {
            self::delivered(&shop).await >= delivered + 5
        })
        .await;
    }
    assert_eq!(shop.carts().get_many(&pair).await.unwrap(), before);
    assert_eq!(gate.passed().await, 1);
    let sinks = shop.changes().status().await.unwrap();
    assert_eq!(sinks[0].dead_letters, 0);
    shop.close().await;
}

async fn delivered(shop: &crate::support::Shop) -> u64 {
    let status = shop.changes().status().await.unwrap();
    status.iter().map(|sink| sink.delivered).sum()
}

async fn an_answer_that_is_lost_closes_the_cart_once(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    place(&shop, cart, "a").await.unwrap();
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    gate.set(Mood::LosesReplies);
    closes(&shop, cart).await;
    assert_eq!(gate.passed().await, 1);
    assert_eq!(
        goes_on(&shop, cart).await,
        Some((cart.successor(), units_of(&[("CUP", 1)])))
    );
    shop.close().await;
}

async fn the_same_key_closes_what_an_earlier_call_left_open(ground: Ground) {
    let site = Site::new(ground);
    let (shop, gate) = site.open_as(stockroom::Builder::without_background).await;
    super::stock(&shop).await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let placed = place(&shop, cart, "a").await.unwrap();
    assert_eq!(status(&shop, cart).await, CartStatus::Open);
    gate.set(Mood::Open);
    let again = place(&shop, cart, "a").await.unwrap();
    assert_eq!((again.replayed, again.order.id), (true, placed.order.id));
    assert_eq!(status(&shop, cart).await, CartStatus::Ordered);
    shop.close().await;
}

async fn a_closed_cart_is_refused_as_one_also_while_it_is_still_open(ground: Ground) {
    let site = Site::new(ground);
    let (shop, gate) = site.open_as(stockroom::Builder::without_background).await;
    super::stock(&shop).await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let placed = place(&shop, cart, "a").await.unwrap();
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    for name in ["b", "c"] {
        let other = place(&shop, cart, name).await.unwrap_err();
        assert!(other.is(ErrorKind::Conflict), "{other}");
        assert_eq!(other.existing_id(), Some(placed.order.id.uuid()));
    }
    gate.set(Mood::Open);
    // Whoever meets what was left open closes it.
    assert!(place(&shop, cart, "d").await.unwrap_err().is(ErrorKind::Conflict));
    assert_eq!(
        goes_on(&shop, cart).await,
        Some((cart.successor(), units_of(&[("CUP", 1)])))
    );
    assert_eq!(shop.every_order().await.len(), 1);
    shop.close().await;
}

async fn an_order_that_was_cancelled_before_its_cart_was_closed_leaves_it_open(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let first = place(&shop, cart, "a").await.unwrap();
    shop.checkout()
        .cancel(first.order.id, CancelReason::Customer)
        .await
        .unwrap();
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    let second = place(&shop, cart, "b").await.unwrap();
    assert_eq!(in_order(&second.order), units_of(&[("MUG", 2), ("CUP", 1)]));
    gate.set(Mood::Open);
    closes(&shop, cart).await;
    // Of the second order: nothing was left over.
    assert_eq!(goes_on(&shop, cart).await, None);
    shop.assert_sound().await;
    shop.close().await;
}

async fn an_order_that_is_cancelled_after_leaves_its_cart_closed(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let placed = place(&shop, cart, "a").await.unwrap();
    let cancelled = shop.checkout().cancel(placed.order.id, CancelReason::Customer);
    cancelled.await.unwrap();
    assert_eq!(status(&shop, cart).await, CartStatus::Ordered);
    let again = place(&shop, cart, "b").await.unwrap_err();
    assert!(again.is(ErrorKind::Conflict), "{again}");
    shop.close().await;
}

async fn a_quote_of_a_cart_that_moved_is_refused(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let quote = shop.checkout().quote(cart).await.unwrap();
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    let moved = shop.checkout().place(Place::quote(quote).key(key("a"))).await;
    assert!(moved.unwrap_err().is(ErrorKind::Conflict));
    let quote = shop.checkout().quote(cart).await.unwrap();
    let order = || Place::quote(quote.clone()).key(key("a"));
    let placed = shop.checkout().place(order()).await.unwrap();
    let again = shop.checkout().place(order()).await.unwrap();
    assert!(!placed.replayed && again.replayed);
    shop.close().await;
}

async fn a_users_cart_goes_on_as_the_users_cart(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    gate.set(Mood::Shut);
    let user = UserId::new();
    let cart = shop.carts().create(Owner::User(user)).await.unwrap().id;
    shop.carts().add(cart, "MUG", 2).await.unwrap();
    place(&shop, cart, "a").await.unwrap();
    shop.carts().add(cart, "CUP", 1).await.unwrap();
    gate.set(Mood::Open);
    closes(&shop, cart).await;
    let active = shop.carts().active(user).await.unwrap().unwrap();
    assert_eq!((active.id, active.owner), (cart.successor(), Owner::User(user)));
    let second = shop.carts().create(Owner::User(user)).await.unwrap_err();
    assert_eq!(second.existing_id(), Some(active.id.uuid()));
    shop.close().await;
}

async fn carts_go_on_through_several_orders(ground: Ground) {
    let (shop, gate) = Site::new(ground).stocked().await;
    let first = cart(&shop, &[("MUG", 1)]).await;
    for round in 0..4 {
        gate.set(Mood::Shut);
        let (here, _) = goes_on(&shop, first).await.unwrap();
        place(&shop, here, &format!("round {round}")).await.unwrap();
        shop.carts().add(here, "CUP", 1).await.unwrap();
        gate.set(Mood::Open);
        closes(&shop, here).await;
    }
    let (last, units) = goes_on(&shop, first).await.unwrap();
    assert_eq!(units, units_of(&[("CUP", 1)]));
    assert!(![first, first.successor()].contains(&last));
    shop.close().await;
}

async fn an_expired_cart_is_left_alone(ground: Ground) {
    let site = Site::new(ground);
    let carts = std::sync::Arc::new(
        stockroom::SqliteStore::open(stockroom::SqliteOptions::new(site.carts.url()))
            .await
            .unwrap(),
    );
    let (shop, gate) = site.open_as(stockroom::Builder::without_background).await;
    super::stock(&shop).await;
    gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    place(&shop, cart, "a").await.unwrap();
    gate.set(Mood::Open);
    carts.shift_clock(std::time::Duration::from_secs(40 * 24 * 60 * 60));
    let shifted = crate::support::Shop::of(
        stockroom::Stockroom::builder()
            .store_arc(site.main.store().await)
            .place_arc([stockroom::Aggregate::Cart], carts),
    )
    .await;
    // The effect finds no cart, and is done.
    until("the order was delivered", async || delivered(&shifted).await >= 5).await;
    let sinks = shifted.changes().status().await.unwrap();
    assert_eq!((sinks[0].dead_letters, sinks[0].failures), (0, 0));
    assert_eq!(shifted.carts().get(cart).await.unwrap(), None);
    shop.close().await;
    shifted.close().await;
}
