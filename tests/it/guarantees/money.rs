//! Money that moved is recorded, once, whatever became of stock and order meanwhile.

use std::time::Duration;

use stockroom::CancelReason;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::LocationId;
use stockroom::OrderStatus;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::PaymentFact;
use stockroom::PaymentStatus;
use stockroom::Place;
use stockroom::Provider;
use stockroom::Recorded;

use super::bank::Bank;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::key;
use crate::support::on;
use crate::support::reference;
use crate::support::usd;

on!([memory file postgres dynamodb]
    held_stock_cannot_be_bought_by_another
    a_hold_that_ended_during_payment_is_renewed_while_there_is_stock
    a_hold_that_ended_during_payment_is_served_from_elsewhere
    stock_that_went_during_payment_is_an_outcome_with_a_refund
    a_fact_that_is_told_sixteen_times_counts_once
    a_webhook_before_the_answer_does_not_count_twice
    money_that_comes_after_a_cancel_is_due_back
);

const HOLD: Duration = Duration::from_secs(10);
/// Past the hold, within the lease.
const PAST_HOLD: Duration = Duration::from_secs(11);

/// What a second customer does while the first pays.
async fn buy(shop: &Shop, units: i64) -> Result<(), Error> {
    let cart = shop.cart(&[("MUG", units)]).await;
    shop.checkout()
        .place(Place::cart(cart).key(key("other")))
        .await
        .map(drop)
}

async fn held_stock_cannot_be_bought_by_another(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let cart = shop.cart(&[("MUG", 3)]).await;
    let charge = |due: Due| {
        let shop = shop.clone();
        async move {
            let error = buy(&shop, 3).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.shortages()[0].available),
                (ErrorKind::InsufficientStock, 2)
            );
            buy(&shop, 2).await?;
            Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
        }
    };
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).hold_for(HOLD).key(key("pay")), charge)
        .await
        .unwrap();
    assert!(matches!(&paid, Paid::Order { .. }), "{paid:?}");
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held, level.available()), (5, 0, 0));
    shop.assert_sound().await;
}

async fn a_hold_that_ended_during_payment_is_renewed_while_there_is_stock(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let cart = shop.cart(&[("MUG", 3)]).await;
    let charge = |due: Due| {
        let shop = shop.clone();
        async move {
            shop.shift_clock(PAST_HOLD);
            assert_eq!(shop.level("MUG").await.available(), 5);
            Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
        }
    };
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).hold_for(HOLD).key(key("pay")), charge)
        .await
        .unwrap();
    let Paid::Order {
        order,
        replayed: false,
        ..
    } = paid
    else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (order.status, order.payment_status()),
        (OrderStatus::Placed, PaymentStatus::Paid)
    );
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held), (3, 0));
    shop.assert_sound().await;
}

async fn a_hold_that_ended_during_payment_is_served_from_elsewhere(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let hamburg = LocationId::new("hamburg").unwrap();
    shop.inventory().receive("MUG", &hamburg, 4).await.unwrap();
    let cart = shop.cart(&[("MUG", 3)]).await;
    let charge = |due: Due| {
        let shop = shop.clone();
        async move {
            shop.shift_clock(PAST_HOLD);
            buy(&shop, 5).await?;
            Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
        }
    };
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).hold_for(HOLD).key(key("pay")), charge)
        .await
        .unwrap();
    let Paid::Order { order, .. } = paid else {
        panic!("{paid:?}")
    };
    assert_eq!(order.lines[0].location, hamburg);
    assert_eq!(shop.orders().require(order.id).await.unwrap().lines, order.lines);
    shop.assert_sound().await;
}

async fn stock_that_went_during_payment_is_an_outcome_with_a_refund(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let cart = shop.cart(&[("MUG", 3)]).await;
    let charge = |due: Due| {
        let shop = shop.clone();
        async move {
            shop.shift_clock(PAST_HOLD);
            buy(&shop, 5).await?;
            Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
        }
    };
    let pay = Pay::cart(cart).hold_for(HOLD).key(key("pay"));
    let paid = shop.checkout().pay(pay.clone(), charge).await.unwrap();
    let Paid::Short {
        order,
        refund,
        shortages,
        replayed: false,
        ..
    } = paid
    else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (order.status, order.cancel_reason),
        (OrderStatus::Cancelled, Some(CancelReason::OutOfStock))
    );
    assert_eq!((refund, order.paid.captured), (order.total, order.total.minor()));
    assert_eq!(
        (
            shortages[0].sku.as_str(),
            shortages[0].requested,
            shortages[0].available
        ),
        ("MUG", 3, 0)
    );
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held, level.available()), (5, 0, 0));

    let bank = Bank::open();
    let again = shop.checkout().pay(pay, |due| bank.charge(due)).await.unwrap();
    assert!(
        matches!(&again, Paid::Short { refund, replayed: true, .. } if *refund == order.total),
        "{again:?}"
    );
    assert!(bank.calls().is_empty());
    let refunded = PaymentFact::refunded(acme(), reference("refund-1"), refund);
    assert_eq!(
        shop.payments()
            .record_for_order(order.id, refunded)
            .await
            .unwrap(),
        Recorded::New
    );
    let order = shop.orders().require(order.id).await.unwrap();
    assert_eq!(
        (order.refund_due(), order.payment_status()),
        (usd(0), PaymentStatus::Refunded)
    );
    shop.assert_sound().await;
}

fn acme() -> Provider {
    Provider::new("acme").unwrap()
}

async fn a_fact_that_is_told_sixteen_times_counts_once(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG", 5).await;
    let cart = shops[0].cart(&[("MUG", 1)]).await;
    let bank = Bank::open();
    let paid = shops[0]
        .checkout()
        .pay(Pay::cart(cart).key(key("pay")), |due| bank.charge(due))
        .await
        .unwrap();
    let order = paid.order().id;
    let payment = shops[0].payments().for_order(order).await.unwrap()[0].id;
    for (event, fact) in [
        ("refund", PaymentFact::refunded as fn(_, _, _) -> _),
        ("capture", PaymentFact::captured),
    ] {
        let callers = shops.clone();
        let recorded = crowd(16, move |number| {
            let shop = callers[number % 2].clone();
            let fact = fact(acme(), reference(event), usd(2_00));
            async move {
                match number % 4 {
                    0 | 1 => shop.payments().record(payment, fact).await.unwrap(),
                    _ => shop.payments().record_for_order(order, fact).await.unwrap(),
                }
            }
        });
        let recorded = recorded.await;
        assert_eq!(
            recorded.iter().filter(|one| **one == Recorded::New).count(),
            1,
            "{recorded:?}"
        );
    }
    let order = shops[1].orders().require(order).await.unwrap();
    assert_eq!((order.paid.refunded, order.paid.captured), (2_00, 11_00));
    assert_eq!(
        shops[1].payments().require(payment).await.unwrap().settled,
        order.paid
    );
}

async fn a_webhook_before_the_answer_does_not_count_twice(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let cart = shop.cart(&[("MUG", 1)]).await;
    let charge = |due: Due| {
        let shop = shop.clone();
        async move {
            let fact = PaymentFact::captured(acme(), reference("event-1"), due.amount);
            assert_eq!(
                shop.payments().record_for_order(due.order.id, fact).await?,
                Recorded::New
            );
            Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
        }
    };
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("pay")), charge)
        .await
        .unwrap();
    let Paid::Order { order, .. } = paid else {
        panic!("{paid:?}")
    };
    assert_eq!(order.paid.captured, order.total.minor());
    let stored = shop.orders().require(order.id).await.unwrap();
    assert_eq!((stored.paid, stored.refund_due()), (order.paid, usd(0)));
    let late = PaymentFact::captured(acme(), reference("event-2"), order.total);
    assert_eq!(
        shop.payments().record_for_order(order.id, late).await.unwrap(),
        Recorded::Repeated
    );
    assert_eq!(shop.orders().require(order.id).await.unwrap().paid, order.paid);
}

async fn money_that_comes_after_a_cancel_is_due_back(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let lost =
        |_: Due| async { Err::<Charge, _>(Error::new(ErrorKind::Timeout, "the provider did not answer")) };
    let error = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("pay")), lost)
        .await
        .unwrap_err();
    let order = error.existing_id().unwrap().into();
    shop.orders().cancel(order, CancelReason::Customer).await.unwrap();
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held), (0, 0));
    let fact = PaymentFact::captured(acme(), reference("event-1"), usd(18_00));
    assert_eq!(
        shop.payments().record_for_order(order, fact).await.unwrap(),
        Recorded::New
    );
    let order = shop.orders().require(order).await.unwrap();
    assert_eq!(
        (order.status, order.payment_status()),
        (OrderStatus::Cancelled, PaymentStatus::RefundDue)
    );
    assert_eq!(order.refund_due(), usd(18_00));
    shop.assert_sound().await;
}
