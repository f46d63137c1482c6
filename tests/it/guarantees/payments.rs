//! One charge comes of a key, whatever happens to its callers.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use stockroom::CartStatus;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::OrderStatus;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::PaymentState;
use stockroom::PaymentStatus;
use stockroom::Retry;

use super::bank::Bank;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::key;
use crate::support::on;

on!([memory file postgres dynamodb]
    thirty_two_callers_with_one_key_call_the_provider_once
    who_cannot_wait_is_told_that_it_is_in_flight
    a_lease_that_has_ended_is_taken_over_with_the_same_provider_key
    a_call_that_failed_is_resumed_at_once_with_the_same_provider_key
    a_call_that_panicked_is_resumed_after_its_lease
    a_declined_payment_leaves_cart_and_stock_as_they_were
    two_keys_for_one_cart_make_one_order
);

/// The default of [`Pay::lease`], and a little.
const PAST_LEASE: Duration = Duration::from_secs(61);

async fn pay(shop: &Shop, cart: stockroom::CartId, bank: &Bank) -> stockroom::Result<Paid> {
    shop.checkout()
        .pay(Pay::cart(cart).key(key("pay")), |due| bank.charge(due))
        .await
}

/// Demands one placed and paid order of two mugs.
async fn assert_paid_once(shop: &Shop) {
    let orders = shop.every_order().await;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].status, OrderStatus::Placed);
    assert_eq!(orders[0].payment_status(), PaymentStatus::Paid);
    assert_eq!(orders[0].paid.captured, orders[0].total.minor());
    let payments = shop.payments().for_order(orders[0].id).await.unwrap();
    assert_eq!(payments.len(), 1);
    assert_eq!(
        (payments[0].state, payments[0].settled),
        (PaymentState::Captured, orders[0].paid)
    );
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held), (2, 0));
    shop.assert_sound().await;
}

async fn thirty_two_callers_with_one_key_call_the_provider_once(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG", 10).await;
    let cart = shops[0].cart(&[("MUG", 2)]).await;
    let bank = Bank::closed();
    let (callers, provider) = (shops.clone(), bank.clone());
    let paying = tokio::spawn(crowd(32, move |number| {
        let (shop, bank) = (callers[number % 2].clone(), provider.clone());
        async move { pay(&shop, cart, &bank).await.unwrap() }
    }));
    bank.called(1).await;
    bank.answer();
    let paid = paying.await.unwrap();
    assert_eq!(bank.calls().len(), 1);
    assert!(
        paid.iter().all(|paid| matches!(paid, Paid::Order { .. })),
        "{paid:?}"
    );
    assert_eq!(
        paid.iter()
            .map(|paid| paid.order().id)
            .collect::<BTreeSet<_>>()
            .len(),
        1
    );
    assert_eq!(paid.iter().filter(|paid| paid.replayed()).count(), 31);
    assert_paid_once(&shops[0]).await;
}

async fn who_cannot_wait_is_told_that_it_is_in_flight(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let bank = Bank::closed();
    let (first, provider) = (shop.clone(), bank.clone());
    let paying = tokio::spawn(async move { pay(&first, cart, &provider).await });
    bank.called(1).await;
    let hasty = shop.within(Duration::from_secs(2));
    let (caller, provider) = (hasty.clone(), bank.clone());
    let errors = crowd(31, move |_| {
        let (shop, bank) = (caller.clone(), provider.clone());
        async move { pay(&shop, cart, &bank).await.unwrap_err() }
    });
    for error in errors.await {
        assert_eq!(
            (error.kind(), error.retry_class()),
            (ErrorKind::InFlight, Retry::SameKey),
            "{error:?}"
        );
    }
    let error = hasty
        .checkout()
        .resume(&key("pay"), |due| bank.charge(due))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InFlight);
    bank.answer();
    let paid = paying.await.unwrap().unwrap();
    assert!(!paid.replayed());
    assert!(pay(&shop, cart, &bank).await.unwrap().replayed());
    assert_eq!(bank.calls().len(), 1);
    assert_paid_once(&shop).await;
}

async fn a_lease_that_has_ended_is_taken_over_with_the_same_provider_key(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let (stuck, bank) = (Bank::closed(), Bank::open());
    let (first, provider) = (shop.clone(), stuck.clone());
    let paying = tokio::spawn(async move { pay(&first, cart, &provider).await });
    stuck.called(1).await;
    shop.shift_clock(PAST_LEASE);
    let taken = pay(&shop, cart, &bank).await.unwrap();
    assert!(matches!(&taken, Paid::Order { replayed: false, .. }), "{taken:?}");
    stuck.answer();
    let late = paying.await.unwrap().unwrap();
    assert!(matches!(&late, Paid::Order { replayed: true, .. }), "{late:?}");
    assert_eq!(stuck.keys(), bank.keys());
    assert!(bank.calls()[0].attempt > stuck.calls()[0].attempt);
    assert_paid_once(&shop).await;
}

async fn a_call_that_failed_is_resumed_at_once_with_the_same_provider_key(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let bank = Bank::open();
    let broken = |due: Due| {
        let bank = bank.clone();
        async move {
            let _ = bank.charge(due).await;
            Err::<Charge, _>(io::Error::other("the connection to the provider broke"))
        }
    };
    let error = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("pay")), broken)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_class()),
        (ErrorKind::Unavailable, Retry::SameKey),
        "{error:?}"
    );
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(shop.level("MUG").await.held, 2);
    let hasty = shop.within(Duration::from_secs(10));
    let paid = hasty
        .checkout()
        .resume(&key("pay"), |due| bank.charge(due))
        .await
        .unwrap();
    assert!(matches!(&paid, Paid::Order { replayed: false, .. }), "{paid:?}");
    assert_eq!(bank.keys().into_values().collect::<Vec<_>>(), [2]);
    assert_paid_once(&shop).await;
}

async fn a_call_that_panicked_is_resumed_after_its_lease(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let caller = shop.clone();
    let panicked = tokio::spawn(async move {
        let charge = |_: Due| async {
            if true {
                panic!("as a bug of the application")
            } else {
                Err::<Charge, Error>(Error::not_found("never"))
            }
        };
        caller
            .checkout()
            .pay(Pay::cart(cart).key(key("pay")), charge)
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    shop.shift_clock(PAST_LEASE);
    let bank = Bank::open();
    let paid = shop
        .checkout()
        .resume(&key("pay"), |due| bank.charge(due))
        .await
        .unwrap();
    assert!(matches!(&paid, Paid::Order { replayed: false, .. }), "{paid:?}");
    assert_paid_once(&shop).await;
}

async fn a_declined_payment_leaves_cart_and_stock_as_they_were(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 2).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let refuse = |_: Due| async { Ok::<_, Error>(Charge::declined("card expired")) };
    for replayed in [false, true] {
        let paid = shop
            .checkout()
            .pay(Pay::cart(cart).key(key("card-1")), refuse)
            .await
            .unwrap();
        let Paid::Declined {
            order,
            reason,
            replayed: again,
            ..
        } = paid
        else {
            panic!("{paid:?}")
        };
        assert_eq!(
            (order.status, reason.as_str(), again),
            (OrderStatus::Cancelled, "card expired", replayed)
        );
        assert!(order.refund_due().is_zero());
    }
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held), (0, 0));
    assert_eq!(shop.carts().require(cart).await.unwrap().status, CartStatus::Open);
    let bank = Bank::open();
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("card-2")), |due| bank.charge(due))
        .await
        .unwrap();
    assert!(matches!(&paid, Paid::Order { replayed: false, .. }), "{paid:?}");
    assert_eq!(shop.level("MUG").await.allocated, 2);
    shop.assert_sound().await;
}

async fn two_keys_for_one_cart_make_one_order(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG", 10).await;
    let cart = shops[0].cart(&[("MUG", 2)]).await;
    let bank = Bank::closed();
    let (callers, provider) = (shops.clone(), bank.clone());
    let paying = tokio::spawn(crowd(8, move |number| {
        let (shop, bank) = (callers[number % 2].clone(), provider.clone());
        async move {
            let pay = Pay::cart(cart).key(key(format!("pay-{number}")));
            shop.checkout().pay(pay, |due| bank.charge(due)).await
        }
    }));
    bank.called(1).await;
    bank.answer();
    let (paid, refused): (Vec<_>, Vec<_>) = paying.await.unwrap().into_iter().partition(Result::is_ok);
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(
            matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Conflict),
            "{error:?}"
        );
    }
    assert_eq!((paid.len(), bank.calls().len()), (1, 1));
    assert_paid_once(&shops[0]).await;
}
