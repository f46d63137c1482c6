//! Observers hear one outcome for each write that they were told of.

use std::sync::Arc;

use async_trait::async_trait;
use stockroom::Aggregate;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::RowKey;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Aborted;
use stockroom::spi::store::CommitObserver;
use stockroom::spi::store::Committed;

use super::desk::Desk;
use super::desk::Log;
use crate::support::Ground;
use crate::support::berlin;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([file postgres]
    reads_alone_concern_no_observer
    who_closes_the_shop_first_is_told_all_the_same
);
on!([file] an_observer_that_is_not_ready_fails_the_join);

async fn reads_alone_concern_no_observer(ground: Ground) {
    let desk = Desk::open(ground).await;
    let id = desk.shop.stock("MUG", 1).await.id;
    desk.log.clear();
    let staged = desk
        .shop
        .stage(|tx| async move { tx.products().require(id).await })
        .await
        .unwrap();
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    caller.commit().await;
    assert_eq!(pending.done().await.id, id);
    assert!(desk.log.told().is_empty());
}

async fn who_closes_the_shop_first_is_told_all_the_same(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 1).await;
    desk.log.clear();
    let [one, other] = [desk.delivery("MUG").await, desk.delivery("MUG").await];
    let mut caller = desk.begun().await;
    let (one, other) = (caller.join(one).await.unwrap(), caller.join(other).await.unwrap());
    caller.commit().await;
    desk.shop.close().await;
    one.done().await;
    assert_eq!(desk.log.told(), ["before", "before", "after"]);
    drop(other);
    desk.log.hears(&["before", "before", "after", "aborted"]).await;
}

/// Never ready.
#[derive(Debug)]
struct Reluctant;

#[async_trait]
impl CommitObserver for Reluctant {
    async fn before(&self, _: &[(Aggregate, RowKey)], _: Deadline) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Unavailable, "not ready"))
    }

    async fn after(&self, _: &Committed) {
        panic!("it was never ready");
    }

    async fn aborted(&self, _: &[(Aggregate, RowKey)], _: Aborted) {
        panic!("it was never ready");
    }
}

async fn an_observer_that_is_not_ready_fails_the_join(ground: Ground) {
    let log = Arc::new(Log::default());
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(ground.url())).await.unwrap());
    let room = Stockroom::builder()
        .store_arc(store.clone())
        .observer(log.clone())
        .observer(Arc::new(Reluctant))
        .open()
        .await
        .unwrap();
    let staged = room
        .stage(|tx| async move { tx.inventory().receive(&sku("MUG"), &berlin(), units(1)) })
        .await
        .unwrap();
    let desk = Desk::open(ground).await;
    let before = desk.ground.dump().await;
    let mut caller = desk.begun().await;
    let super::desk::Line::Sqlite(line) = &mut caller.line else {
        panic!("a file");
    };
    let error = store.join(staged, line).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(log.told(), ["before", "aborted"]);
    caller.commit().await;
    assert_eq!(desk.ground.dump().await, before);
}
