//! Items in memory in the service's place: enough of it that a shop sells on them what it has, and no more.

use std::sync::Arc;

use stockroom::DynamoStore;
use stockroom::ErrorKind;
use stockroom::Migrate;
use stockroom::Place;
use stockroom::Stockroom;
use stockroom::testkit::dynamodb::DynamoFault;
use stockroom::testkit::dynamodb::DynamoFaults;

use super::fresh;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::key;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_sells_what_it_has_on_items_in_memory() {
    const UNITS: usize = 50;
    let faults = DynamoFaults::new(1);
    faults.answer_from_memory();
    // Nobody listens there.
    let options = fresh("http://127.0.0.1:9")
        .migrate(Migrate::Apply)
        .faults(&faults);
    let store = Arc::new(DynamoStore::connect(options).await.unwrap());
    let shop = Shop::of(Stockroom::builder().store_arc(store).without_background()).await;
    shop.stock("MUG", UNITS as i64).await;
    faults.plant(DynamoFault::BusyItem, 100);
    let sellers = shop.clone();
    let placed = crowd(UNITS + 10, move |number| {
        let shop = sellers.clone();
        async move {
            let cart = shop.cart(&[("MUG", 1)]).await;
            let place = Place::cart(cart).key(key(format!("order-{number}")));
            shop.checkout().place(place).await
        }
    });
    let (sold, refused): (Vec<_>, Vec<_>) = placed.await.into_iter().partition(Result::is_ok);
    assert_eq!((sold.len(), refused.len()), (UNITS, 10));
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InsufficientStock);
    }
    assert_eq!(shop.level("MUG").await.available(), 0);
}
