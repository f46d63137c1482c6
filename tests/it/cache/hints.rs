//! Stock as a hint: what was so a moment ago, for whoever looks and for nobody who decides.

use std::time::Duration;

use stockroom::Cache;
use stockroom::ErrorKind;
use stockroom::HoldLine;
use stockroom::LocationId;
use stockroom::Quantity;
use stockroom::Sku;
use stockroom::Stockroom;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stock_is_told_as_a_hint_that_no_order_believes() {
    let shop = Stockroom::builder()
        .url("sqlite::memory:")
        .cache(Cache::in_process().hints(Duration::from_secs(600)))
        .open();
    let shop = shop.await.unwrap();
    let (berlin, rome) = (
        LocationId::new("berlin").unwrap(),
        LocationId::new("rome").unwrap(),
    );
    let skus = ["MUG", "NONE", "MUG"].map(|sku| Sku::new(sku).unwrap());
    let told = async |shop: &Stockroom| -> Vec<i64> {
        let hints = shop.inventory().hints(&skus).await.unwrap();
        hints.iter().map(|hint| hint.available).collect()
    };
    shop.inventory().receive("MUG", &berlin, 2).await.unwrap();
    shop.inventory().receive("MUG", &rome, 3).await.unwrap();
    assert_eq!(told(&shop).await, [5, 0, 5]);
    let line = |quantity: u32| HoldLine {
        sku: skus[0].clone(),
        location: rome.clone(),
        quantity: Quantity::new(quantity.into()).unwrap(),
    };
    let keep = Duration::from_secs(600);
    shop.inventory().hold(&[line(3)], keep).await.unwrap();
    // The hint is what it was; whoever wants to hold is told what is.
    assert_eq!(told(&shop).await, [5, 0, 5]);
    assert_eq!(shop.cache().stats().hints_in_process, 3);
    let short = shop.inventory().hold(&[line(1)], keep).await.unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InsufficientStock);

    let fresh = Stockroom::builder()
        .url("sqlite::memory:")
        .cache(Cache::in_process().hints(Duration::ZERO))
        .open();
    let fresh = fresh.await.unwrap();
    assert_eq!(told(&fresh).await, [0, 0, 0]);
    fresh.inventory().receive("MUG", &berlin, 2).await.unwrap();
    assert_eq!(told(&fresh).await, [2, 0, 2]);
    for shop in [shop, fresh] {
        shop.close().await;
    }
}
