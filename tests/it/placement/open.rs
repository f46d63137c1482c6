//! A placement that cannot work is refused when the shop is opened; one that can reaches the stores that it names.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::Aggregate;
use stockroom::Builder;
use stockroom::ErrorKind;
use stockroom::Result;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::changes::ChangeSource;
use stockroom::spi::changes::Coordination;
use stockroom::spi::store::Capability;
use stockroom::spi::store::Committed;
use stockroom::spi::store::Readers;
use stockroom::spi::store::Store;
use stockroom::spi::store::WriteSet;

use super::Site;
use super::cart;
use crate::support::Ground;
use crate::support::on;

on!([file postgres redis] every_store_is_asked_raised_and_closed);

/// A store that is less than it could be.
#[derive(Debug)]
struct Lesser {
    inner: SqliteStore,
    capability: Capability,
    readers: Readers,
    feed: bool,
}

impl Lesser {
    async fn new() -> Self {
        let inner = memory().await;
        Self {
            capability: inner.capability().clone(),
            readers: inner.readers().clone(),
            inner,
            feed: true,
        }
    }
}

#[async_trait]
impl Store for Lesser {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn epoch(&self) -> i64 {
        self.inner.epoch()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        self.inner.changes().filter(|_| self.feed)
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        self.inner.coordination().filter(|_| self.feed)
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        self.inner.commit(set, deadline).await
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        self.inner.after_restore(deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.inner.ping(deadline).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

async fn memory() -> SqliteStore {
    SqliteStore::open(SqliteOptions::new("sqlite::memory:"))
        .await
        .unwrap()
}

fn builder() -> Builder {
    Stockroom::builder().url("sqlite::memory:")
}

async fn assert_refused(builder: Builder, what: &str) {
    match builder.open().await {
        Ok(_) => panic!("{what} was opened"),
        Err(error) => assert!(error.is(ErrorKind::Config), "{what}: {error}"),
    }
}

#[tokio::test]
async fn what_is_placed_without_sense_is_refused() {
    let nothing: [Aggregate; 0] = [];
    assert_refused(builder().place(nothing, memory().await), "a store of nothing").await;
    let twice = builder()
        .place([Aggregate::Cart], memory().await)
        .place([Aggregate::Product, Aggregate::Cart], memory().await);
    assert_refused(twice, "carts in two stores").await;
    let listed = builder().place([Aggregate::Cart, Aggregate::Cart], memory().await);
    assert_refused(listed, "carts named twice").await;
}

#[tokio::test]
async fn what_a_checkout_commits_at_once_lies_in_one_store() {
    let torn = [
        &[Aggregate::Order][..],
        &[Aggregate::Level],
        &[Aggregate::Payment],
        &[Aggregate::Order, Aggregate::Payment],
        &[Aggregate::Order, Aggregate::Level, Aggregate::Cart],
    ];
    for aggregates in torn {
        let aggregates = aggregates.iter().copied();
        let placed = builder().place(aggregates.clone(), memory().await);
        assert_refused(placed, &format!("{:?} apart", aggregates.collect::<Vec<_>>())).await;
    }
    let one: Arc<dyn Store> = Arc::new(memory().await);
    // Said one after the other, of the same store.
    let shop = [Aggregate::Order, Aggregate::Payment, Aggregate::Level]
        .into_iter()
        .fold(builder(), |builder, kind| {
            builder.place_arc([kind], Arc::clone(&one))
        })
        .open()
        .await
        .unwrap();
    assert!(Arc::ptr_eq(shop.store(), &one));
    assert!(Arc::ptr_eq(shop.store_of(Aggregate::Level), &one));
    assert!(!Arc::ptr_eq(shop.store_of(Aggregate::Cart), &one));
    shop.close().await;
}

#[tokio::test]
async fn a_store_that_does_not_hold_what_is_placed_on_it_is_refused() {
    let mut unable = Lesser::new().await;
    unable.capability.aggregates = &[Aggregate::Product];
    assert_refused(
        builder().place([Aggregate::Cart], unable),
        "a store without carts",
    )
    .await;
    let mut blind = Lesser::new().await;
    blind.readers.cart = None;
    assert_refused(
        builder().place([Aggregate::Cart], blind),
        "a store that reads no carts",
    )
    .await;
    // It need not hold what lies elsewhere.
    let mut carts = Lesser::new().await;
    carts.capability.aggregates = &[Aggregate::Cart];
    let (product, order, payment) = (None, None, None);
    carts.readers.product = product;
    carts.readers.order = order;
    carts.readers.payment = payment;
    carts.readers.claim = None;
    carts.feed = false;
    let shop = builder().place([Aggregate::Cart], carts).open().await.unwrap();
    shop.close().await;
}

#[tokio::test]
async fn carts_that_nobody_could_close_are_refused() {
    let mut mute = Lesser::new().await;
    mute.feed = false;
    let apart = Stockroom::builder()
        .store(mute)
        .place([Aggregate::Cart], memory().await);
    assert_refused(apart, "carts apart from orders without a feed").await;
    // Products apart need no effect.
    let mut mute = Lesser::new().await;
    mute.feed = false;
    let shop = Stockroom::builder()
        .store(mute)
        .place([Aggregate::Product], memory().await)
        .open()
        .await
        .unwrap();
    shop.close().await;
}

async fn every_store_is_asked_raised_and_closed(ground: Ground) {
    let site = Site::new(ground);
    let (shop, _) = site.stocked().await;
    shop.ping().await.unwrap();
    let before = shop.commits().write_sets();
    let cart = cart(&shop, &[("MUG", 1)]).await;
    // Two in the store of the carts, one in that of the stock.
    shop.inventory()
        .receive("MUG", &crate::support::berlin(), 1)
        .await
        .unwrap();
    assert_eq!(shop.commits().write_sets() - before, 3);
    let stores = [Aggregate::Order, Aggregate::Cart].map(|kind| Arc::clone(shop.store_of(kind)));
    let epochs = || stores.each_ref().map(|store| store.epoch());
    let old = epochs();
    let raised = shop.after_restore().await.unwrap();
    assert!(old.iter().zip(epochs()).all(|(old, new)| *old < new));
    assert_eq!(raised, epochs().iter().sum::<i64>());
    shop.carts().add(cart, "MUG", 1).await.unwrap();
    shop.close().await;
    assert!(
        shop.carts()
            .add(cart, "MUG", 1)
            .await
            .unwrap_err()
            .is(ErrorKind::Unavailable)
    );
    for store in &stores {
        let answered = store.ping(Deadline::within(Duration::from_secs(5))).await;
        assert!(answered.is_err());
    }
}
