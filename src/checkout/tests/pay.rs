//! Orders with a payment: what the provider says, and what happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bench;
use super::key;
use super::usd;
use crate::checkout::Charge;
use crate::checkout::Due;
use crate::checkout::Paid;
use crate::checkout::Pay;
use crate::checkout::Place;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Retry;
use crate::model::CancelReason;
use crate::model::CartStatus;
use crate::model::OrderStatus;
use crate::model::PaymentFact;
use crate::model::PaymentStatus;
use crate::model::Provider;
use crate::model::Reference;
use crate::repository::Recorded;

async fn captures(due: Due) -> Result<Charge, Error> {
    Ok(Charge::captured(Reference::new(due.provider_key)?))
}

async fn declines(_: Due) -> Result<Charge, Error> {
    Ok(Charge::declined("no funds"))
}

async fn fails(_: Due) -> Result<Charge, Error> {
    Err(Error::new(ErrorKind::Unavailable, "no answer"))
}

#[tokio::test]
async fn a_captured_payment_places_the_order_and_closes_the_cart() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let pay = || Pay::cart(cart.id).key(key("a"));
    let paid = bench.shop.checkout().pay(pay(), captures).await.unwrap();
    assert!(matches!(paid, Paid::Order { replayed: false, .. }));
    let order = bench.shop.orders().require(paid.order().id).await.unwrap();
    assert_eq!(order, *paid.order());
    assert_eq!(
        (order.status, order.payment_status()),
        (OrderStatus::Placed, PaymentStatus::Paid)
    );
    assert_eq!(
        bench.shop.carts().require(cart.id).await.unwrap().status,
        CartStatus::Ordered
    );
    assert_eq!(bench.available("MUG").await, 8);
    let again = bench.shop.checkout().pay(pay(), fails).await.unwrap();
    assert!(again.replayed());
    assert_eq!(again.order().id, order.id);
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn a_declined_payment_leaves_stock_and_cart_as_they_were() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), declines)
        .await
        .unwrap();
    let Paid::Declined { order, reason, .. } = paid else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (order.cancel_reason, reason.as_str()),
        (Some(CancelReason::PaymentDeclined), "no funds")
    );
    assert_eq!(bench.available("MUG").await, 10);
    let again = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), captures)
        .await
        .unwrap();
    assert!(matches!(again, Paid::Declined { replayed: true, .. }));
    let other = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("b")), captures)
        .await
        .unwrap();
    assert!(matches!(other, Paid::Order { .. }));
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn a_failed_call_is_resumed_with_the_same_provider_key() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let error = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), fails)
        .await
        .unwrap_err();
    assert!(error.is(ErrorKind::Unavailable));
    assert_eq!(error.retry_class(), Retry::SameKey);
    assert_eq!(bench.available("MUG").await, 8);
    let attempts = AtomicUsize::new(0);
    let charge = |due: Due| {
        assert!(due.attempt > 1);
        attempts.fetch_add(1, Ordering::SeqCst);
        captures(due)
    };
    let paid = bench.shop.checkout().resume(&key("a"), charge).await.unwrap();
    assert!(matches!(paid, Paid::Order { replayed: false, .. }));
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    let unknown = bench
        .shop
        .checkout()
        .resume(&key("b"), captures)
        .await
        .unwrap_err();
    assert!(unknown.is(ErrorKind::NotFound));
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn many_callers_of_one_key_ask_the_provider_once() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 10)]).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let tasks = (0..16).map(|_| {
        let (shop, calls, cart) = (bench.shop.clone(), calls.clone(), cart.id);
        tokio::spawn(async move {
            let charge = |due: Due| {
                calls.fetch_add(1, Ordering::SeqCst);
                captures(due)
            };
            shop.checkout().pay(Pay::cart(cart).key(key("a")), charge).await
        })
    });
    let mut orders = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        orders.push(task.await.unwrap().unwrap().order().id);
    }
    orders.dedup();
    assert_eq!(orders.len(), 1);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_hold_that_ended_during_the_payment_may_leave_the_order_short() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 8)]).await;
    let charge = async |due: Due| {
        bench.store.shift_clock(Duration::from_secs(3_600));
        let other = bench.cart(&[("MUG", 5)]).await;
        bench
            .shop
            .checkout()
            .place(Place::cart(other.id).key(key("other")))
            .await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    let Paid::Short {
        order,
        refund,
        shortages,
        ..
    } = paid
    else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (refund, order.payment_status()),
        (usd(72_00), PaymentStatus::RefundDue)
    );
    assert_eq!((shortages[0].requested, shortages[0].available), (8, 5));
    assert_eq!(bench.available("MUG").await, 5);
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn an_order_that_was_cancelled_during_the_payment_is_due_back() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 8)]).await;
    let charge = async |due: Due| {
        bench
            .shop
            .checkout()
            .cancel(due.order.id, CancelReason::Customer)
            .await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    let Paid::Cancelled { order, refund, .. } = paid else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (refund, order.cancel_reason),
        (usd(72_00), Some(CancelReason::Customer))
    );
    assert_eq!(bench.available("MUG").await, 10);
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn lines_added_during_the_payment_move_to_a_new_cart() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let charge = async |due: Due| {
        bench.shop.carts().add(cart.id, "MUG", 1).await?;
        bench.shop.carts().add(cart.id, "CUP", 1).await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    assert_eq!(paid.order().lines[0].quantity.get(), 2);
    let paid_for = bench.shop.carts().require(cart.id).await.unwrap();
    assert_eq!(paid_for.status, CartStatus::Ordered);
    let left = bench.shop.carts().current(cart.id).await.unwrap().unwrap();
    let mut lines: Vec<_> = left
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity.get()))
        .collect();
    lines.sort();
    assert_eq!(
        (left.status, lines),
        (CartStatus::Open, vec![("CUP", 1), ("MUG", 1)])
    );
    let rest = bench
        .shop
        .checkout()
        .place(Place::cart(left.id).key(key("b")))
        .await
        .unwrap();
    assert_eq!(rest.order.lines.len(), 2);
}

#[tokio::test]
async fn a_webhook_and_the_callback_count_one_charge_once() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    let fact = |event: &str| {
        PaymentFact::captured(
            Provider::new("default").unwrap(),
            Reference::new(event).unwrap(),
            usd(9_00),
        )
    };
    let charge = async |due: Due| {
        bench
            .shop
            .payments()
            .record_for_order(due.order.id, fact("evt_1"))
            .await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    let order = paid.order();
    assert!(matches!(paid, Paid::Order { .. }));
    assert_eq!(order.paid.captured, 9_00);
    for event in ["evt_1", "evt_2", "evt_2"] {
        let recorded = bench
            .shop
            .payments()
            .record_for_order(order.id, fact(event))
            .await
            .unwrap();
        assert_eq!(recorded, Recorded::Repeated);
    }
    let order = bench.shop.orders().require(order.id).await.unwrap();
    assert_eq!(
        (order.paid.captured, order.payment_status()),
        (9_00, PaymentStatus::Paid)
    );
}

#[tokio::test]
async fn captured_after_a_cancel_is_due_back() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    let authorizes = async |due: Due| Ok::<_, Error>(Charge::authorized(Reference::new(due.provider_key)?));
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), authorizes)
        .await
        .unwrap();
    assert_eq!(paid.order().payment_status(), PaymentStatus::Authorized);
    bench
        .shop
        .orders()
        .cancel(paid.order().id, CancelReason::Customer)
        .await
        .unwrap();
    let payment = bench.shop.payments().for_order(paid.order().id).await.unwrap();
    let event = Reference::new("evt").unwrap();
    let fact = PaymentFact::captured(Provider::new("default").unwrap(), event, usd(9_00));
    bench.shop.payments().record(payment[0].id, fact).await.unwrap();
    let order = bench.shop.orders().require(paid.order().id).await.unwrap();
    assert_eq!(order.refund_due(), usd(9_00));
    assert_eq!(bench.available("MUG").await, 10);
}

#[tokio::test]
async fn another_payment_of_the_same_cart_is_refused_while_one_is_under_way() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), fails)
        .await
        .unwrap_err();
    let second = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("b")), captures)
        .await
        .unwrap_err();
    assert!(second.is(ErrorKind::AlreadyExists), "{second}");
    let order = second.existing_id().unwrap().into();
    bench
        .shop
        .checkout()
        .cancel(order, CancelReason::Expired)
        .await
        .unwrap();
    let third = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("c")), captures)
        .await
        .unwrap();
    assert!(matches!(third, Paid::Order { .. }));
}

#[tokio::test]
async fn waiting_for_another_caller_ends_with_the_deadline() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    let impatient = bench.shop.with_deadline(Duration::from_millis(50));
    let charge = async |due: Due| {
        let error = impatient
            .checkout()
            .resume(&key("a"), captures)
            .await
            .unwrap_err();
        assert!(error.is(ErrorKind::InFlight));
        captures(due).await
    };
    bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
}
