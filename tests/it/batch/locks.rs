//! Locks are taken in one order everywhere: two shops whose batches cross each other never end in a deadlock.

use std::time::Duration;

use stockroom::HoldLine;

use crate::support::Ground;
use crate::support::berlin;
use crate::support::share;
use crate::support::sku;
use crate::support::units;

const SKUS: usize = 6;
const HOLDS: usize = 1_500;
const CALLERS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_cross_each_other_end_in_no_deadlock() {
    // A server of its own: it counts the deadlocks of everybody.
    let Some((_server, ground)) = Ground::own_server().await else {
        return;
    };
    let shops = ground.open_two().await;
    for number in 0..SKUS {
        shops[0].stock(&format!("MUG-{number}"), 1_000_000).await;
    }
    let sellers = shops.clone();
    let holds = share(CALLERS, HOLDS, move |number| {
        let shop = sellers[number % 2].clone();
        async move {
            let line = |which: usize| HoldLine {
                sku: sku(&format!("MUG-{}", which % SKUS)),
                location: berlin(),
                quantity: units(1),
            };
            // Each way round, and now more, now fewer of them.
            let lines = match number / 2 % 3 {
                0 => vec![line(number), line(number + 1)],
                1 => vec![line(number + 1), line(number)],
                _ => (0..SKUS).map(|step| line(number + SKUS - step)).collect(),
            };
            shop.inventory().hold(&lines, Duration::from_secs(600)).await
        }
    });
    for hold in holds.await {
        hold.unwrap();
    }
    shops[0].assert_sound().await;
    // A session tells the server what it has counted when it ends.
    for shop in shops {
        shop.close().await;
    }
    let deadlocks = "SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(ground.texts(deadlocks).await, ["0"]);
}
