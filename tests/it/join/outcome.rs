//! The caller commits, rolls back, drops the transaction or panics.

use sqlx::Connection as _;
use stockroom::Aggregate;
use stockroom::NewProduct;
use stockroom::RowKey;

use super::desk::Desk;
use super::desk::Line;
use crate::support::Ground;
use crate::support::on;

on!([file postgres]
    what_was_joined_becomes_true_with_the_commit
    staging_writes_nothing
    a_rollback_leaves_nothing
    a_transaction_that_is_dropped_leaves_nothing
    a_caller_that_panics_leaves_nothing
    a_savepoint_of_the_caller_takes_what_was_joined_back
    a_savepoint_of_the_same_name_is_still_the_callers
    two_sets_are_joined_to_one_transaction
    the_second_set_of_a_transaction_is_refused_alone
);

async fn what_was_joined_becomes_true_with_the_commit(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let staged = desk.title(&product, "Cup").await;
    let mut caller = desk.begun().await;
    caller.gift("for you").await;
    let pending = caller.join(staged).await.unwrap();
    let seen = desk.shop.products().require(product.id).await.unwrap();
    assert_eq!(seen.title, "Mug", "it is not true before the commit");
    assert_eq!(desk.log.told(), ["before"]);
    caller.commit().await;
    let row = RowKey::Id(product.id.uuid());
    let version = pending.committed().version(Aggregate::Product, &row);
    let told = pending.done().await;
    assert_eq!(desk.log.told(), ["before", "after"]);
    let stored = desk.shop.products().require(product.id).await.unwrap();
    assert_eq!(stored, told);
    assert_eq!((stored.title.as_str(), Some(stored.version)), ("Cup", version));
    assert_eq!(desk.gifts().await, ["for you"]);
}

async fn staging_writes_nothing(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let before = desk.ground.dump().await;
    let staged = desk.title(&product, "Cup").await;
    assert_eq!(staged.value().title, "Cup");
    drop(staged);
    assert_eq!(desk.ground.dump().await, before);
    assert!(desk.log.told().is_empty());
}

async fn a_rollback_leaves_nothing(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let before = desk.ground.dump().await;
    let mut caller = desk.begun().await;
    caller.gift("for you").await;
    // Read before the lock was had, on SQLite as well: reads are not blocked.
    let pending = caller.join(desk.title(&product, "Cup").await).await.unwrap();
    caller.rollback().await;
    drop(pending);
    desk.log.hears(&["before", "aborted"]).await;
    assert_eq!(desk.ground.dump().await, before);
    assert_eq!(desk.gifts().await, Vec::<String>::new());
}

async fn a_transaction_that_is_dropped_leaves_nothing(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let before = desk.ground.dump().await;
    let mut caller = desk.caller().await;
    let staged = desk.title(&product, "Cup").await;
    // The driver's own transaction, which rolls back when it is dropped.
    match &mut caller.line {
        Line::Sqlite(line) => {
            let mut tx = line.begin_with("BEGIN IMMEDIATE").await.unwrap();
            drop(desk.join_sqlite(staged, &mut tx).await.unwrap());
        }
        Line::Postgres(line) => {
            let mut tx = line.begin().await.unwrap();
            drop(desk.join_postgres(staged, &mut tx).await.unwrap());
        }
    }
    assert_eq!(caller.text("SELECT 'alive'").await, "alive");
    desk.log.hears(&["before", "aborted"]).await;
    assert_eq!(desk.ground.dump().await, before);
}

async fn a_caller_that_panics_leaves_nothing(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let before = desk.ground.dump().await;
    let their = desk.clone();
    let staged = desk.title(&product, "Cup").await;
    let panicked = tokio::spawn(async move {
        let mut caller = their.begun().await;
        caller.gift("for you").await;
        let pending = caller.join(staged).await.unwrap();
        panic!("after {:?}", pending.committed().versions.len());
    });
    assert!(panicked.await.unwrap_err().is_panic());
    desk.log.hears(&["before", "aborted"]).await;
    // The lock is given up with the session; the same write waits for that.
    let mut caller = desk.begun().await;
    drop(caller.join(desk.title(&product, "Cup").await).await.unwrap());
    caller.rollback().await;
    assert_eq!(desk.ground.dump().await, before);
}

async fn a_savepoint_of_the_caller_takes_what_was_joined_back(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let before = desk.ground.dump().await;
    let staged = desk.title(&product, "Cup").await;
    let mut caller = desk.begun().await;
    caller.gift("kept").await;
    caller.run("SAVEPOINT theirs").await;
    caller.gift("given up").await;
    let pending = caller.join(staged).await.unwrap();
    caller.run("ROLLBACK TO SAVEPOINT theirs").await;
    drop(pending);
    caller.commit().await;
    desk.log.hears(&["before", "aborted"]).await;
    assert_eq!(
        desk.ground.dump().await.remove("stockroom_products"),
        before.get("stockroom_products").cloned()
    );
    assert_eq!(desk.gifts().await, ["kept"]);
}

async fn a_savepoint_of_the_same_name_is_still_the_callers(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    let staged = desk.title(&product, "Cup").await;
    let mut caller = desk.begun().await;
    caller.run("SAVEPOINT stockroom_join").await;
    caller.gift("for you").await;
    let pending = caller.join(staged).await.unwrap();
    caller.run("RELEASE SAVEPOINT stockroom_join").await;
    caller.commit().await;
    pending.done().await;
    assert_eq!(desk.gifts().await, ["for you"]);
    let stored = desk.shop.products().require(product.id).await.unwrap();
    assert_eq!(stored.title, "Cup");
}

async fn two_sets_are_joined_to_one_transaction(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let staged = [desk.delivery("MUG").await, desk.delivery("MUG").await];
    let mut caller = desk.begun().await;
    let mut pending = Vec::new();
    for staged in staged {
        pending.push(caller.join(staged).await.unwrap());
    }
    caller.commit().await;
    let versions: Vec<_> = pending
        .iter()
        .map(|pending| pending.committed().versions[0].2.get())
        .collect();
    for pending in pending {
        pending.done().await;
    }
    assert_eq!(desk.log.told(), ["before", "before", "after", "after"]);
    assert_eq!(desk.on_hand("MUG").await, 7);
    assert_eq!(versions[1], versions[0] + 1);
    desk.shop.assert_sound().await;
}

async fn the_second_set_of_a_transaction_is_refused_alone(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    desk.log.clear();
    let (first, second) = (
        desk.title(&product, "Cup").await,
        desk.title(&product, "Bowl").await,
    );
    let mut caller = desk.begun().await;
    let pending = caller.join(first).await.unwrap();
    assert!(caller.join(second).await.is_err());
    assert_eq!(desk.log.told(), ["before", "before", "aborted"]);
    caller.commit().await;
    pending.done().await;
    let stored = desk.shop.products().require(product.id).await.unwrap();
    assert_eq!((stored.title.as_str(), stored.version.get()), ("Cup", 2));
    let new = NewProduct::new("Bowl");
    assert!(desk.shop.products().create(new).await.is_ok());
}
