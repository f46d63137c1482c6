//! Orders and payments.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use stockroom::CancelReason;
use stockroom::CartStatus;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::OrderId;
use stockroom::OrderStatus;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::PaymentFact;
use stockroom::Place;
use stockroom::Provider;
use stockroom::Recorded;

use super::Fate;
use super::drop_everywhere;
use super::settled;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::key;
use crate::support::on;
use crate::support::reference;
use crate::support::units;
use crate::support::usd;

on!([memory file postgres dynamodb]
    a_dropped_place_is_whole_or_absent
    a_dropped_pay_is_finished_by_its_key
    a_dropped_record_counts_once_or_not
);
on!([memory file postgres]
    a_dropped_resume_is_finished_by_the_next
    a_dropped_cancel_is_whole_or_absent
    a_dropped_complete_closes_or_does_not
);

const PAST_LEASE: Duration = Duration::from_secs(61);

async fn stocked(ground: &Ground) -> Shop {
    let shop = ground.open_with(2).await;
    for sku in ["MUG", "CUP"] {
        shop.stock(sku, 10_000).await;
    }
    shop
}

/// The orders that were placed, by id.
async fn placed(shop: &Shop) -> BTreeSet<OrderId> {
    let orders = shop.every_order().await;
    orders
        .iter()
        .filter(|order| order.status == OrderStatus::Placed)
        .map(|order| order.id)
        .collect()
}

async fn a_dropped_place_is_whole_or_absent(ground: Ground) {
    let shop = stocked(&ground).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let cart = shop.cart(&[("MUG", 1), ("CUP", 1)]).await;
        let before = placed(&shop).await;
        let place = Place::cart(cart).key(key(format!("order-{number}")));
        let ended = cut
            .drops(shop.checkout().place(place.clone()))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let made: Vec<_> = placed(&shop).await.difference(&before).copied().collect();
        let ordered = shop.carts().require(cart).await.unwrap().status == CartStatus::Ordered;
        assert_eq!(
            (made.len(), ended.is_some() <= ordered),
            (usize::from(ordered), true)
        );
        let units = i64::try_from(before.len() + made.len()).unwrap();
        assert_eq!(
            (
                shop.level("MUG").await.allocated,
                shop.level("CUP").await.allocated
            ),
            (units, units)
        );
        let again = shop.checkout().place(place).await.unwrap();
        assert_eq!(again.replayed, ordered);
        assert!(made.is_empty() || made == [again.order.id]);
        Fate::of(ended.is_some(), ordered)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_pay_is_finished_by_its_key(ground: Ground) {
    let shop = stocked(&ground).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let cart = shop.cart(&[("MUG", 1), ("CUP", 1)]).await;
        let asked = Mutex::new(Vec::new());
        let charge = |due: Due| {
            asked.lock().unwrap().push(due.provider_key.clone());
            async move {
                tokio::task::yield_now().await;
                Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
            }
        };
        let name = key(format!("pay-{number}"));
        let ended = cut
            .drops(shop.checkout().pay(Pay::cart(cart).key(name.clone()), charge))
            .await;
        settled(&shop).await;
        shop.shift_clock(PAST_LEASE);
        let resumed = shop.checkout().resume(&name, charge).await;
        let was_begun = resumed.is_ok();
        if let Err(error) = &resumed {
            // Nothing was begun: not even the provider knows of it.
            assert_eq!(
                (error.kind(), ended.is_none()),
                (ErrorKind::NotFound, true),
                "{error:?}"
            );
            assert!(asked.lock().unwrap().is_empty());
            assert!(shop.carts().require(cart).await.unwrap().is_open());
        } else {
            let order = shop.orders().require(resumed.unwrap().order().id).await.unwrap();
            assert_eq!(
                (order.status, order.paid.captured),
                (OrderStatus::Placed, order.total.minor())
            );
            let keys: BTreeSet<_> = asked.lock().unwrap().drain(..).collect();
            assert_eq!(keys.len(), 1, "one payment was charged under two keys");
        }
        if let Some(paid) = &ended {
            assert!(
                matches!(paid, Ok(Paid::Order { replayed: false, .. })),
                "{paid:?}"
            );
        }
        let orders = i64::try_from(placed(&shop).await.len()).unwrap();
        for sku in ["MUG", "CUP"] {
            let level = shop.level(sku).await;
            assert_eq!((level.allocated, level.held), (orders, 0));
        }
        Fate::of(ended.is_some(), was_begun)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_resume_is_finished_by_the_next(ground: Ground) {
    let shop = stocked(&ground).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let cart = shop.cart(&[("MUG", 1), ("CUP", 1)]).await;
        let name = key(format!("pay-{number}"));
        let broken = |_: Due| async { Err::<Charge, _>(Error::new(ErrorKind::Timeout, "no answer")) };
        shop.checkout()
            .pay(Pay::cart(cart).key(name.clone()), broken)
            .await
            .unwrap_err();
        let charge = |due: Due| async { Ok::<_, Error>(Charge::captured(reference(due.provider_key))) };
        let ended = cut
            .drops(shop.checkout().resume(&name, charge))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let orders = placed(&shop).await;
        shop.shift_clock(PAST_LEASE);
        let paid = shop.checkout().resume(&name, charge).await.unwrap();
        let was_settled = orders.contains(&paid.order().id);
        assert_eq!(paid.replayed(), was_settled);
        assert!(was_settled || ended.is_none());
        let orders = i64::try_from(placed(&shop).await.len()).unwrap();
        for sku in ["MUG", "CUP"] {
            let level = shop.level(sku).await;
            assert_eq!((level.allocated, level.held), (orders, 0));
        }
        Fate::of(ended.is_some(), was_settled)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_complete_closes_or_does_not(ground: Ground) {
    let shop = stocked(&ground).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let cart = shop.cart(&[("MUG", 1)]).await;
        let place = Place::cart(cart).key(key(format!("order-{number}")));
        let order = shop.checkout().place(place).await.unwrap().order;
        let sent = shop.orders().ship(&order, &[(1, units(1))]).await.unwrap();
        let ended = cut.drops(shop.orders().complete(&sent)).await.map(Result::unwrap);
        settled(&shop).await;
        let after = shop.orders().require(order.id).await.unwrap();
        let completed = after.status == OrderStatus::Completed;
        assert!(completed || (after == sent && ended.is_none()));
        Fate::of(ended.is_some(), completed)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_cancel_is_whole_or_absent(ground: Ground) {
    let shop = stocked(&ground).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let cart = shop.cart(&[("MUG", 2), ("CUP", 2)]).await;
        let before = shop.level("MUG").await.allocated;
        let place = Place::cart(cart).key(key(format!("order-{number}")));
        let order = shop.checkout().place(place).await.unwrap().order;
        let cancel = shop.checkout().cancel(order.id, CancelReason::Customer);
        let ended = cut.drops(cancel).await.map(Result::unwrap);
        settled(&shop).await;
        let after = shop.orders().require(order.id).await.unwrap();
        let left = match after.status {
            OrderStatus::Cancelled => 0,
            OrderStatus::Placed if ended.is_none() => 2,
            other => panic!("{other}"),
        };
        assert_eq!(shop.level("MUG").await.allocated, before + left);
        assert_eq!(shop.level("CUP").await.allocated, before + left);
        Fate::of(ended.is_some(), left == 0)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_record_counts_once_or_not(ground: Ground) {
    let shop = stocked(&ground).await;
    let cart = shop.cart(&[("MUG", 1)]).await;
    let charge = |due: Due| async { Ok::<_, Error>(Charge::captured(reference(due.provider_key))) };
    let paid = shop
        .checkout()
        .pay(Pay::cart(cart).key(key("pay")), charge)
        .await
        .unwrap();
    let order = paid.order().id;
    let payment = shop.payments().for_order(order).await.unwrap()[0].id;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let before = shop.orders().require(order).await.unwrap().paid.refunded;
        let event = reference(format!("event-{number}"));
        let fact = PaymentFact::refunded(Provider::new("acme").unwrap(), event, usd(1));
        let ended = cut
            .drops(shop.payments().record(payment, fact.clone()))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.orders().require(order).await.unwrap().paid;
        assert_eq!(shop.payments().require(payment).await.unwrap().settled, after);
        let counted = after.refunded - before;
        assert!(counted == 1 || (counted == 0 && ended.is_none()), "{counted}");
        let again = shop.payments().record(payment, fact).await.unwrap();
        assert_eq!(
            again,
            if counted == 1 {
                Recorded::Repeated
            } else {
                Recorded::New
            }
        );
        assert_eq!(
            shop.orders().require(order).await.unwrap().paid.refunded,
            before + 1
        );
        Fate::of(ended.is_some(), counted == 1)
    })
    .await;
}
