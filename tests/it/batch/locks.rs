//! Locks are taken in one order everywhere: two shops whose batches cross each other never end in a deadlock.

use std::time::Duration;

use stockroom::HoldLine;

use crate::support::Ground;
use crate::support::berlin;
use crate::support::share;
use crate::support::sku;
use crate::support::units;

/// Many, so that it takes a while to lock them all.
const SKUS: usize = 200;
const HOLDS: usize = 240;
const CALLERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_cross_each_other_end_in_no_deadlock() {
    // A server of its own: it counts the deadlocks of everybody.
    let Some((_server, ground)) = Ground::own_server().await else {
        return;
    };
    // Sooner than a batch gives up waiting for a lock and goes aside.
    ground.plain("ALTER SYSTEM SET deadlock_timeout = '10ms'").await;
    ground.plain("SELECT pg_reload_conf()").await;
    let shops = ground.open_two().await;
    let delivery: Vec<_> = (0..SKUS)
        .map(|number| (sku(&format!("MUG-{number}")), units(10_000)))
        .collect();
    shops[0]
        .inventory()
        .receive_many(&berlin(), &delivery)
        .await
        .unwrap();
    let sellers = shops.clone();
    let holds = share(CALLERS, HOLDS, move |number| {
        let shop = sellers[number % 2].clone();
        async move {
            let line = |which: usize| HoldLine {
                sku: sku(&format!("MUG-{}", which % SKUS)),
                location: berlin(),
                quantity: units(1),
            };
            // Each way round, from another one each time.
            let lines: Vec<_> = match number / 2 % 2 {
                0 => (0..SKUS).map(|step| line(number + step)).collect(),
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
