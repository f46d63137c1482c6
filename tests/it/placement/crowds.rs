//! Many callers, two processes, a gate that opens and shuts: every unit is in one order or one open cart, never in none and
//! never in two.

use std::collections::BTreeMap;

use stockroom::CartId;
use stockroom::ErrorKind;

use super::Site;
use super::assert_whole;
use super::cart;
use super::closes;
use super::gate::Mood;
use super::place;
use super::units_of;
use crate::support::Dice;
use crate::support::Ground;
use crate::support::crowd;
use crate::support::on;
use crate::support::until;

on!([file postgres redis]
    of_many_orders_of_one_cart_one_is_made
    nothing_is_lost_and_nothing_is_ordered_twice
);

/// Callers that want to order the same cart.
const CALLERS: usize = 16;

async fn of_many_orders_of_one_cart_one_is_made(ground: Ground) {
    let site = Site::new(ground);
    let (shop, gate) = site.stocked().await;
    let (other, other_gate) = site.open().await;
    gate.set(Mood::Shut);
    other_gate.set(Mood::Shut);
    let cart = cart(&shop, &[("MUG", 2)]).await;
    let shops = [shop.clone(), other.clone()];
    let outcomes = crowd(CALLERS, move |number| {
        let shop = shops[number % 2].clone();
        async move { place(&shop, cart, &format!("caller {number}")).await }
    })
    .await;
    let placed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(placed, 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(
            error.is(ErrorKind::Conflict) || error.is(ErrorKind::AlreadyExists),
            "{error}"
        );
    }
    gate.set(Mood::Open);
    other_gate.set(Mood::Open);
    closes(&shop, cart).await;
    assert_eq!(shop.every_order().await.len(), 1);
    assert_eq!(gate.passed().await + other_gate.passed().await, 1);
    assert_whole(&shop, &BTreeMap::from([(cart, units_of(&[("MUG", 2)]))])).await;
    shop.assert_sound().await;
    shop.close().await;
    other.close().await;
}

/// Carts that are filled and ordered at once.
const CARTS: usize = 24;
/// Units that are put into each of them.
const UNITS: i64 = 12;

async fn nothing_is_lost_and_nothing_is_ordered_twice(ground: Ground) {
    let site = Site::new(ground);
    let (shop, gate) = site.stocked().await;
    let (other, other_gate) = site.open().await;
    let dice = Dice::new("carts");
    let pair = [(shop.clone(), gate.clone()), (other.clone(), other_gate.clone())];
    let carts = crowd(CARTS, move |number| {
        let (mut dice, pair) = (dice.clone(), pair.clone());
        async move {
            (0..number).for_each(|_| {
                dice.draw();
            });
            let moods = [Mood::Open, Mood::Open, Mood::Shut, Mood::LosesReplies];
            let first = cart(&pair[0].0, &[("MUG", 1)]).await;
            let mut added = 1;
            while added < UNITS {
                let (shop, gate) = &pair[usize::try_from(dice.below(2)).unwrap()];
                gate.set(moods[usize::try_from(dice.below(4)).unwrap()]);
                // Where the customer believes to be; it may be closed by now.
                let Some(here) = shop.carts().current(first).await.unwrap() else {
                    break;
                };
                match dice.below(5) {
                    0 => order(shop, here.id, &format!("{first} {added}")).await,
                    _ => match shop.carts().add(here.id, "MUG", 1).await {
                        Ok(_) => added += 1,
                        Err(error) => assert!(error.is(ErrorKind::Conflict), "{error}"),
                    },
                }
            }
            (first, units_of(&[("MUG", added)]))
        }
    })
    .await;
    gate.set(Mood::Open);
    other_gate.set(Mood::Open);
    let carts: BTreeMap<CartId, _> = carts.into_iter().collect();
    for order in shop.every_order().await {
        closes(&shop, order.cart.unwrap()).await;
    }
    assert_whole(&shop, &carts).await;
    shop.assert_sound().await;
    shop.close().await;
    // The other process goes on alone.
    let last = cart(&other, &[("MUG", 1)]).await;
    other_gate.set(Mood::Shut);
    place(&other, last, "last").await.unwrap();
    other_gate.set(Mood::Open);
    until("the cart is closed by the other", async || {
        other_gate.passed().await > 0 && other.carts().current(last).await.unwrap().is_none()
    })
    .await;
    other.close().await;
}

/// Orders a cart; another caller may have been faster.
async fn order(shop: &crate::support::Shop, cart: CartId, name: &str) {
    if let Err(error) = place(shop, cart, name).await {
        assert!(
            error.is(ErrorKind::Conflict) || error.is(ErrorKind::AlreadyExists),
            "{error}"
        );
    }
}
