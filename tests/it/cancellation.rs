//! Every write dropped at every await, with two reading connections: afterwards the pool serves, no session stays in a
//! transaction, every write is whole or absent.

mod catalogue;
mod checkout;
mod stock;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::until;

/// Times that each write is taken through all of its awaits: how often it is woken differs from time to time.
const PASSES: usize = 4;
/// More than any write needs.
const MOST_POLLS: usize = 2_000;
/// For what is not waited for otherwise.
const READ: Duration = Duration::from_secs(10);

/// Polls a future so many times at most, then drops it; its answer if it came.
async fn cut<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Makes attempts that are dropped after 1 poll, after 2, until one ends; the attempt is given its number and its polls,
/// and tells whether it ended.
async fn drop_everywhere(ground: &Ground, shop: &Shop, mut attempt: impl AsyncFnMut(usize, usize) -> bool) {
    let mut number = 0;
    let mut cuts = Vec::new();
    for _ in 0..PASSES {
        let mut polls = 1;
        loop {
            number += 1;
            let ended = attempt(number, polls).await;
            if ended {
                break;
            }
            polls += 1;
            assert!(polls < MOST_POLLS, "it never ends");
        }
        cuts.push(polls - 1);
    }
    println!("dropped at {cuts:?} awaits");
    assert_serves(ground, shop).await;
}

/// Waits until what was sent before is settled: the store takes writes in turn.
async fn settled(shop: &Shop) {
    shop.inventory().receive("AFTERWARDS", &berlin(), 1).await.unwrap();
}

/// Demands that all connections serve, and that none is left over or in a transaction.
async fn assert_serves(ground: &Ground, shop: &Shop) {
    settled(shop).await;
    let reader = shop.within(READ);
    let served = crowd(8, move |_| {
        let shop = reader.clone();
        async move { shop.ping().await }
    });
    for pong in served.await {
        pong.unwrap();
    }
    let Some(schema) = ground.schema() else { return };
    let sessions = format!("SELECT state FROM pg_stat_activity WHERE application_name = '{schema}'");
    until("two readers and the writer are idle", async || {
        let states = ground.texts(&sessions).await;
        states.len() <= 3 && states.iter().all(|state| state == "idle")
    })
    .await;
}
