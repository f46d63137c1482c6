//! What a join refuses leaves the caller's transaction as it was, and nothing of the set.

use std::collections::BTreeMap;

use sqlx::Connection as _;
use sqlx::SqliteConnection;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::HoldLine;
use stockroom::NewProduct;
use stockroom::ProductPatch;
use stockroom::Slug;
use stockroom::Staged;

use super::desk::Caller;
use super::desk::Desk;
use super::desk::Line;
use crate::support::Ground;
use crate::support::berlin;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([file postgres]
    a_version_that_moved_is_a_conflict
    a_row_that_was_read_and_moved_is_a_conflict
    stock_that_is_short_is_told
    a_key_that_is_taken_is_told
    a_set_of_another_shop_is_refused
    another_database_is_refused
    another_epoch_is_a_conflict
    a_connection_without_a_transaction_is_refused
    a_transaction_that_may_not_write_is_refused
    a_deadline_that_is_over_is_a_timeout
);

on!([memory] a_shop_in_memory_cannot_be_joined_from_elsewhere);
on!([file] a_transaction_that_read_an_older_state_is_a_conflict);
on!([postgres] a_transaction_that_has_failed_is_refused);

/// What is stored of the shop, without the application's own table.
async fn stored(desk: &Desk) -> BTreeMap<String, String> {
    let mut dump = desk.ground.dump().await;
    dump.retain(|table, _| table.starts_with("stockroom_"));
    dump
}

/// Joins the set between two gifts: it is refused, both gifts are kept, and nothing else changed.
async fn refused<T: Send>(desk: &Desk, staged: Staged<T>) -> Error {
    desk.log.clear();
    let before = stored(desk).await;
    let mut caller = desk.begun().await;
    caller.gift("before").await;
    let error = refuse(&mut caller, staged).await;
    caller.gift("after").await;
    caller.commit().await;
    assert_eq!(desk.gifts().await, ["after", "before"]);
    assert_eq!(stored(desk).await, before);
    assert!(
        desk.log.told().is_empty() || desk.log.told() == ["before", "aborted"],
        "{:?}",
        desk.log.told()
    );
    error
}

async fn refuse<T: Send>(caller: &mut Caller, staged: Staged<T>) -> Error {
    caller.join(staged).await.map(drop).unwrap_err()
}

async fn a_version_that_moved_is_a_conflict(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 1).await;
    let staged = desk.title(&product, "Cup").await;
    let patch = ProductPatch::new().title("Bowl");
    desk.shop.products().update(&product, patch).await.unwrap();
    let error = refused(&desk, staged).await;
    assert_eq!(
        (error.kind(), error.found_version()),
        (ErrorKind::Conflict, Some(2))
    );
}

async fn a_row_that_was_read_and_moved_is_a_conflict(ground: Ground) {
    let desk = Desk::open(ground).await;
    let id = desk.shop.stock("MUG", 1).await.id;
    let staged = desk.shop.stage(|tx| async move {
        tx.products().require(id).await?;
        tx.inventory().receive(&sku("MUG"), &berlin(), units(9))
    });
    let staged = staged.await.unwrap();
    let product = desk.shop.products().require(id).await.unwrap();
    let patch = ProductPatch::new().title("Bowl");
    desk.shop.products().update(&product, patch).await.unwrap();
    let error = refused(&desk, staged).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

async fn stock_that_is_short_is_told(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let staged = desk.shop.stage(|tx| async move {
        tx.products().create(NewProduct::new("Never"))?;
        let line = HoldLine {
            sku: sku("MUG"),
            location: berlin(),
            quantity: units(4),
        };
        tx.inventory().hold(&[line], std::time::Duration::from_secs(60))
    });
    let error = refused(&desk, staged.await.unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::InsufficientStock);
    assert_eq!(error.shortages()[0].available, 3);
}

async fn a_key_that_is_taken_is_told(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let new = NewProduct::new("Cup").slug(Slug::new("cup").unwrap());
    let staged = desk.novelty(new.clone()).await;
    let first = desk.shop.products().create(new).await.unwrap();
    let error = refused(&desk, staged).await;
    assert_eq!(
        (error.kind(), error.existing_id()),
        (ErrorKind::AlreadyExists, Some(first.id.uuid()))
    );
}

async fn a_set_of_another_shop_is_refused(ground: Ground) {
    let desk = Desk::open(ground.clone()).await;
    desk.shop.stock("MUG", 3).await;
    let elsewhere = match ground.schema() {
        Some(_) => Desk::open(Ground::postgres().await.unwrap()).await,
        None => Desk::open(Ground::file()).await,
    };
    let error = refused(&desk, elsewhere.delivery("MUG").await).await;
    assert_eq!(error.kind(), ErrorKind::Config);
}

async fn another_database_is_refused(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let before = stored(&desk).await;
    desk.log.clear();
    // Tables of a shop, but of another one.
    let mut caller = desk.begun().await;
    let meta = desk.table("stockroom_meta");
    caller
        .run(&format!(
            "UPDATE {meta} SET value = value + 1 WHERE name = 'shop'"
        ))
        .await;
    let error = refuse(&mut caller, desk.delivery("MUG").await).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    caller.rollback().await;
    // No tables at all.
    let mut caller = desk.begun().await;
    caller
        .run(&format!("ALTER TABLE {meta} RENAME TO stockroom_gone"))
        .await;
    let error = refuse(&mut caller, desk.delivery("MUG").await).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(caller.text("SELECT 'alive'").await, "alive");
    caller.rollback().await;
    assert_eq!(stored(&desk).await, before);
    desk.log.hears(&["before", "aborted", "before", "aborted"]).await;
}

async fn another_epoch_is_a_conflict(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    // Another process restored the shop: this one does not know yet.
    let staged = desk.delivery("MUG").await;
    let second = desk.delivery("MUG").await;
    let meta = desk.table("stockroom_meta");
    let mut other = desk.caller().await;
    other
        .run(&format!(
            "UPDATE {meta} SET value = value + 1 WHERE name = 'epoch'"
        ))
        .await;
    let error = refused(&desk, staged).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // Now it does.
    let mut caller = desk.begun().await;
    assert_eq!(refuse(&mut caller, second).await.kind(), ErrorKind::Conflict);
    caller.rollback().await;
}

async fn a_connection_without_a_transaction_is_refused(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let before = stored(&desk).await;
    let mut caller = desk.caller().await;
    let error = refuse(&mut caller, desk.delivery("MUG").await).await;
    assert_eq!(error.invalid_field(), Some("transaction"));
    // Nothing was begun either.
    caller.gift("at once").await;
    assert_eq!(desk.gifts().await, ["at once"]);
    assert_eq!(stored(&desk).await, before);
}

async fn a_transaction_that_may_not_write_is_refused(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let before = stored(&desk).await;
    let staged = desk.delivery("MUG").await;
    let mut caller = desk.caller().await;
    let expected = match caller.line {
        Line::Sqlite(_) => {
            caller.run("PRAGMA query_only = 1; BEGIN").await;
            ErrorKind::PermissionDenied
        }
        Line::Postgres(_) => {
            caller.run("BEGIN READ ONLY").await;
            ErrorKind::InvalidInput
        }
    };
    let error = refuse(&mut caller, staged).await;
    assert_eq!(error.kind(), expected, "{error:?}");
    assert_eq!(caller.text("SELECT 'alive'").await, "alive");
    caller.commit().await;
    assert_eq!(stored(&desk).await, before);
}

async fn a_deadline_that_is_over_is_a_timeout(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let hasty = desk.shop.with_deadline(std::time::Duration::ZERO);
    let staged = hasty.stage(|tx| async move { tx.inventory().receive(&sku("MUG"), &berlin(), units(1)) });
    let error = refused(&desk, staged.await.unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

async fn a_shop_in_memory_cannot_be_joined_from_elsewhere(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let mut line = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let mut tx = line.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let joined = desk.join_sqlite(desk.delivery("MUG").await, &mut tx).await;
    assert_eq!(joined.map(drop).unwrap_err().kind(), ErrorKind::Config);
    tx.commit().await.unwrap();
    assert_eq!(desk.on_hand("MUG").await, 3);
}

async fn a_transaction_that_read_an_older_state_is_a_conflict(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 3).await;
    let mut caller = desk.caller().await;
    caller.run("BEGIN").await;
    assert_eq!(caller.text("SELECT count(*) || '' FROM gifts").await, "0");
    let patch = ProductPatch::new().title("Bowl");
    desk.shop.products().update(&product, patch).await.unwrap();
    let error = refuse(&mut caller, desk.delivery("MUG").await).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    caller.rollback().await;
    assert_eq!(desk.on_hand("MUG").await, 3);
}

async fn a_transaction_that_has_failed_is_refused(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 3).await;
    let before = stored(&desk).await;
    let mut caller = desk.begun().await;
    caller.run("SAVEPOINT theirs").await;
    caller.try_run("SELECT 1 / 0").await.unwrap_err();
    let error = refuse(&mut caller, desk.delivery("MUG").await).await;
    assert_eq!(error.invalid_field(), Some("transaction"));
    caller.run("ROLLBACK TO SAVEPOINT theirs").await;
    caller.gift("after").await;
    caller.commit().await;
    assert_eq!(desk.gifts().await, ["after"]);
    assert_eq!(stored(&desk).await, before);
}
