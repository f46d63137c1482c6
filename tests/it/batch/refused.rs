//! A refusal rests on what is committed: neither on a neighbour that came to nothing, nor on what it would have given up.

use std::time::Duration;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Hold;
use stockroom::HoldLine;
use stockroom::Place;

use super::begun::Call;
use super::begun::begin_all;
use super::begun::finish;
use super::culprit::Trap;
use super::gate::Gate;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([file postgres]
    units_of_a_neighbour_that_fails_are_there_for_the_next
    a_refusal_does_not_count_what_a_refused_neighbour_gave_up
    units_arrive_beside_a_refused_neighbour_where_too_many_were_promised
);

const HOUR: Duration = Duration::from_secs(60 * 60);

fn line(name: &str, count: i64) -> HoldLine {
    HoldLine {
        sku: sku(name),
        location: berlin(),
        quantity: units(count),
    }
}

fn hold(shop: &Shop, lines: Vec<HoldLine>) -> Call<Result<Hold, Error>> {
    let shop = shop.clone();
    Box::pin(async move { shop.inventory().hold(&lines, HOUR).await })
}

async fn units_of_a_neighbour_that_fails_are_there_for_the_next(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    shop.stock("MUG", 3).await;
    let trap = Trap::on(&ground, "movements", 1);
    shop.stock(&trap.name, 10).await;
    trap.set(std::slice::from_ref(&trap.name)).await;
    let gate = Gate::close(&ground, &shop).await;
    let mut calls = vec![
        hold(&shop, vec![line("MUG", 2), line(&trap.name, 1)]),
        hold(&shop, vec![line("MUG", 2)]),
    ];
    begin_all(&mut calls).await;
    gate.open().await;
    let mut answers = finish(calls).await;
    let (second, first) = (answers.pop().unwrap(), answers.pop().unwrap());
    assert!(first.is_err(), "it was to fail");
    // Nobody has ever had one of the three.
    second.unwrap();
    assert_eq!(shop.level("MUG").await.held, 2);
    trap.take_away().await;
    shop.assert_sound().await;
}

async fn a_refusal_does_not_count_what_a_refused_neighbour_gave_up(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    shop.stock("MUG", 3).await;
    let cart = shop.cart(&[("MUG", 3)]).await;
    let quote = shop.checkout().quote(cart).await.unwrap();
    let kept = shop.checkout().hold(&quote, HOUR).await.unwrap();
    // The cart is another one by now: the order with the hold is refused, and the hold stays.
    shop.carts().add(cart, "MUG", 1).await.unwrap();
    let seller = shop.clone();
    let order: Call<Result<Hold, Error>> = Box::pin(async move {
        let place = Place::quote(quote).hold(kept.clone()).key(key("late"));
        seller.checkout().place(place).await.map(|_| kept)
    });
    let gate = Gate::close(&ground, &shop).await;
    let mut calls = vec![order, hold(&shop, vec![line("MUG", 4)])];
    begin_all(&mut calls).await;
    gate.open().await;
    let mut answers = finish(calls).await;
    let (second, first) = (answers.pop().unwrap(), answers.pop().unwrap());
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(shop.level("MUG").await.held, 3);
    let refused = second.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InsufficientStock);
    // All three are held before, during and after.
    assert_eq!(
        (refused.shortages()[0].requested, refused.shortages()[0].available),
        (4, 0)
    );
    shop.assert_sound().await;
}

async fn units_arrive_beside_a_refused_neighbour_where_too_many_were_promised(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    shop.stock("MUG", 3).await;
    shop.inventory().hold(&[line("MUG", 2)], HOUR).await.unwrap();
    shop.inventory()
        .adjust("MUG", &berlin(), -2, "broken")
        .await
        .unwrap();
    assert_eq!(shop.level("MUG").await.available(), -1);
    let seller = shop.clone();
    let receive: Call<Result<(), Error>> = Box::pin(async move {
        let received = seller.inventory().receive("MUG", &berlin(), 1).await;
        received.map(drop)
    });
    let short = hold(&shop, vec![line("MUG", 1)]);
    let gate = Gate::close(&ground, &shop).await;
    let mut calls = vec![Box::pin(async move { short.await.map(drop) }) as Call<_>, receive];
    begin_all(&mut calls).await;
    gate.open().await;
    let mut answers = finish(calls).await;
    let (second, first) = (answers.pop().unwrap(), answers.pop().unwrap());
    assert_eq!(first.unwrap_err().kind(), ErrorKind::InsufficientStock);
    // A step that takes nothing is never short.
    second.unwrap();
    assert_eq!(shop.level("MUG").await.on_hand, 2);
    shop.assert_sound().await;
}
