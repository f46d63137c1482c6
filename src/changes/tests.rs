//! The relay on the embedded store, and on a feed whose partitions split and merge.

mod recorder;
mod sharded;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use recorder::Mood;
use recorder::Recorder;

use super::SinkPolicy;
use super::StartAt;
use crate::error::ErrorKind;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::HoldLine;
use crate::model::LocationId;
use crate::model::Owner;
use crate::model::PageRequest;
use crate::model::Quantity;
use crate::model::Sku;
use crate::resilience::Backoff;
use crate::shop::Builder;
use crate::shop::Stockroom;
use crate::spi::changes::ChangeAction;

/// No pauses that a test would have to wait for; no polling: what is found is found because the relay was woken.
fn policy() -> SinkPolicy {
    SinkPolicy::new()
        .batch(7)
        .attempts(3)
        .pauses(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)))
        .poll(Duration::from_secs(3_600))
        .lease(Duration::from_secs(3_600))
}

fn memory() -> Builder {
    Stockroom::builder().url("sqlite::memory:")
}

async fn fed(recorder: &Arc<Recorder>, policy: SinkPolicy) -> Stockroom {
    memory()
        .sink_with("log", recorder.clone(), policy)
        .open()
        .await
        .unwrap()
}

async fn carts(shop: &Stockroom, count: usize) -> Vec<Arc<Cart>> {
    let mut carts = Vec::new();
    for _ in 0..count {
        carts.push(shop.carts().create(Owner::Guest).await.unwrap());
    }
    carts
}

async fn letters(shop: &Stockroom) -> Vec<crate::spi::changes::DeadLetter> {
    let first = PageRequest::default();
    let page = shop.changes().dead_letters("log", &first).await;
    page.unwrap().items
}

#[tokio::test]
async fn what_commits_is_delivered_without_polling() {
    let recorder = Recorder::new();
    let shop = fed(&recorder, policy()).await;
    let cart = &carts(&shop, 1).await[0];
    shop.carts().add(cart.id, "MUG", 2).await.unwrap();
    let seen = recorder.until(2).await;
    let told: Vec<_> = seen
        .iter()
        .map(|change| {
            (
                change.aggregate,
                change.key.id(),
                change.version.get(),
                change.action,
            )
        })
        .collect();
    let id = Some(cart.id.uuid());
    assert_eq!(
        told,
        [
            (Aggregate::Cart, id, 1, ChangeAction::Put),
            (Aggregate::Cart, id, 2, ChangeAction::Delta)
        ]
    );
    let status = shop.changes().status().await.unwrap();
    assert!(status[0].feeding);
    assert_eq!(status[0].dead_letters, 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writes_are_delivered_in_the_order_of_their_versions() {
    let recorder = Recorder::new();
    let shop = fed(&recorder, policy()).await;
    let carts = carts(&shop, 5).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..20 {
        let (shop, cart) = (shop.clone(), carts[task % 5].id);
        tasks.spawn(async move {
            for _ in 0..10 {
                shop.carts().add(cart, "MUG", 1).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for cart in carts {
        let last = shop.carts().require(cart.id).await.unwrap().version;
        recorder.until_version(cart.id.uuid(), last.get()).await;
    }
    recorder.assert_ordered();
    shop.close().await;
}

#[tokio::test]
async fn a_sink_that_cannot_work_is_waited_for_and_holds_nobody_up() {
    let (down, up) = (Recorder::new(), Recorder::new());
    down.set(Mood::Down);
    let shop = memory()
        .sink_with("down", down.clone(), policy())
        .sink_with("up", up.clone(), policy())
        .open()
        .await
        .unwrap();
    carts(&shop, 20).await;
    up.until(20).await;
    down.until_calls(5).await;
    assert_eq!(down.seen().len(), 0);
    let status = shop.changes().status().await.unwrap();
    assert!(status[0].trouble.is_some() && status[1].trouble.is_none());
    down.set(Mood::Works);
    down.until(20).await;
    assert_eq!(shop.changes().status().await.unwrap()[0].dead_letters, 0);
    shop.close().await;
}

/// Each way in which a sink will not take one change: that one becomes a letter, all others are delivered.
async fn poisoned(mood: Mood, policy: SinkPolicy) {
    let recorder = Recorder::new();
    let shop = fed(&recorder, policy).await;
    carts(&shop, 3).await;
    recorder.until(3).await;
    // One is stuck, so that what follows comes in one page: two carts, the poison, and four changes of the first cart.
    recorder.set(mood);
    carts(&shop, 1).await;
    recorder.until_calls(5).await;
    let pair = carts(&shop, 2).await;
    let poison = shop.carts().create(Owner::Guest).await.unwrap();
    for _ in 0..4 {
        shop.carts().add(pair[0].id, "MUG", 1).await.unwrap();
    }
    carts(&shop, 3).await;
    recorder.poison(poison.id.uuid());
    recorder.until_distinct(13).await;
    let letters = recorder.until_some(|| letters(&shop)).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].change.key.id(), Some(poison.id.uuid()));
    assert_eq!(letters[0].attempts, 3);
    assert!(!letters[0].reason.is_empty());
    assert_eq!(shop.changes().status().await.unwrap()[0].dead_letters, 1);
    recorder.assert_ordered();

    // Still poison: kept. Mended: delivered, and gone.
    assert!(shop.changes().redrive(&letters[0]).await.is_err());
    assert_eq!(super::tests::letters(&shop).await.len(), 1);
    recorder.set(Mood::Works);
    let redriven = shop.changes().redrive_all("log").await.unwrap();
    assert_eq!((redriven.delivered, redriven.refused), (1, 0));
    assert!(
        recorder
            .seen()
            .iter()
            .any(|change| change.key.id() == Some(poison.id.uuid()))
    );
    assert_eq!(super::tests::letters(&shop).await.len(), 0);
    assert!(!shop.changes().discard(&letters[0]).await.unwrap());
    shop.close().await;
}

#[tokio::test]
async fn a_change_that_is_refused_becomes_a_dead_letter() {
    poisoned(Mood::Refuses, policy()).await;
}

#[tokio::test]
async fn a_change_at_which_the_sink_panics_becomes_a_dead_letter() {
    poisoned(Mood::Panics, policy()).await;
}

#[tokio::test]
async fn a_change_at_which_the_sink_hangs_becomes_a_dead_letter() {
    poisoned(Mood::Hangs, policy().timeout(Duration::from_millis(20))).await;
}

#[tokio::test]
async fn a_discarded_letter_is_gone() {
    let recorder = Recorder::new();
    recorder.set(Mood::Refuses);
    let shop = fed(&recorder, policy()).await;
    let poison = shop.carts().create(Owner::Guest).await.unwrap();
    recorder.poison(poison.id.uuid());
    let letters = recorder.until_some(|| letters(&shop)).await;
    assert!(shop.changes().discard(&letters[0]).await.unwrap());
    assert_eq!(super::tests::letters(&shop).await.len(), 0);
    shop.close().await;
}

#[tokio::test]
async fn a_sink_that_starts_now_is_spared_the_past() {
    let folder = shared::Folder::new();
    let first = folder.shop().open().await.unwrap();
    carts(&first, 3).await;
    first.close().await;
    let (now, oldest) = (Recorder::new(), Recorder::new());
    let shop = folder
        .shop()
        .sink_with("now", now.clone(), policy().start(StartAt::Now))
        .sink_with("oldest", oldest.clone(), policy())
        .open()
        .await
        .unwrap();
    oldest.until(3).await;
    now.until_checkpoint(&shop, "now").await;
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    let seen = now.until(1).await;
    assert_eq!(seen[0].key.id(), Some(cart.id.uuid()));
    assert_eq!(now.seen().len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn after_a_restore_sinks_forget_and_begin_anew() {
    let recorder = Recorder::new();
    let shop = fed(&recorder, policy()).await;
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    recorder.until(1).await;
    let stale = shop.products();
    let old = stale
        .create(
            crate::model::NewProduct::new("Mug")
                .variant("MUG", crate::model::Money::new(9_00, crate::model::Currency::USD)),
        )
        .await
        .unwrap();
    recorder.until(2).await;
    assert!(shop.after_restore().await.unwrap() > 0);
    // The relay finds out at its next look.
    shop.carts().add(cart.id, "MUG", 1).await.unwrap();
    recorder.until_resets(1).await;
    recorder.until(5).await;
    let again: Vec<_> = recorder.seen()[2..]
        .iter()
        .map(|change| change.version.get())
        .collect();
    assert_eq!(again, [1, 1, 2]);
    drop(old);
    shop.close().await;
}

#[tokio::test]
async fn a_restarted_sink_is_given_everything_again() {
    let recorder = Recorder::new();
    let shop = fed(&recorder, policy()).await;
    carts(&shop, 2).await;
    recorder.until(2).await;
    shop.changes().restart("log").await.unwrap();
    carts(&shop, 1).await;
    recorder.until(5).await;
    recorder.until_distinct(3).await;
    assert_eq!(recorder.resets(), 0);
    shop.close().await;
}

#[tokio::test]
async fn names_of_sinks_are_checked() {
    let sink = || Recorder::new();
    let badly = [
        memory().sink_with("", sink(), policy()),
        memory().sink_with("a/b", sink(), policy()),
        memory()
            .sink_with("twice", sink(), policy())
            .sink_with("twice", sink(), policy()),
    ];
    for builder in badly {
        assert_eq!(builder.open().await.unwrap_err().kind(), ErrorKind::Config);
    }
    let shop = memory().open().await.unwrap();
    let error = shop.changes().redrive_all("unknown").await.unwrap_err();
    assert_eq!(error.invalid_field(), Some("sink"));
}

#[tokio::test]
async fn without_background_nothing_is_fed() {
    let recorder = Recorder::new();
    let shop = memory()
        .sink_with("log", recorder.clone(), policy())
        .without_background()
        .open()
        .await
        .unwrap();
    carts(&shop, 3).await;
    assert!(!shop.changes().status().await.unwrap()[0].feeding);
    shop.close().await;
    assert_eq!(recorder.seen().len(), 0);
}

#[tokio::test]
async fn expired_holds_are_swept_from_the_books() {
    let recorder = Recorder::new();
    let store = Arc::new(
        crate::SqliteStore::open(crate::SqliteOptions::new("sqlite::memory:"))
            .await
            .unwrap(),
    );
    let shop = Stockroom::builder()
        .store_arc(store.clone())
        .sweep_every(Duration::from_millis(1))
        .sink_with("log", recorder.clone(), policy())
        .open()
        .await
        .unwrap();
    let (sku, berlin) = (Sku::new("MUG").unwrap(), LocationId::new("berlin").unwrap());
    shop.inventory().receive(&sku, &berlin, 5).await.unwrap();
    let line = HoldLine {
        sku,
        location: berlin,
        quantity: Quantity::new(2).unwrap(),
    };
    let hold = shop
        .inventory()
        .hold(&[line], Duration::from_secs(60))
        .await
        .unwrap();
    recorder.until(2).await;
    store.shift_clock(Duration::from_secs(61));
    // The sweep is a write like any other: it is a change of the level.
    let seen = recorder.until(3).await;
    assert_eq!(seen[2].aggregate, Aggregate::Level);
    assert_eq!(shop.inventory().hold_status(hold.id).await.unwrap(), None);
    assert!(shop.inventory().verify_ledger().await.unwrap().is_consistent());
    shop.close().await;
}
