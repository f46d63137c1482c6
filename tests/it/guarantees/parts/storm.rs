//! Everything at once: callers who die, who come again, who give up what is not theirs, and a service that fails.

use std::collections::BTreeSet;
use std::time::Duration;

use stockroom::CancelReason;
use stockroom::Error;
use stockroom::OrderStatus;
use stockroom::Place;
use stockroom::Retry;
use stockroom::testkit::dynamodb::DynamoFault;
use stockroom::testkit::dynamodb::DynamoFaults;

use super::goods::LINES;
use super::goods::assert_levels;
use super::goods::cart;
use super::goods::stock;
use super::mortal::Fate;
use crate::support::Dice;
use crate::support::Ground;
use crate::support::crowd;
use crate::support::key;
use crate::support::on;
use crate::support::until;

on!([memory file postgres dynamodb] the_books_agree_whoever_dies_and_gives_up);
on!([dynamodb] lost_replies_and_conflicts_change_nothing);

/// Callers who die anywhere, who come again with their keys, and who give up what is not theirs, all at once.
async fn the_books_agree_whoever_dies_and_gives_up(ground: Ground) {
    const CALLERS: usize = 8;
    let rounds = if ground.is_far() { 2 } else { 6 };
    let shops = ground.open_two().await;
    stock(&shops[0], LINES, 3).await;
    let mut carts = Vec::new();
    for _ in 0..CALLERS {
        carts.push(cart(&shops[0], 0..LINES, 1).await);
    }
    let mut dice = Dice::new("the books agree");
    let plans: Vec<Vec<(usize, bool)>> = (0..CALLERS)
        .map(|_| {
            (0..rounds)
                .map(|_| (usize::try_from(dice.below(12)).unwrap(), dice.below(4) == 0))
                .collect()
        })
        .collect();
    let callers = shops.clone();
    let work = move |caller: usize| {
        let (shop, cart) = (callers[caller % 2].clone(), carts[caller]);
        let plan = plans[caller].clone();
        async move {
            let mut placed = None;
            for (round, (commits, gives_up)) in plan.into_iter().enumerate() {
                let mortal = Fate::dies_after(commits).meets(&shop).await;
                if gives_up {
                    let _ = mortal.checkout().give_up_idle(Duration::ZERO).await;
                    continue;
                }
                // A new key where the old one may have been given up.
                let place = Place::cart(cart).key(key(format!("{caller}-{}", round / 2)));
                if let Ok(answer) = mortal.checkout().place_in_parts(place).await {
                    placed = Some(answer.order.id);
                }
            }
            placed
        }
    };
    let answers = crowd(CALLERS, work).await;
    let shop = &shops[0];
    until("nobody has anything under way", async || {
        let given_up = shop.checkout().give_up_idle(Duration::ZERO).await;
        given_up.is_ok()
            && shop
                .every_order()
                .await
                .iter()
                .all(|order| !is_under_way(order.status))
    })
    .await;
    let orders = shop.every_order().await;
    let placed: BTreeSet<_> = orders
        .iter()
        .filter(|order| order.status == OrderStatus::Placed)
        .map(|order| order.id)
        .collect();
    for order in answers.into_iter().flatten() {
        assert!(placed.contains(&order), "an order that was acknowledged is gone");
    }
    assert!(placed.len() <= 3);
    println!("{} orders, {} of them placed", orders.len(), placed.len());
    let units = i64::try_from(placed.len()).unwrap();
    assert_levels(shop, LINES, units, 0).await;
    shop.assert_sound().await;
}

fn is_under_way(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Allocating | OrderStatus::Releasing)
}

async fn lost_replies_and_conflicts_change_nothing(ground: Ground) {
    let faults = DynamoFaults::new(15);
    let shop = ground.behind(&faults).open().await;
    stock(&shop, LINES, 4).await;
    let mut carts = Vec::new();
    for _ in 0..4 {
        carts.push(cart(&shop, 0..LINES, 1).await);
    }
    for fault in [
        DynamoFault::LostReply,
        DynamoFault::TransactionConflict,
        DynamoFault::HotKey,
    ] {
        faults.plant(fault, 10);
    }
    let again = |error: Error| {
        let class = error.retry_class();
        assert!(matches!(class, Retry::Safe | Retry::SameKey), "{error:?}");
    };
    let mut orders = Vec::new();
    for (number, cart) in carts.into_iter().enumerate() {
        let place = Place::cart(cart).key(key(format!("faulty-{number}")));
        loop {
            match shop.checkout().place_in_parts(place.clone()).await {
                Ok(answer) => break orders.push(answer.order.id),
                Err(error) => again(error),
            }
        }
    }
    faults.heal();
    assert_levels(&shop, LINES, 4, 0).await;
    assert_eq!(shop.every_order().await.len(), 4);
    for order in orders {
        let cancelled = shop.orders().cancel(order, CancelReason::Customer).await.unwrap();
        assert_eq!(cancelled.status, OrderStatus::Cancelled);
    }
    assert_levels(&shop, LINES, 0, 0).await;
    shop.assert_sound().await;
}
