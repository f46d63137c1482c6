//! The history of an aggregate lies in its root, and behind it in items of its own: nobody who reads it notices.

use std::sync::Arc;

use stockroom::DynamoStore;
use stockroom::Migrate;
use stockroom::model::Actor;
use stockroom::model::Aggregate;
use stockroom::model::PageRequest;
use stockroom::model::RowKey;
use stockroom::model::Version;
use stockroom::spi::store::Delete;
use stockroom::spi::store::Put;
use stockroom::spi::store::Store as _;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::dynamodb::DynamoFaults;
use stockroom::testkit::fixtures;
use uuid::Uuid;

use super::deadline;
use super::fresh;
use super::server;
use crate::support::crowd;

/// Changes that a root has no place for, several times over.
const CHANGES: u64 = 40;

fn set() -> WriteSet {
    WriteSet::new(Actor::system())
}

/// The versions of the history, the latest first, read in pages of so many.
async fn versions(store: &DynamoStore, key: Uuid, limit: u32) -> Vec<u64> {
    let history = store.readers().history().unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let mut page = PageRequest::new(limit).unwrap();
        if let Some(after) = after {
            page = page.after(after);
        }
        let row = RowKey::Id(key);
        let page = history
            .list(Aggregate::Cart, &row, &page, deadline())
            .await
            .unwrap();
        found.extend(page.items.iter().map(|change| change.version.get()));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_is_told_whole_and_in_order_also_after_a_removal() {
    let Some(server) = server().await else { return };
    let faults = DynamoFaults::new(1);
    let options = fresh(server.url()).migrate(Migrate::Apply).faults(&faults);
    let store = Arc::new(DynamoStore::connect(options).await.unwrap());
    let cart = fixtures::guest_cart(1).unwrap();
    let (key, history) = (cart.id.uuid(), |upto: u64| (1..=upto).rev().collect::<Vec<_>>());
    let mut first = set();
    first.put(Put::create(cart.clone()));
    store.commit(first, deadline()).await.unwrap();
    faults.reset_counts();
    for version in 1..CHANGES {
        let mut old = cart.clone();
        old.version = Version::from(version);
        let mut next = set();
        next.put(Put::root(&old, old.clone()));
        store.commit(next, deadline()).await.unwrap();
    }
    let items = faults.counts().items();
    println!("{items} items for {} changes of a cart", CHANGES - 1);
    // The cart and the commit each, and its history now and then.
    assert!(
        items > 2 * (CHANGES - 1) && items < 5 * (CHANGES - 1) / 2,
        "{items}"
    );
    for limit in [1, 7, 100] {
        assert_eq!(
            versions(&store, key, limit).await,
            history(CHANGES),
            "{limit} a page"
        );
    }
    let mut gone = set();
    gone.delete(Delete {
        aggregate: Aggregate::Cart,
        key: RowKey::Id(key),
        expected: Version::from(CHANGES),
        previous: Vec::new(),
    });
    store.commit(gone, deadline()).await.unwrap();
    assert_eq!(versions(&store, key, 7).await, history(CHANGES + 1));
    let mut anew = set();
    anew.put(Put::create(cart.clone()));
    store.commit(anew, deadline()).await.unwrap();
    let mut both = vec![1];
    both.extend(history(CHANGES + 1));
    assert_eq!(versions(&store, key, 7).await, both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_is_read_while_it_is_written_has_no_gap() {
    let Some(server) = server().await else { return };
    let options = fresh(server.url()).migrate(Migrate::Apply);
    let store = Arc::new(DynamoStore::connect(options).await.unwrap());
    let cart = fixtures::guest_cart(1).unwrap();
    let mut first = set();
    first.put(Put::create(cart.clone()));
    store.commit(first, deadline()).await.unwrap();
    let (store, key) = (store.clone(), cart.id.uuid());
    let found = crowd(2, move |number| {
        let (store, mut cart) = (store.clone(), cart.clone());
        async move {
            let mut found = Vec::new();
            for version in 1..CHANGES {
                if number == 0 {
                    cart.version = Version::from(version);
                    let mut next = set();
                    next.put(Put::root(&cart, cart.clone()));
                    store.commit(next, deadline()).await.unwrap();
                } else {
                    found.push(versions(&store, key, 100).await);
                }
            }
            found
        }
    });
    for versions in found.await.into_iter().flatten() {
        let whole: Vec<_> = (1..=versions[0]).rev().collect();
        assert_eq!(versions, whole);
    }
}
