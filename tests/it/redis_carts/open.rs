//! What opening refuses, and carts placed by an address.

use stockroom::Aggregate;
use stockroom::ErrorKind;
use stockroom::Owner;
use stockroom::RedisStore;
use stockroom::RedisStoreOptions;
use stockroom::Stockroom;
use stockroom::testkit::engines::Redis;

use super::own;
use super::prefix;
use super::shared;
use super::tell;

async fn refusal(options: RedisStoreOptions) -> ErrorKind {
    let error = RedisStore::connect(options).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret"), "{text}");
    error.kind()
}

fn options(server: &Redis) -> RedisStoreOptions {
    RedisStoreOptions::new(server.url().as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_would_evict_carts_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl", "volatile-lfu"] {
        let arguments = ["--maxmemory", "10mb", "--maxmemory-policy", policy];
        let Some(server) = own(&arguments).await else {
            return;
        };
        assert_eq!(refusal(options(&server)).await, ErrorKind::Config, "{policy}");
        assert_eq!(
            tell(server.address(), "CONFIG SET maxmemory-policy noeviction"),
            "+OK"
        );
        RedisStore::connect(options(&server)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_opened_says_why() {
    let Some(server) = own(&["--requirepass", "secret-word"]).await else {
        return;
    };
    assert_eq!(refusal(options(&server)).await, ErrorKind::Unauthenticated);
    let wrong = format!("redis://:secret-guess@{}", server.address());
    assert_eq!(
        refusal(RedisStoreOptions::new(wrong.as_str())).await,
        ErrorKind::Unauthenticated
    );
    let right = format!("redis://:secret-word@{}", server.address());
    let right = RedisStoreOptions::new(right.as_str());
    RedisStore::connect(right.clone()).await.unwrap();
    assert_eq!(refusal(right.clone().prefix("{a}")).await, ErrorKind::Config);
    server.kill().unwrap();
    assert_eq!(refusal(right).await, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_and_another_layout_are_refused() {
    let Some(server) = own(&[]).await else { return };
    let port = server.address().port().to_string();
    let Some(replica) = own(&["--replicaof", "127.0.0.1", &port]).await else {
        return;
    };
    assert_eq!(refusal(options(&replica)).await, ErrorKind::Unavailable);
    assert_eq!(tell(server.address(), "SET {later}:layout 2"), "+OK");
    assert_eq!(refusal(options(&server).prefix("later")).await, ErrorKind::Config);
    RedisStore::connect(options(&server).prefix("other"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_are_placed_by_an_address() {
    let Some(server) = shared().await else { return };
    let urls = [prefix(), prefix()].map(|prefix| format!("{}?prefix={prefix}", server.url()));
    let open = async |url: &str| {
        let builder = Stockroom::builder().url("sqlite::memory:");
        builder.place_url([Aggregate::Cart], url).open().await.unwrap()
    };
    let (shop, other) = (open(&urls[0]).await, open(&urls[1]).await);
    let cart = shop.carts().create(Owner::Guest).await.unwrap().id;
    assert_eq!(shop.store_of(Aggregate::Cart).capability().engine, "redis");
    assert!(open(&urls[0]).await.carts().get(cart).await.unwrap().is_some());
    assert_eq!(
        other.carts().get(cart).await.unwrap(),
        None,
        "another prefix, another shop"
    );
    // Alone it is no shop, and holds nothing but carts.
    let error = Stockroom::open(&urls[0]).await.unwrap_err();
    assert!(error.is(ErrorKind::Config), "{error}");
    let builder = Stockroom::builder().url("sqlite::memory:");
    let error = builder
        .place_url([Aggregate::Product], urls[0].as_str())
        .open()
        .await;
    assert!(error.unwrap_err().is(ErrorKind::Config));
}
