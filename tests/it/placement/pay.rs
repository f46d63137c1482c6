//! Payments of carts that lie in another store than their orders.

use stockroom::Aggregate;
use stockroom::CartStatus;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::OrderStatus;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::PaymentFact;
use stockroom::Provider;
use stockroom::Recorded;
use stockroom::Reference;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;

use super::Site;
use super::cart;
use super::closes;
use super::goes_on;
use super::in_order;
use super::place;
use super::status;
use super::units_of;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::key;
use crate::support::on;

on!([file postgres redis] what_is_added_during_the_payment_moves_to_a_new_cart);

on!([file postgres] orders_apart_from_all_else_are_paid);

on!([file redis]
    a_cart_is_ordered_once_while_it_is_paid
    a_declined_payment_leaves_the_cart_open
    a_payment_is_settled_although_the_carts_are_gone
    a_payment_that_was_left_behind_is_resumed_and_its_cart_closed
);

async fn captured(due: Due) -> Result<Charge, Error> {
    Ok(Charge::captured(Reference::new(due.provider_key)?))
}

async fn what_is_added_during_the_payment_moves_to_a_new_cart(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let charge = async |due: Due| {
        shop.carts().add(cart, "MUG", 1).await?;
        shop.carts().add(cart, "CUP", 1).await?;
        captured(due).await
    };
    let pay = || Pay::cart(cart).key(key("a"));
    let paid = shop.checkout().pay(pay(), charge).await.unwrap();
    assert_eq!(in_order(paid.order()), units_of(&[("MUG", 2)]));
    assert_eq!(status(&shop, cart).await, CartStatus::Ordered);
    assert_eq!(
        goes_on(&shop, cart).await,
        Some((cart.successor(), units_of(&[("MUG", 1), ("CUP", 1)])))
    );
    let again = shop.checkout().pay(pay(), charge).await.unwrap();
    assert!(again.replayed());
    // It can be ordered: the claim of the order is on the cart that was closed.
    place(&shop, cart.successor(), "b").await.unwrap();
    shop.assert_sound().await;
    shop.close().await;
}

async fn a_cart_is_ordered_once_while_it_is_paid(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let charge = async |due: Due| {
        let order = due.order.id.uuid();
        let other = place(&shop, cart, "other").await.unwrap_err();
        assert!(other.is(ErrorKind::AlreadyExists), "{other}");
        assert_eq!(other.existing_id(), Some(order));
        assert_eq!(status(&shop, cart).await, CartStatus::Open);
        captured(due).await
    };
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("a")), charge)
        .await
        .unwrap();
    assert!(matches!(paid, Paid::Order { .. }), "{paid:?}");
    assert_eq!(status(&shop, cart).await, CartStatus::Ordered);
    assert_eq!(shop.every_order().await.len(), 1);
    shop.close().await;
}

async fn a_declined_payment_leaves_the_cart_open(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let declined = async |_: Due| Ok::<_, Error>(Charge::declined("no"));
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("a")), declined)
        .await
        .unwrap();
    assert!(matches!(paid, Paid::Declined { .. }), "{paid:?}");
    assert_eq!(goes_on(&shop, cart).await, Some((cart, units_of(&[("MUG", 2)]))));
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("b")), captured)
        .await
        .unwrap();
    assert!(matches!(paid, Paid::Order { .. }), "{paid:?}");
    assert_eq!(status(&shop, cart).await, CartStatus::Ordered);
    shop.assert_sound().await;
    shop.close().await;
}

async fn a_payment_is_settled_although_the_carts_are_gone(ground: Ground) {
    let site = Site::new(ground);
    let (shop, gate) = site.stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let charge = async |due: Due| {
        // From here on no cart can be read or written.
        stockroom::spi::store::Store::close(&*gate).await;
        captured(due).await
    };
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("a")), charge)
        .await
        .unwrap();
    assert!(matches!(paid, Paid::Order { .. }), "{paid:?}");
    assert_eq!(paid.order().status, OrderStatus::Placed);
    shop.close().await;
    let (later, _) = site.open().await;
    closes(&later, cart).await;
    later.close().await;
}

async fn a_payment_that_was_left_behind_is_resumed_and_its_cart_closed(ground: Ground) {
    let site = Site::new(ground);
    let (shop, gate) = site.stocked().await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let fails = async |_: Due| Err::<Charge, _>(Error::new(ErrorKind::Unavailable, "no answer"));
    let left = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("a")), fails)
        .await
        .unwrap_err();
    assert!(left.is(ErrorKind::Unavailable), "{left}");
    shop.close().await;
    drop(gate);
    let (later, _) = site.open().await;
    later.carts().add(cart, "CUP", 1).await.unwrap();
    let paid = later.checkout().resume(&key("a"), captured).await.unwrap();
    assert!(matches!(paid, Paid::Order { .. }), "{paid:?}");
    assert_eq!(status(&later, cart).await, CartStatus::Ordered);
    assert_eq!(
        goes_on(&later, cart).await,
        Some((cart.successor(), units_of(&[("CUP", 1)])))
    );
    later.close().await;
}

async fn orders_apart_from_all_else_are_paid(ground: Ground) {
    let orders = Ground::file();
    let together = [Aggregate::Order, Aggregate::Payment, Aggregate::Level];
    let builder = Stockroom::builder()
        .store_arc(ground.store().await)
        .place_arc(together, orders.store().await);
    let shop = Shop::of(builder).await;
    super::stock(&shop).await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let pay = Pay::cart(cart).key(key("a"));
    let paid = shop.checkout().pay(pay, captured).await.unwrap();
    assert_eq!(status(&shop, cart).await, CartStatus::Ordered);
    let payment = &shop.payments().for_order(paid.order().id).await.unwrap()[0];
    // The webhook of the same charge: its event alone is kept, where the payments are.
    let event = || {
        let (provider, event) = (Provider::new("default").unwrap(), Reference::new("evt").unwrap());
        PaymentFact::captured(provider, event, payment.amount)
    };
    for _ in 0..2 {
        let recorded = shop.payments().record(payment.id, event()).await.unwrap();
        assert_eq!(recorded, Recorded::Repeated);
    }
    let claim = [("payment.event".to_owned(), "default:evt".to_owned())];
    let kept = async |kind| {
        let claims = shop.store_of(kind).readers().claim().unwrap();
        let deadline = Deadline::within(std::time::Duration::from_secs(60));
        claims.find(&claim, deadline).await.unwrap()[0].is_some()
    };
    assert!(kept(Aggregate::Payment).await && !kept(Aggregate::Cart).await);
    let order = shop.orders().require(paid.order().id).await.unwrap();
    assert_eq!(order.paid.captured, 18_00);
    shop.assert_sound().await;
    shop.close().await;
}
