//! Single faults of the service: what callers are told, what is repeated, what is counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stockroom::CartId;
use stockroom::DynamoStore;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Migrate;
use stockroom::NewProduct;
use stockroom::Owner;
use stockroom::Place;
use stockroom::spi::store::Store as _;
use stockroom::testkit::dynamodb::DynamoFault;
use stockroom::testkit::dynamodb::DynamoFaults;
use stockroom::testkit::dynamodb::Meeting;
use stockroom::testkit::engines::DynamoDb;

use super::deadline;
use super::fresh;
use super::on_hand;
use super::receive_one;
use super::server;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::key;
use crate::support::share;
use crate::support::sku;
use crate::support::units;

/// Longer than the service remembers a request token.
const LAPSE: Duration = Duration::from_secs(11 * 60);

/// A store behind faults that are yet to be planted.
async fn behind(faults: &DynamoFaults) -> Option<(Arc<DynamoDb>, Arc<DynamoStore>)> {
    let server = server().await?;
    let options = fresh(server.url()).migrate(Migrate::Apply).faults(faults);
    let store = DynamoStore::connect(options).await.unwrap();
    Some((server, Arc::new(store)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_lost_after_the_token_lapsed_is_found_and_not_repeated() {
    let faults = DynamoFaults::new(1);
    let Some((_server, store)) = behind(&faults).await else {
        return;
    };
    faults.forget_tokens();
    for fault in [
        DynamoFault::LostReply,
        DynamoFault::TransactionInProgress,
        DynamoFault::ServerError,
    ] {
        let before = on_hand(&store).await;
        faults.reset_counts();
        // Facts are read first: every other call of a single writer is the transaction.
        faults.plant(fault, 50);
        for _ in 0..10 {
            store.commit(receive_one(), deadline()).await.unwrap();
        }
        faults.heal();
        assert!(faults.counts().struck(fault) > 0, "{fault:?}");
        assert_eq!(on_hand(&store).await, before + 10, "{fault:?}");
    }
    let inventory = store.readers().inventory().unwrap();
    let report = inventory.verify(deadline()).await.unwrap();
    assert!(report.is_consistent(), "{report:?}");
    assert_eq!(report.movements, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_order_comes_of_a_key_with_32_callers_even_after_the_token_lapsed() {
    let Some(ground) = Ground::dynamodb().await else {
        return;
    };
    let faults = DynamoFaults::new(2);
    let shops = ground.behind(&faults).open_two().await;
    shops[0].stock("MUG", 1_000).await;
    let cart = shops[0].cart(&[("MUG", 3)]).await;
    faults.forget_tokens();
    let mut ids = BTreeSet::new();
    for round in 0..3 {
        faults.plant(DynamoFault::LostReply, 20);
        let callers = shops.clone();
        let placed = crowd(32, move |number| {
            let shop = callers[number % 2].clone();
            async move { shop.checkout().place(Place::cart(cart).key(key("once"))).await }
        });
        let placed: Vec<_> = placed.await.into_iter().collect::<Result<_, _>>().unwrap();
        faults.heal();
        ids.extend(placed.iter().map(|placed| placed.order.id));
        let fresh = placed.iter().filter(|placed| !placed.replayed).count();
        assert!(fresh <= usize::from(round == 0), "{fresh} in round {round}");
        shops.iter().for_each(|shop| shop.shift_clock(LAPSE));
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(shops[0].every_order().await.len(), 1);
    assert_eq!(shops[0].level("MUG").await.allocated, 3);
    shops[0].assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_refuses_everything_is_not_given_more_to_do() {
    const CALLERS: u64 = 64;
    /// What the budget pays for when nothing goes well.
    const REPEATS: u64 = 100;
    for (fault, kind) in [
        (DynamoFault::HotKey, ErrorKind::RateLimited),
        (DynamoFault::AccountThroughput, ErrorKind::RateLimited),
        (DynamoFault::ServerError, ErrorKind::Unavailable),
        (DynamoFault::LostRequest, ErrorKind::Unavailable),
    ] {
        let faults = DynamoFaults::new(3);
        let Some((_server, store)) = behind(&faults).await else {
            return;
        };
        faults.plant(fault, 100);
        faults.reset_counts();
        let inventory = Arc::clone(store.readers().inventory().unwrap());
        let refused = crowd(CALLERS.try_into().unwrap(), move |_| {
            let inventory = Arc::clone(&inventory);
            async move { inventory.verify(deadline()).await.unwrap_err().kind() }
        });
        assert!(refused.await.iter().all(|found| *found == kind), "{fault:?}");
        let sent = faults.counts().requests("Scan");
        assert_eq!(sent, CALLERS + REPEATS, "{fault:?}");
        assert_eq!(store.usage().repeats, REPEATS, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_batch_leaves_out_is_asked_for_again() {
    let Some(ground) = Ground::dynamodb().await else {
        return;
    };
    let faults = DynamoFaults::new(6);
    let shop = ground.behind(&faults).open().await;
    let mut ids = Vec::new();
    for created in shop.products().import(vec![NewProduct::new("Mug"); 30]).await {
        ids.push(created.unwrap().id);
    }
    faults.plant(DynamoFault::PartialBatch, 80);
    faults.reset_counts();
    for _ in 0..10 {
        let found = shop.products().get_many(&ids).await.unwrap();
        let found: Vec<_> = found.into_iter().flatten().map(|product| product.id).collect();
        assert_eq!(found, ids);
    }
    assert!(faults.counts().struck(DynamoFault::PartialBatch) >= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_is_counted_by_reason() {
    let faults = DynamoFaults::new(4);
    let Some((_server, store)) = behind(&faults).await else {
        return;
    };
    store.commit(receive_one(), deadline()).await.unwrap();
    for fault in [
        DynamoFault::HotKey,
        DynamoFault::TableThroughput,
        DynamoFault::AccountThroughput,
    ] {
        faults.strike_next(fault, 1);
        assert_eq!(on_hand(&store).await, 1);
    }
    let told = store.usage().throttles;
    assert_eq!(
        (told.hot_key, told.table, told.account, told.total()),
        (1, 1, 1, 3)
    );
    let usage = store.usage();
    let (writes, total) = (usage.operation("TransactWriteItems"), usage.total());
    assert_eq!((writes.calls, writes.failed, total.failed), (1, 0, 3));
    assert!(total.read_units > 0.0 && writes.write_units > 0.0, "{usage:?}");
}

/// Carts of one commit, each with a mug in it.
async fn many_carts(shop: &Shop) -> Vec<CartId> {
    let carts = shop.transaction(|tx| async move {
        let mut carts = Vec::new();
        for _ in 0..40 {
            let cart = tx.carts().create(Owner::Guest)?.id;
            tx.carts().add(cart, &sku("MUG"), units(1))?;
            carts.push(cart);
        }
        Ok::<_, Error>(carts)
    });
    carts.await.unwrap()
}

/// What of an order a level costs when each has a transaction of its own: one, and one write of the level.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_orders_of_one_sku_take_a_tenth_of_the_transactions_and_writes() {
    const ORDERS: usize = 1_000;
    let Some(ground) = Ground::dynamodb().await else {
        return;
    };
    let faults = DynamoFaults::new(5);
    let shop = ground.behind(&faults).open().await;
    shop.stock("MUG", 1_000).await;
    let mut carts = Vec::new();
    while carts.len() < ORDERS {
        carts.extend(many_carts(&shop).await);
    }
    let seller = shop.clone();
    let quotes = share(16, ORDERS, move |number| {
        let (shop, cart) = (seller.clone(), carts[number]);
        async move { shop.checkout().quote(cart).await.unwrap() }
    });
    let quotes = Arc::new(quotes.await);
    faults.set_busy(Duration::from_millis(5), Meeting::Conflicts);
    faults.plant(DynamoFault::BusyItem, 100);
    faults.reset_counts();
    let seller = shop.clone();
    let placed = crowd(ORDERS, move |number| {
        let (shop, quotes) = (seller.clone(), Arc::clone(&quotes));
        let place = Place::quote(quotes[number].clone()).key(key(format!("order-{number}")));
        async move { shop.checkout().place(place).await }
    });
    for outcome in placed.await {
        outcome.unwrap();
    }
    let (transactions, writes) = (
        faults.counts().requests("TransactWriteItems"),
        faults.hottest_item(),
    );
    println!("{ORDERS} orders of one SKU: {transactions} transactions, {writes} writes of the level");
    let tenth = ORDERS as u64 / 10;
    assert!(
        transactions <= tenth && writes <= tenth,
        "{transactions}, {writes}"
    );
    assert_eq!(shop.level("MUG").await.allocated, 1_000);
    faults.heal();
    shop.assert_sound().await;
}
