//! Joins under each isolation level of PostgreSQL.

use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::ProductPatch;
use stockroom::Slug;

use super::desk::Desk;
use crate::support::Ground;
use crate::support::on;

on!([postgres]
    a_set_is_joined_under_each_isolation_level
    a_row_that_changed_since_the_snapshot_is_a_conflict
    a_key_that_was_taken_since_the_snapshot_is_a_conflict
);

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

async fn a_set_is_joined_under_each_isolation_level(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 5).await;
    for level in LEVELS {
        let staged = [desk.delivery("MUG").await, desk.delivery("MUG").await];
        let mut caller = desk.caller().await;
        caller.run(&format!("BEGIN ISOLATION LEVEL {level}")).await;
        caller.gift(level).await;
        for staged in staged {
            drop(caller.join(staged).await.unwrap());
        }
        caller.commit().await;
    }
    assert_eq!(desk.on_hand("MUG").await, 11);
    assert_eq!(desk.gifts().await.len(), 3);
    desk.shop.assert_sound().await;
}

async fn a_row_that_changed_since_the_snapshot_is_a_conflict(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 5).await;
    for level in &LEVELS[1..] {
        let mut caller = desk.caller().await;
        caller.run(&format!("BEGIN ISOLATION LEVEL {level}")).await;
        assert_eq!(caller.text("SELECT 'snapshot'").await, "snapshot");
        let had = desk.on_hand("MUG").await;
        desk.shop
            .inventory()
            .receive("MUG", &crate::support::berlin(), 1)
            .await
            .unwrap();
        // Read after the change: only the caller's snapshot is old.
        let error = caller
            .join(desk.delivery("MUG").await)
            .await
            .map(drop)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{level}");
        caller.rollback().await;
        assert_eq!(desk.on_hand("MUG").await, had + 1);
    }
}

async fn a_key_that_was_taken_since_the_snapshot_is_a_conflict(ground: Ground) {
    let desk = Desk::open(ground).await;
    for level in &LEVELS[1..] {
        let new = NewProduct::new("Cup").slug(Slug::new(level.replace(' ', "-").to_lowercase()).unwrap());
        let staged = desk.novelty(new.clone()).await;
        let mut caller = desk.caller().await;
        caller.run(&format!("BEGIN ISOLATION LEVEL {level}")).await;
        assert_eq!(caller.text("SELECT 'snapshot'").await, "snapshot");
        let first = desk.shop.products().create(new).await.unwrap();
        let error = caller.join(staged).await.map(drop).unwrap_err();
        let expected = [ErrorKind::Conflict, ErrorKind::AlreadyExists];
        assert!(expected.contains(&error.kind()), "{level}: {error:?}");
        caller.rollback().await;
        let patch = ProductPatch::new().title("Bowl");
        desk.shop.products().update(&first, patch).await.unwrap();
    }
}
