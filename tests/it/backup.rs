//! A copy of an embedded shop is a shop of one moment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;

use crate::support::Ground;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::sku;
use crate::support::units;
use crate::support::until;

async fn open(url: &str) -> (Arc<SqliteStore>, Stockroom) {
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(url)).await.unwrap());
    let shop = Stockroom::builder()
        .store_arc(store.clone())
        .open()
        .await
        .unwrap();
    (store, shop)
}

/// What the copy holds of two SKUs that are always received together.
async fn look_at(copy: &Path) -> [i64; 2] {
    let (_, shop) = open(&format!("sqlite://{}", copy.display())).await;
    let report = shop.inventory().verify_ledger().await.unwrap();
    assert!(report.is_consistent(), "{report:?}");
    let mut found = [0; 2];
    for (name, found) in ["LEFT", "RIGHT"].into_iter().zip(&mut found) {
        let level = shop.inventory().level(name, &berlin()).await.unwrap();
        *found = level.map_or(0, |level| level.on_hand);
    }
    // It is a shop to work with.
    shop.inventory().receive("LEFT", &berlin(), 1).await.unwrap();
    shop.close().await;
    found
}

async fn receive_both(shop: &Stockroom) {
    shop.transaction(|tx| async move {
        for name in ["LEFT", "RIGHT"] {
            tx.inventory().receive(&sku(name), &berlin(), units(1))?;
        }
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_under_load_is_the_shop_of_one_moment() {
    let ground = Ground::file();
    let (store, shop) = open(ground.url()).await;
    let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let writing = tokio::spawn({
        let (shop, stop, received) = (shop.clone(), stop.clone(), received.clone());
        crowd(4, move |_| {
            let (shop, stop, received) = (shop.clone(), stop.clone(), received.clone());
            async move {
                while !stop.load(Ordering::Relaxed) {
                    receive_both(&shop).await;
                    received.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
    });
    for number in 0..5 {
        let copy = ground.folder().unwrap().join(format!("copy-{number}.db"));
        let goes_on = received.load(Ordering::SeqCst) + 20;
        until("writers go on", async || {
            received.load(Ordering::SeqCst) > goes_on
        })
        .await;
        let before = received.load(Ordering::SeqCst);
        store.backup_to(&copy).await.unwrap();
        // Four may be written and not yet counted.
        let after = received.load(Ordering::SeqCst) + 4;
        let [left, right] = look_at(&copy).await;
        assert_eq!(left, right, "half of a commit was copied");
        assert!(
            (before..=after).contains(&left),
            "{left} is not within {before} and {after}"
        );
        assert!(
            !ground
                .folder()
                .unwrap()
                .join(format!("copy-{number}.db.part"))
                .exists()
        );
    }
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shop_in_memory_is_copied_to_a_file() {
    let ground = Ground::file();
    let (store, shop) = open("sqlite::memory:").await;
    receive_both(&shop).await;
    let copy = ground.folder().unwrap().join("copy.db");
    store.backup_to(&copy).await.unwrap();
    assert_eq!(look_at(&copy).await, [1, 1]);
    receive_both(&shop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_there_is_not_replaced_and_a_folder_must_be_there() {
    let ground = Ground::file();
    let (store, _shop) = open(ground.url()).await;
    let folder = ground.folder().unwrap();
    let there = folder.join("there.db");
    std::fs::write(&there, "mine").unwrap();
    let refused = store.backup_to(&there).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&there).unwrap(), b"mine");
    let missing = store.backup_to(folder.join("none/copy.db")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_that_was_dropped_is_made_again() {
    let ground = Ground::file();
    let (store, shop) = open(ground.url()).await;
    receive_both(&shop).await;
    let folder = ground.folder().unwrap();
    std::fs::write(folder.join("copy.db.part"), "what a copy left that was dropped").unwrap();
    let copy = folder.join("copy.db");
    for micros in (0..2_000).step_by(50) {
        // Dropped at any point, or made; dropped in its last step it is made a moment later.
        drop(tokio::time::timeout(Duration::from_micros(micros), store.backup_to(&copy)).await);
        match store.backup_to(&copy).await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
        }
        assert_eq!(look_at(&copy).await, [1, 1]);
        std::fs::remove_file(&copy).unwrap();
    }
}
