//! More callers than the queue takes, and a shop that closes while it is full.

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Version;

use super::begun::Call;
use super::begun::begin;
use super::begun::begin_all;
use super::begun::finish;
use super::gate::Gate;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::on;

on!([file postgres]
    who_comes_to_a_full_queue_is_refused_at_once_and_everyone_else_served
    a_shop_that_closes_serves_everyone_that_it_took
);

/// Write sets that wait at most.
const QUEUE: usize = 4_096;
/// Write sets that the committer may have taken out of the queue beside them.
const TAKEN: usize = 256;
const SKUS: usize = 10;

fn receive(shop: &Shop, number: usize) -> Call<Result<Version, Error>> {
    let shop = shop.clone();
    let sku = format!("MUG-{}", number % SKUS);
    Box::pin(async move { shop.inventory().receive(sku, &berlin(), 1).await })
}

/// Units of all SKUs.
async fn received(shop: &Shop) -> usize {
    let mut sum = 0;
    for number in 0..SKUS {
        let level = shop.inventory().level(format!("MUG-{number}"), &berlin()).await;
        sum += level.unwrap().map_or(0, |level| level.on_hand);
    }
    usize::try_from(sum).unwrap()
}

async fn who_comes_to_a_full_queue_is_refused_at_once_and_everyone_else_served(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    let gate = Gate::close(&ground, &shop).await;
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for number in 0..QUEUE + TAKEN + 1_000 {
        let mut call = receive(&shop, number);
        match begin(&mut call).await {
            None => waiting.push(call),
            Some(Err(error)) if error.is(ErrorKind::RateLimited) => refused += 1,
            Some(other) => panic!("{other:?}"),
        }
    }
    assert!(
        (QUEUE..=QUEUE + TAKEN).contains(&waiting.len()),
        "{} wait",
        waiting.len()
    );
    assert!(refused >= 1_000);
    assert_eq!(received(&shop).await, 0);
    gate.open().await;
    let taken = waiting.len();
    let answers = finish(waiting).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(received(&shop).await, taken);
    // There is room again.
    receive(&shop, 0).await.unwrap();
    shop.assert_sound().await;
}

async fn a_shop_that_closes_serves_everyone_that_it_took(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    let gate = Gate::close(&ground, &shop).await;
    let mut calls: Vec<_> = (0..1_000).map(|number| receive(&shop, number)).collect();
    begin_all(&mut calls).await;
    let room = shop.clone();
    let closing = tokio::spawn(async move { room.close().await });
    // Whoever comes before it has got that far is served as well.
    let late = loop {
        let mut call = receive(&shop, 0);
        match begin(&mut call).await {
            None => calls.push(call),
            Some(answer) => break answer.unwrap_err(),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(late.kind(), ErrorKind::Unavailable, "{late:?}");
    assert!(!closing.is_finished(), "it closed though a thousand wait");
    let taken = calls.len();
    gate.open().await;
    let answers = finish(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    closing.await.unwrap();
    let again = ground.open().await;
    assert_eq!(received(&again).await, taken);
    again.assert_sound().await;
}
