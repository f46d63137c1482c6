//! A feed of bounded length, on a server that may lose its last moments: whoever reads it is told what was dropped.

use std::sync::Arc;

use stockroom::ErrorKind;
use stockroom::RedisOptions;
use stockroom::RedisStore;
use stockroom::RedisStoreOptions;
use stockroom::Result;
use stockroom::spi::changes::ChangePage;
use stockroom::spi::changes::FeedRead;
use stockroom::spi::changes::PartitionEnd;
use stockroom::spi::changes::PartitionId;
use stockroom::spi::changes::Position;
use stockroom::spi::store::Store as _;
use stockroom::testkit::fixtures;
use stockroom::testkit::proxy::Proxy;

use super::adding;
use super::create;
use super::deadline;
use super::own;
use super::prefix;
use super::shared;
use super::tell;
use crate::support::until;

async fn page(store: &RedisStore, after: Option<&Position>, limit: usize) -> Result<ChangePage> {
    let read = FeedRead {
        partition: &PartitionId::new("0"),
        after,
        limit,
    };
    store.changes().unwrap().read(read, deadline()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_place_whose_changes_were_dropped_is_a_conflict() {
    let Some(server) = shared().await else { return };
    let options = RedisStoreOptions::new(server.url().as_str())
        .prefix(prefix())
        .feed_length(50);
    let store = RedisStore::connect(options).await.unwrap();
    let beginning = store
        .changes()
        .unwrap()
        .tail(deadline())
        .await
        .unwrap()
        .remove(0)
        .1;
    let cart = fixtures::guest_cart(1).unwrap();
    create(&store, &cart).await;
    let early = page(&store, None, 1).await.unwrap().next;
    assert_eq!(page(&store, Some(&beginning), 9).await.unwrap().changes.len(), 1);
    for _ in 0..400 {
        store.commit(adding(cart.id), deadline()).await.unwrap();
    }
    for place in [&beginning, &early] {
        let error = page(&store, Some(place), 10).await.unwrap_err();
        assert!(error.is(ErrorKind::Conflict), "{error}");
    }
    // What is kept has no gap, and at least as many changes as were asked for.
    let (mut versions, mut place) = (Vec::new(), None);
    loop {
        let page = page(&store, place.as_ref(), 7).await.unwrap();
        versions.extend(page.changes.iter().map(|change| change.version.get()));
        place = Some(page.next);
        if page.end == PartitionEnd::Reached {
            break;
        }
    }
    assert!((50..400).contains(&versions.len()), "{}", versions.len());
    let first = versions[0];
    assert_eq!(versions, (first..=401).collect::<Vec<_>>());
}

/// The replica takes over without the primary's last changes, and gives their numbers to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_place_behind_changes_that_a_failover_lost_is_a_conflict() {
    let Some(primary) = own(&[]).await else { return };
    let port = primary.address().port().to_string();
    let Some(replica) = own(&["--replicaof", "127.0.0.1", &port]).await else {
        return;
    };
    let proxy = Proxy::start_redis(primary.address()).await.unwrap();
    let connection = RedisOptions::new(format!("redis://{}", proxy.address())).connections(1);
    let options = RedisStoreOptions::new(connection).prefix("shop");
    let store = Arc::new(RedisStore::connect(options).await.unwrap());
    let cart = fixtures::guest_cart(1).unwrap();
    create(&store, &cart).await;
    let kept = page(&store, None, 10).await.unwrap().next;
    until("the replica has it", async || {
        tell(replica.address(), "XLEN {shop}:changes") == ":1"
    })
    .await;
    assert_eq!(tell(replica.address(), "REPLICAOF NO ONE"), "+OK");
    store.commit(adding(cart.id), deadline()).await.unwrap();
    let lost = page(&store, Some(&kept), 10).await.unwrap().next;
    proxy.lead_to(replica.address()).await;
    // Nothing is there of what was read already.
    until("the replica answers", async || {
        match page(&store, Some(&lost), 10).await {
            Err(error) => error.is(ErrorKind::Conflict),
            Ok(_) => false,
        }
    })
    .await;
    store.commit(adding(cart.id), deadline()).await.unwrap();
    let error = page(&store, Some(&lost), 10).await.unwrap_err();
    assert!(
        error.is(ErrorKind::Conflict),
        "another change has its number: {error}"
    );
    let after = page(&store, Some(&kept), 10).await.unwrap();
    assert_eq!(after.changes.len(), 1, "from what both servers have it goes on");
}
