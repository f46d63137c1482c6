//! Sinks of a shop with two stores: fed from both, begun anew with both, and set right after a restore.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::Aggregate;
use stockroom::ChangeSink;
use stockroom::Delivery;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Result;
use stockroom::SinkPolicy;
use stockroom::StartAt;
use stockroom::resilience::Deadline;

use super::Site;
use super::cart;
use super::place;
use crate::support::Ground;
use crate::support::on;
use crate::support::sku;
use crate::support::units;
use crate::support::until;

on!([file postgres redis]
    a_sink_is_given_the_changes_of_every_store
    after_a_restore_a_sink_begins_anew_with_every_store
);

on!([file redis]
    a_unit_of_work_of_before_a_restore_of_the_other_store_runs_again
    a_place_in_a_store_that_was_left_is_begun_anew
);

/// What a mirror of the shop has: forgotten when it is told to forget.
#[derive(Debug, Default)]
struct Mirror(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    has: BTreeSet<(Aggregate, String, u64)>,
    partitions: BTreeSet<String>,
    resets: usize,
}

impl Mirror {
    fn has(&self) -> BTreeSet<(Aggregate, String, u64)> {
        self.0.lock().unwrap().has.clone()
    }

    fn resets(&self) -> usize {
        self.0.lock().unwrap().resets
    }

    fn kinds(&self) -> BTreeSet<Aggregate> {
        self.has().into_iter().map(|(kind, ..)| kind).collect()
    }
}

#[async_trait]
impl ChangeSink for Mirror {
    async fn deliver(&self, delivery: Delivery<'_>, _: Deadline) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        state.partitions.insert(delivery.partition.to_string());
        for change in delivery.changes {
            let row = (change.aggregate, change.key.to_string(), change.version.get());
            state.has.insert(row);
        }
        Ok(())
    }

    async fn reset(&self, _: Deadline) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        state.has.clear();
        state.resets += 1;
        Ok(())
    }
}

fn policy() -> SinkPolicy {
    SinkPolicy::new().poll(Duration::from_millis(5))
}

async fn a_sink_is_given_the_changes_of_every_store(ground: Ground) {
    let mirror = Arc::new(Mirror::default());
    let (shop, _) = Site::new(ground)
        .open_as(|builder| builder.sink_with("mirror", mirror.clone(), policy()))
        .await;
    super::stock(&shop).await;
    let cart = cart(&shop, &[("MUG", 2)]).await;
    place(&shop, cart, "a").await.unwrap();
    let all = BTreeSet::from([
        Aggregate::Product,
        Aggregate::Cart,
        Aggregate::Order,
        Aggregate::Level,
    ]);
    until("all of both stores", async || mirror.kinds() == all).await;
    let closed = (Aggregate::Cart, cart.to_string(), 3);
    until("the closed cart", async || mirror.has().contains(&closed)).await;
    let partitions = mirror.0.lock().unwrap().partitions.clone();
    assert_eq!(partitions.len(), 2);
    assert_eq!(
        partitions.iter().filter(|name| name.starts_with("cart:")).count(),
        1
    );
    let sources = shop.changes().sources().count();
    assert_eq!(sources, 2);
    shop.close().await;
}

async fn after_a_restore_a_sink_begins_anew_with_every_store(ground: Ground) {
    let mirror = Arc::new(Mirror::default());
    let (shop, _) = Site::new(ground)
        .open_as(|builder| builder.sink_with("mirror", mirror.clone(), policy()))
        .await;
    super::stock(&shop).await;
    for round in 0..3 {
        let cart = cart(&shop, &[("MUG", 2)]).await;
        place(&shop, cart, &format!("round {round}")).await.unwrap();
        // Two products, two levels, a movement of one of them for each order, an order and three versions of a cart.
        let expected = 2 + 2 + 5 * (round + 1);
        until("the mirror has everything", async || {
            mirror.has().len() == expected
        })
        .await;
        let before = mirror.has();
        shop.after_restore().await.unwrap();
        until("it begins anew", async || mirror.resets() > round).await;
        until("it has everything again", async || mirror.has() == before).await;
        // Once for each store that was raised, at most: whoever comes second finds that it was told already.
        let resets = mirror.resets();
        assert!((round + 1..=2 * (round + 1)).contains(&resets), "{resets} resets");
    }
    shop.close().await;
}

async fn a_unit_of_work_of_before_a_restore_of_the_other_store_runs_again(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let there = cart(&shop, &[("MUG", 1)]).await;
    let carts = Arc::clone(shop.store_of(Aggregate::Cart));
    let runs = std::sync::atomic::AtomicU32::new(0);
    let added = shop.transaction(|tx| {
        let (carts, run) = (&carts, runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        async move {
            tx.carts().add(there, &sku("CUP"), units(1))?;
            if run == 0 {
                carts
                    .after_restore(Deadline::within(Duration::from_secs(5)))
                    .await?;
            }
            Ok::<_, Error>(())
        }
    });
    added.await.unwrap();
    assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), 2);
    let staged = shop.stage(|tx| async move { tx.carts().add(there, &sku("CUP"), units(1)) });
    drop(
        staged
            .await
            .map_err(|error: Error| error.is(ErrorKind::Conflict))
            .unwrap(),
    );
    shop.close().await;
}

async fn a_place_in_a_store_that_was_left_is_begun_anew(ground: Ground) {
    let site = Site::new(ground);
    let open = async |site: &Site| {
        let mirror = Arc::new(Mirror::default());
        let policy = policy().start(StartAt::Oldest);
        let (shop, _) = site
            .open_as(|builder| builder.sink_with("mirror", mirror.clone(), policy))
            .await;
        (shop, mirror)
    };
    let (shop, mirror) = open(&site).await;
    cart(&shop, &[("MUG", 1)]).await;
    until("the first carts", async || mirror.has().len() == 2).await;
    shop.close().await;
    // The carts are placed on another store; the position of the old one stays where positions are kept.
    let moved = Site {
        carts: Ground::file(),
        ..site
    };
    let (shop, mirror) = open(&moved).await;
    let cart = cart(&shop, &[("MUG", 1)]).await;
    let last = (Aggregate::Cart, cart.to_string(), 2);
    until("the carts of the other store", async || {
        mirror.has().contains(&last)
    })
    .await;
    shop.close().await;
}
