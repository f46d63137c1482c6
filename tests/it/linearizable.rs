//! What the shop answers about one SKU is what some order of the calls, one after the other, would have answered.
//!
//! Callers of two shops reserve, release and read the same few SKUs at once. Each call is noted with its beginning, its
//! end and its answer. From time to time all callers rest: what was noted until then is a window, and for each SKU of it a
//! checker looks for an order of the calls that explains every figure. SKUs are independent, so that each can be checked by
//! itself (Herlihy and Wing, 1990: linearizability is local).
//!
//! The checker is `todc-utils`, the algorithm of Wing and Gong with Lowe's memory of what was tried. It gives a verdict
//! for every history, never a "perhaps", and short windows keep it fast. `stateright` has one too, without that memory: it
//! does not come back from sixteen callers.

mod by_hand;
mod caller;
mod history;
mod shelf;

use std::sync::Arc;
use std::time::Instant;

use stockroom::testkit::engines;

use crate::support::Dice;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::on;

use caller::Caller;
use history::Clock;
use history::Noted;
use history::assert_linearizable;
use shelf::Shelf;
use shelf::Told;

on!([memory file postgres dynamodb] what_callers_at_once_are_told_about_a_sku_has_an_order);

/// Few, so that they meet; several, so that a call can be about two.
const SKUS: [&str; 4] = ["MUG-A", "MUG-B", "MUG-C", "MUG-D"];
const CALLERS: usize = 16;
/// Steps of each caller in a window.
const STEPS: usize = 25;
/// Fewer than the callers want: many are refused, and the figure that they are told is checked as well.
const UNITS: i64 = 24;

/// Calls that are checked at least.
fn enough(ground: &Ground) -> usize {
    match engines::setting("STOCKROOM_SOAK").as_deref() {
        Some("1") => 1_000_000,
        _ if ground.is_far() => 400,
        _ => 10_000,
    }
}

async fn what_callers_at_once_are_told_about_a_sku_has_an_order(ground: Ground) {
    let shops = ground.open_two().await;
    for sku in SKUS {
        shops[0].stock(sku, UNITS).await;
    }
    let (mut dice, clock, begun) = (
        Dice::new("linearizable"),
        Arc::new(Clock::default()),
        Instant::now(),
    );
    let mut callers: Vec<Caller> = (0..CALLERS)
        .map(|number| Caller::new(number, shops[number % 2].clone(), Arc::clone(&clock)))
        .collect();
    let (mut calls, mut refused, mut histories) = (0, 0, 0);
    while calls < enough(&ground) {
        let began = shelves(&shops[0]).await;
        let mut noted;
        (callers, noted) = window(callers, &mut dice).await;
        calls += noted.len();
        refused += noted.iter().filter(|noted| noted.is_refusal()).count();
        let ended = shelves(&shops[1]).await;
        for (sku, (began, ended)) in SKUS.into_iter().zip(began.into_iter().zip(ended)) {
            let mut about: Vec<Noted> = noted.extract_if(.., |noted| noted.sku == sku).collect();
            about.push(clock.alone(CALLERS, sku, Told::Read(ended)));
            assert_linearizable(began, &about);
            histories += 1;
        }
    }
    println!(
        "{calls} calls, {refused} of them refused, in {histories} histories: each has an order; {:?}",
        begun.elapsed()
    );
    assert!(
        refused > calls / 50,
        "there was enough for everyone: nothing was tried"
    );
    shops[0].assert_sound().await;
}

/// Every caller takes its steps; what they noted.
async fn window(callers: Vec<Caller>, dice: &mut Dice) -> (Vec<Caller>, Vec<Noted>) {
    let seats: Vec<_> = callers
        .into_iter()
        .map(|caller| {
            let draws: Vec<u64> = (0..STEPS).map(|_| dice.draw()).collect();
            std::sync::Mutex::new(Some((caller, draws)))
        })
        .collect();
    let seats = Arc::new(seats);
    let done = crowd(CALLERS, move |number| {
        let seat = seats[number].lock().unwrap().take();
        async move {
            let (mut caller, draws) = seat.unwrap();
            let mut noted = Vec::new();
            for draw in draws {
                caller.step(draw, &mut noted).await;
            }
            (caller, noted)
        }
    });
    let (callers, noted): (Vec<_>, Vec<_>) = done.await.into_iter().unzip();
    (callers, noted.into_iter().flatten().collect())
}

/// What lies on the shelves while nobody does anything.
async fn shelves(shop: &Shop) -> Vec<Shelf> {
    let mut shelves = Vec::new();
    for sku in SKUS {
        shelves.push(Shelf::of(&shop.level(sku).await));
    }
    shelves
}
