//! Units of work and observers on the embedded store.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Poll;

use async_trait::async_trait;

use super::Tx;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Currency;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::NewProduct;
use crate::model::Owner;
use crate::model::Product;
use crate::model::ProductPatch;
use crate::model::Quantity;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::UserId;
use crate::resilience::Deadline;
use crate::shop::Stockroom;
use crate::spi::store::Aborted;
use crate::spi::store::CommitObserver;
use crate::spi::store::Committed;

async fn shop() -> Stockroom {
    Stockroom::open("sqlite::memory:").await.unwrap()
}

fn mug() -> NewProduct {
    NewProduct::new("Mug")
        .slug("mug")
        .variant("MUG", Money::new(9_00, Currency::USD))
}

async fn retitle(shop: &Stockroom, product: &Product, title: &str) {
    let now = shop.products().require(product.id).await.unwrap();
    shop.products()
        .update(&now, ProductPatch::new().title(title))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_unit_of_work_sees_its_own_writes() {
    let shop = shop().await;
    let (sku, berlin) = (Sku::new("MUG").unwrap(), LocationId::new("berlin").unwrap());
    shop.inventory().receive(&sku, &berlin, 1).await.unwrap();
    let work = async |tx: Tx| {
        let product = tx.products().create(mug())?;
        assert_eq!(tx.products().get(product.id).await?, Some(Arc::clone(&product)));
        let product = tx.products().update(&product, ProductPatch::new().title("Cup"))?;
        let product = tx
            .products()
            .update(&product, ProductPatch::new().description("Blue"))?;
        assert_eq!(tx.products().find_by_sku(&sku).await?.unwrap().title, "Cup");
        tx.inventory().receive(&sku, &berlin, Quantity::new(4)?)?;
        assert_eq!(tx.inventory().level(&sku, &berlin).await?.unwrap().on_hand, 5);
        Ok::<_, Error>(product)
    };
    let product = shop.transaction(work).await.unwrap();
    let stored = shop.products().require(product.id).await.unwrap();
    assert_eq!(stored, product);
    assert_eq!(
        (stored.title.as_str(), stored.description.as_str()),
        ("Cup", "Blue")
    );
    assert_eq!(
        shop.inventory()
            .level(&sku, &berlin)
            .await
            .unwrap()
            .unwrap()
            .on_hand,
        5
    );
}

#[tokio::test]
async fn a_lost_race_runs_the_closure_again() {
    let shop = shop().await;
    let product = shop.products().create(mug()).await.unwrap();
    let runs = AtomicUsize::new(0);
    let work = async |tx: Tx| {
        let found = tx.products().require(product.id).await?;
        if runs.fetch_add(1, Ordering::SeqCst) == 0 {
            retitle(&shop, &product, "Cup").await;
        }
        // What was read once is the same when it is read again.
        assert_eq!(tx.products().require(product.id).await?, found);
        let title = format!("{}!", found.title);
        tx.products().update(&found, ProductPatch::new().title(title))?;
        Ok::<_, Error>(())
    };
    shop.transaction(work).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(shop.products().require(product.id).await.unwrap().title, "Cup!");
}

#[tokio::test]
async fn an_error_is_given_back_only_while_its_reads_hold() {
    let shop = shop().await;
    let product = shop.products().create(mug()).await.unwrap();
    let runs = AtomicUsize::new(0);
    let work = async |tx: Tx| {
        let found = tx.products().require(product.id).await?;
        if runs.fetch_add(1, Ordering::SeqCst) == 0 {
            retitle(&shop, &product, "Cup").await;
        }
        tx.products().delete(&found)?;
        Err::<(), _>(Error::invalid("title", found.title.clone()))
    };
    let error = shop.transaction(work).await.unwrap_err();
    assert_eq!(error.message(), "Cup");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert!(shop.products().get(product.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_unit_of_work_that_outlives_its_closure_is_refused() {
    let shop = shop().await;
    let leaked = shop.transaction(async |tx: Tx| Ok::<_, Error>(tx)).await.unwrap();
    let error = leaked.products().create(mug()).unwrap_err();
    assert_eq!(error.invalid_field(), Some("tx"));
    assert!(leaked.carts().active(UserId::new()).await.is_err());
}

#[tokio::test]
async fn adding_to_a_cart_that_is_replaced_adds_to_its_new_state() {
    let shop = shop().await;
    let sku = Sku::new("MUG").unwrap();
    let work = async |tx: Tx| {
        let cart = tx.carts().create(Owner::Guest)?;
        tx.carts().add(cart.id, &sku, Quantity::ONE)?;
        tx.carts().add(cart.id, &sku, Quantity::ONE)?;
        Ok::<_, Error>(cart.id)
    };
    let cart = shop.transaction(work).await.unwrap();
    assert_eq!(
        shop.carts().require(cart).await.unwrap().lines[0].quantity.get(),
        2
    );
    let work = async |tx: Tx| {
        let cart = tx.carts().require(cart).await?;
        tx.carts().add(cart.id, &sku, Quantity::ONE)?;
        tx.carts()
            .set_quantity(&cart, &cart.lines[0].key, Quantity::ONE)
            .map(drop)
    };
    let error: Error = shop.transaction(work).await.unwrap_err();
    assert_eq!(error.invalid_field(), Some("tx"));
}

#[tokio::test]
async fn a_stale_state_from_outside_is_a_conflict() {
    let shop = shop().await;
    let product = shop.products().create(mug()).await.unwrap();
    retitle(&shop, &product, "Cup").await;
    let work = async |tx: Tx| {
        tx.products().require(product.id).await?;
        tx.products()
            .update(&product, ProductPatch::new().title("Bowl"))
            .map(drop)
    };
    let error: Error = shop.transaction(work).await.unwrap_err();
    assert!(error.is(ErrorKind::Conflict));
    assert_eq!(error.found_version(), Some(2));
}

/// Counts what it is told, and refuses when it is told to.
#[derive(Debug, Default)]
struct Watch {
    told: Mutex<Vec<&'static str>>,
    refuses: bool,
    slow: bool,
}

impl Watch {
    fn note(&self, what: &'static str) {
        self.told.lock().unwrap().push(what);
    }

    fn told(&self) -> Vec<&'static str> {
        self.told.lock().unwrap().clone()
    }
}

#[async_trait]
impl CommitObserver for Watch {
    async fn before(&self, keys: &[(Aggregate, RowKey)], _: Deadline) -> Result<()> {
        assert!(!keys.is_empty());
        self.note("before");
        if self.slow {
            tokio::task::yield_now().await;
        }
        if self.refuses {
            Err(Error::new(ErrorKind::Unavailable, "not now"))
        } else {
            Ok(())
        }
    }

    async fn after(&self, _: &Committed) {
        self.note("after");
    }

    async fn aborted(&self, _: &[(Aggregate, RowKey)], _: Aborted) {
        self.note("aborted");
    }
}

async fn watched(watches: &[&Arc<Watch>]) -> Stockroom {
    let builder = Stockroom::builder().url("sqlite::memory:");
    let observed = watches.iter().fold(builder, |builder, watch| {
        let watch: Arc<dyn CommitObserver> = Arc::<Watch>::clone(watch);
        builder.observer(watch)
    });
    observed.open().await.unwrap()
}

#[tokio::test]
async fn observers_are_told_before_and_after() {
    let watch = Arc::new(Watch::default());
    let shop = watched(&[&watch]).await;
    shop.products().create(mug()).await.unwrap();
    shop.products().create(mug()).await.unwrap_err();
    assert_eq!(watch.told(), ["before", "after", "before", "aborted"]);
}

#[tokio::test]
async fn an_observer_that_refuses_fails_the_write_and_those_told_before_hear_of_it() {
    let (first, second) = (
        Arc::new(Watch::default()),
        Arc::new(Watch {
            refuses: true,
            ..Watch::default()
        }),
    );
    let shop = watched(&[&first, &second]).await;
    let error = shop.carts().create(Owner::Guest).await.unwrap_err();
    assert!(error.is(ErrorKind::Unavailable));
    assert_eq!(
        (first.told(), second.told()),
        (vec!["before", "aborted"], vec!["before"])
    );
}

#[tokio::test]
async fn observers_hear_the_outcome_when_the_caller_is_gone() {
    let watch = Arc::new(Watch {
        slow: true,
        ..Watch::default()
    });
    let shop = watched(&[&watch]).await;
    let mut creating = Box::pin(shop.products().create(mug()));
    let first = std::future::poll_fn(|context| Poll::Ready(creating.as_mut().poll(context).is_pending()));
    assert!(first.await, "it was done before it could be dropped");
    drop(creating);
    shop.close().await;
    assert_eq!(watch.told(), ["before", "after"]);
    assert!(
        shop.carts()
            .create(Owner::Guest)
            .await
            .unwrap_err()
            .is(ErrorKind::Unavailable)
    );
}
