//! One caller of a batch runs into an error of the database, at each table in turn: it alone is told so, nothing of it is
//! left, and its neighbours are served.

mod acts;
mod trap;

use std::collections::BTreeSet;
use std::time::Duration;

use stockroom::Error;
use stockroom::ErrorKind;

use super::begun::Call;
use super::begun::begin;
use super::begun::finish;
use super::gate::Gate;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::on;

use acts::Actor;
use acts::KINDS;
use acts::Kind;
use acts::SHARED;
pub(super) use trap::Trap;

on!([file postgres] an_error_in_a_batch_is_its_culprits_alone);

/// Every table that callers write to; the rows of a commit are the batch's.
const TABLES: [&str; 12] = [
    "products",
    "variants",
    "claims",
    "carts",
    "cart_lines",
    "orders",
    "order_lines",
    "payments",
    "levels",
    "movements",
    "holds",
    "changes",
];
/// Past the lease of a payment.
const PAST_LEASE: Duration = Duration::from_secs(61);
/// Neighbours of the culprit, of every kind.
const NEIGHBOURS: usize = 10;

async fn an_error_in_a_batch_is_its_culprits_alone(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    shop.stock(SHARED, 1_000_000).await;
    let (mut struck, mut kept) = (BTreeSet::new(), 0);
    for (round, table) in TABLES.iter().enumerate() {
        for (number, kind) in KINDS.into_iter().enumerate() {
            let trap = Trap::on(&ground, table, round * KINDS.len() + number);
            if strike(&ground, &shop, &trap, kind, &mut kept).await {
                struck.insert(*table);
            }
        }
    }
    assert_eq!(
        struck,
        BTreeSet::from(TABLES),
        "the tables that an error was met at"
    );
    let level = shop.level(SHARED).await;
    assert_eq!(
        level.allocated + level.held,
        kept,
        "what the callers were told they have"
    );
    shop.assert_sound().await;
}

/// One batch with a culprit in it; whether it ran into the error.
async fn strike(ground: &Ground, shop: &Shop, trap: &Trap, kind: Kind, kept: &mut i64) -> bool {
    let culprit = Actor::prepare(shop, kind, trap.name.clone()).await;
    let mut neighbours = Vec::new();
    for number in 0..NEIGHBOURS {
        let kind = KINDS[number % KINDS.len()];
        neighbours.push(Actor::prepare(shop, kind, format!("{}-of-{number}", trap.neighbour)).await);
    }
    let before = culprit.traces(shop).await;
    trap.set(&culprit.marks()).await;
    let gate = Gate::close(ground, shop).await;
    let mut calls: Vec<Call<Result<i64, Error>>> = Vec::new();
    for (number, neighbour) in neighbours.iter().enumerate() {
        if number == NEIGHBOURS / 2 {
            calls.push(culprit.act(shop));
        }
        calls.push(neighbour.act(shop));
    }
    for call in &mut calls {
        assert!(begin(call).await.is_none());
    }
    // Those that read before they write come to the queue too.
    tokio::time::sleep(Duration::from_millis(5)).await;
    gate.open().await;
    let mut answers = finish(calls).await;
    let met = answers.remove(NEIGHBOURS / 2);
    for (neighbour, answer) in neighbours.iter().zip(answers) {
        let told =
            answer.unwrap_or_else(|error| panic!("{neighbour:?} beside {trap:?} of {kind:?}: {error:?}"));
        *kept += told;
    }
    trap.take_away().await;
    let struck = met.is_err();
    match met {
        Ok(told) => *kept += told,
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::Internal | ErrorKind::Conflict),
                "{error:?}"
            );
            let left = culprit.traces(shop).await;
            if matches!(kind, Kind::Pay) && left.awaits_its_payment() {
                // Its first step was whole; the second is for whoever has the lease next.
                shop.shift_clock(PAST_LEASE);
            } else {
                assert_eq!(left, before, "{kind:?} left something behind at {trap:?}");
            }
            // Nothing is in its way: no key is taken, no unit is kept.
            *kept += culprit.act(shop).await.unwrap();
        }
    }
    struck
}
