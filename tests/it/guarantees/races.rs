//! Cancel against capture: whoever comes first, the money is recorded, the refund right, the stock free.

use std::time::Duration;

use stockroom::CancelReason;
use stockroom::CartId;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::Order;
use stockroom::OrderId;
use stockroom::OrderStatus;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::PaymentFact;
use stockroom::PaymentState;
use stockroom::PaymentStatus;
use stockroom::Provider;
use tokio::sync::oneshot;

use super::bank::Bank;
use crate::support::Dice;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::key;
use crate::support::on;
use crate::support::reference;

on!([memory file postgres dynamodb]
    a_cancel_before_the_capture_makes_the_money_due_back
    a_cancel_after_the_capture_makes_the_money_due_back
    a_cancel_at_the_moment_of_the_capture_makes_the_money_due_back
    a_webhook_at_the_moment_of_the_answer_counts_once
);

/// Demands a cancelled order whose whole price is due back, and no unit kept for it.
async fn assert_due_back(shop: &Shop, id: OrderId) {
    let order = shop.orders().require(id).await.unwrap();
    assert_eq!(
        (order.status, order.cancel_reason),
        (OrderStatus::Cancelled, Some(CancelReason::Customer))
    );
    assert_eq!(order.paid.captured, order.total.minor());
    assert_eq!(
        (order.refund_due(), order.payment_status()),
        (order.total, PaymentStatus::RefundDue)
    );
    let payments = shop.payments().for_order(id).await.unwrap();
    assert_eq!(
        (payments[0].state, payments[0].settled),
        (PaymentState::Captured, order.paid)
    );
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held, level.available()), (0, 0, 10));
    shop.assert_sound().await;
}

async fn a_cancel_before_the_capture_makes_the_money_due_back(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let charge = |due: Due| {
        let shop = shop.clone();
        async move {
            let cancelled = shop
                .checkout()
                .cancel(due.order.id, CancelReason::Customer)
                .await?;
            assert_eq!(cancelled.status, OrderStatus::Cancelled);
            assert_eq!(shop.level("MUG").await.held, 0);
            Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
        }
    };
    let pay = Pay::cart(cart).key(key("pay"));
    let paid = shop.checkout().pay(pay.clone(), charge).await.unwrap();
    let Paid::Cancelled {
        order,
        refund,
        replayed: false,
        ..
    } = paid
    else {
        panic!("{paid:?}")
    };
    assert_eq!(refund, order.total);
    let again = shop.checkout().pay(pay, charge).await.unwrap();
    assert!(
        matches!(&again, Paid::Cancelled { refund, replayed: true, .. } if *refund == order.total),
        "{again:?}"
    );
    assert_due_back(&shop, order.id).await;
}

async fn a_cancel_after_the_capture_makes_the_money_due_back(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let bank = Bank::open();
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("pay")), |due| bank.charge(due))
        .await
        .unwrap();
    let Paid::Order { order, .. } = paid else {
        panic!("{paid:?}")
    };
    let cancelled = shop
        .checkout()
        .cancel(order.id, CancelReason::Customer)
        .await
        .unwrap();
    assert_eq!(cancelled.refund_due(), order.total);
    assert_due_back(&shop, order.id).await;
}

/// Lets other tasks run so many times.
async fn step_aside(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Pays; what the channel gives is the order, as soon as the provider knows it.
async fn pay(shop: Shop, cart: CartId, number: u32, told: oneshot::Sender<Order>, pause: u64) -> Paid {
    let told = std::sync::Mutex::new(Some(told));
    let charge = |due: Due| {
        let told = told.lock().unwrap().take();
        async move {
            told.unwrap().send(Order::clone(&due.order)).unwrap();
            step_aside(pause).await;
            Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
        }
    };
    shop.checkout()
        .pay(Pay::cart(cart).key(key(format!("pay-{number}"))), charge)
        .await
        .unwrap()
}

async fn a_cancel_at_the_moment_of_the_capture_makes_the_money_due_back(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG", 10).await;
    let mut dice = Dice::new("cancel against capture");
    let mut cancelled_first = 0;
    for number in 0..50 {
        let cart = shops[0].cart(&[("MUG", 2)]).await;
        let (told, begun) = oneshot::channel();
        let paying = tokio::spawn(pay(shops[0].clone(), cart, number, told, dice.below(40)));
        let order = begun.await.unwrap();
        step_aside(dice.below(40)).await;
        shops[1]
            .checkout()
            .cancel(order.id, CancelReason::Customer)
            .await
            .unwrap();
        let paid = paying.await.unwrap();
        match paid {
            Paid::Order { .. } => {}
            Paid::Cancelled { refund, .. } => {
                assert_eq!(refund, order.total);
                cancelled_first += 1;
            }
            other => panic!("{other:?}"),
        }
        assert_due_back(&shops[0], order.id).await;
    }
    println!("the cancel came first {cancelled_first} times of 50");
}

async fn a_webhook_at_the_moment_of_the_answer_counts_once(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG", 100).await;
    let mut dice = Dice::new("webhook against answer");
    for number in 0..25 {
        let cart = shops[0].cart(&[("MUG", 1)]).await;
        let (told, begun) = oneshot::channel();
        let paying = tokio::spawn(pay(shops[0].clone(), cart, number, told, dice.below(40)));
        let order = begun.await.unwrap();
        step_aside(dice.below(40)).await;
        let acme = Provider::new("acme").unwrap();
        let fact = PaymentFact::captured(acme, reference(format!("event-{number}")), order.total);
        let hasty = shops[1].within(Duration::from_secs(20));
        hasty.payments().record_for_order(order.id, fact).await.unwrap();
        let paid = paying.await.unwrap();
        assert!(matches!(&paid, Paid::Order { .. }), "{paid:?}");
        let order = shops[1].orders().require(order.id).await.unwrap();
        assert_eq!(order.paid.captured, order.total.minor());
        assert_eq!(
            shops[1].payments().for_order(order.id).await.unwrap()[0].settled,
            order.paid
        );
    }
    shops[0].assert_sound().await;
}
