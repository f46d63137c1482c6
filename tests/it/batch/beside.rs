//! Two hands on PostgreSQL: what has nothing to do with a batch that is held up goes on beside it, and nothing overtakes.

use std::time::Duration;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Hold;
use stockroom::HoldLine;
use stockroom::Version;

use super::begun::Call;
use super::begun::begin;
use super::gate::Gate;
use super::gate::waiting;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::on;
use crate::support::sku;
use crate::support::units;
use crate::support::until;

on!([postgres]
    who_waits_for_a_batch_is_not_overtaken_and_others_go_on
    who_follows_a_batch_to_the_last_units_comes_second
);

fn receive(shop: &Shop, sku: &str) -> Call<Result<Version, Error>> {
    let (shop, sku) = (shop.clone(), sku.to_owned());
    Box::pin(async move { shop.inventory().receive(sku, &berlin(), 1).await })
}

fn hold<const N: usize>(shop: &Shop, skus: [&str; N]) -> Call<Result<Hold, Error>> {
    let shop = shop.clone();
    let lines = skus.map(|name| HoldLine {
        sku: sku(name),
        location: berlin(),
        quantity: units(1),
    });
    Box::pin(async move { shop.inventory().hold(&lines, Duration::from_secs(60)).await })
}

async fn who_waits_for_a_batch_is_not_overtaken_and_others_go_on(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    for name in ["MUG", "CUP"] {
        shop.stock(name, 1).await;
    }
    let (gate, at_the_gate) = Gate::close_one(&ground, &shop).await;
    let mut waits = hold(&shop, [at_the_gate, "MUG"]);
    let mut behind = receive(&shop, "MUG");
    assert!(begin(&mut waits).await.is_none());
    assert!(begin(&mut behind).await.is_none());
    // It came last and has nothing to do with the others.
    for _ in 0..10 {
        receive(&shop, "CUP").await.unwrap();
    }
    assert!(begin(&mut waits).await.is_none(), "its row is not free yet");
    assert!(
        begin(&mut behind).await.is_none(),
        "it overtook who waits for its row"
    );
    gate.open().await;
    waits.await.unwrap();
    behind.await.unwrap();
    assert_eq!(shop.level("MUG").await.on_hand, 2);
    assert_eq!(shop.level("CUP").await.on_hand, 11);
    shop.assert_sound().await;
}

async fn who_follows_a_batch_to_the_last_units_comes_second(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    for name in ["CUP", "MUG"] {
        shop.stock(name, 1).await;
    }
    // The cup is the first of the two that are locked: whoever wants both stands here, without the mug.
    for sql in [
        "CREATE TRIGGER it_linger BEFORE UPDATE ON stockroom_levels FOR EACH ROW \
         WHEN (NEW.sku = 'CUP') EXECUTE FUNCTION it_wait()",
        "INSERT INTO it_gate VALUES (true)",
    ] {
        ground.texts(sql).await;
    }
    let mut first = hold(&shop, ["CUP", "MUG"]);
    assert!(begin(&mut first).await.is_none());
    until("the first one stands there", async || waiting(&ground).await == 1).await;
    let rounds = shop.commits().rounds;
    let mut second = hold(&shop, ["MUG"]);
    assert!(begin(&mut second).await.is_none());
    until("the other one was sent", async || shop.commits().rounds > rounds).await;
    // It has the mug before it is its turn, and gives it back.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let early = begin(&mut second).await;
    assert!(early.is_none(), "it overtook who came first: {early:?}");
    ground.texts("DELETE FROM it_gate").await;
    first.await.unwrap();
    assert_eq!(second.await.unwrap_err().kind(), ErrorKind::InsufficientStock);
    shop.assert_sound().await;
}
