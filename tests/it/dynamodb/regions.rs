//! Tables in several regions, as the service would describe them: the local engine has one region.

use serde_json::json;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::ErrorKind;
use stockroom::Migrate;
use stockroom::Stockroom;
use stockroom::spi::store::Regions;
use stockroom::spi::store::Store as _;

use super::deadline;
use super::desk::Desk;
use super::fresh;
use super::on_hand;
use super::receive_one;
use super::refusal;
use super::server;

/// A shop of one unit, and the way to it through a desk that shows its tables in two regions.
async fn replicated(url: &str) -> (Desk, DynamoOptions) {
    let options = fresh(url);
    let store = DynamoStore::connect(options.clone().migrate(Migrate::Apply))
        .await
        .unwrap();
    assert_eq!(store.capability().regions, Regions::One);
    store.commit(receive_one(), deadline()).await.unwrap();
    store.close().await;
    let desk = Desk::before(url).await;
    desk.overlay("DescribeTable", |answer| {
        answer["Table"]["Replicas"] = json!([
            { "RegionName": "eu-west-1", "ReplicaStatus": "ACTIVE" },
            { "RegionName": "eu-central-1", "ReplicaStatus": "ACTIVE" },
        ]);
        answer["Table"]["MultiRegionConsistency"] = json!("EVENTUAL");
    });
    let options = options.endpoint(desk.url()).migrate(Migrate::Check);
    (desk, options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_region_to_be_written_must_be_told() {
    let Some(server) = server().await else { return };
    let (_desk, options) = replicated(server.url()).await;
    assert_eq!(refusal(options.clone()).await.0, ErrorKind::Config);
    let nowhere = options.clone().write_region("us-east-1");
    assert_eq!(refusal(nowhere).await.0, ErrorKind::Config);
    let store = DynamoStore::connect(options.write_region("eu-central-1"))
        .await
        .unwrap();
    assert_eq!(store.capability().regions, Regions::WrittenHere);
    store.commit(receive_one(), deadline()).await.unwrap();
    assert_eq!(on_hand(&store).await, 2);
    assert!(store.changes().is_some() && store.coordination().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elsewhere_a_shop_is_read_and_never_written() {
    let Some(server) = server().await else { return };
    let (desk, options) = replicated(server.url()).await;
    let options = options.write_region("eu-west-1");
    let store = DynamoStore::connect(options.clone()).await.unwrap();
    assert_eq!(store.capability().regions, Regions::WrittenElsewhere);
    assert_eq!(on_hand(&store).await, 1);
    let refused = store.commit(receive_one(), deadline()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let refused = store.after_restore(deadline()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(store.changes().is_none() && store.coordination().is_none());
    // A shop opens on it, reads, and has nothing to do in the background.
    let shop = Stockroom::builder().store(store).open().await.unwrap();
    let refused = shop.carts().create(stockroom::Owner::Guest).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    shop.close().await;
    let writes = ["TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem"];
    let mut calls = desk.calls().into_iter();
    assert!(calls.all(|call| !writes.contains(&call.operation.as_str())));
    let made = options.migrate(Migrate::Apply);
    assert_eq!(refusal(made).await.0, ErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strong_consistency_is_refused_for_want_of_transactions() {
    let Some(server) = server().await else { return };
    let (desk, options) = replicated(server.url()).await;
    desk.overlay("DescribeTable", |answer| {
        answer["Table"]["MultiRegionConsistency"] = json!("STRONG");
    });
    let (kind, subject) = refusal(options.write_region("eu-central-1")).await;
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(subject.ends_with("-catalogue"), "{subject}");
}
