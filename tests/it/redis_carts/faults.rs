//! Lost replies, a server that is killed, memory that is full: every answer is true, and nothing is applied twice.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockroom::CartId;
use stockroom::ErrorKind;
use stockroom::RedisOptions;
use stockroom::RedisStore;
use stockroom::RedisStoreOptions;
use stockroom::Result;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Committed;
use stockroom::spi::store::Put;
use stockroom::spi::store::Store as _;
use stockroom::testkit::fixtures;
use stockroom::testkit::proxy::Loss;
use stockroom::testkit::proxy::Proxy;
use stockroom::testkit::proxy::When;

use super::adding;
use super::connect;
use super::create;
use super::deadline;
use super::own;
use super::prefix;
use super::read;
use super::set;
use super::shared;
use super::units;
use crate::support::crowd;
use crate::support::until;

/// A store behind a proxy, by one connection, so that the next request is the one that a test means.
async fn behind(proxy: &Proxy, prefix: &str) -> Arc<RedisStore> {
    let url = format!("redis://{}", proxy.address());
    let options = RedisStoreOptions::new(RedisOptions::new(url).connections(1)).prefix(prefix);
    Arc::new(RedisStore::connect(options).await.unwrap())
}

/// Adds a unit as soon as there is a connection: without one nothing is sent, and the store says so.
pub(super) async fn add(store: &RedisStore, cart: CartId) -> Result<Committed> {
    loop {
        match store.commit(adding(cart), deadline()).await {
            Err(error) if error.is(ErrorKind::Unavailable) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            answer => return answer,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_reply_ends_in_a_definite_answer() {
    let Some(server) = shared().await else { return };
    let proxy = Proxy::start_redis(server.address()).await.unwrap();
    let store = behind(&proxy, &prefix()).await;
    let cart = fixtures::guest_cart(1).unwrap();
    create(&store, &cart).await;
    let late = Loss::LateRequest(Duration::from_millis(300));
    for (round, loss) in [Loss::Reply, Loss::Request, late]
        .into_iter()
        .cycle()
        .take(9)
        .enumerate()
    {
        add(&store, cart.id).await.unwrap();
        proxy.lose_sql("EVALSHA", loss, When::Next);
        let committed = store.commit(adding(cart.id), deadline()).await.unwrap();
        assert_eq!(proxy.counts().lost, round as u64 + 1, "{loss:?}");
        let found = units(&store, cart.id).await;
        assert_eq!(
            found,
            2 * (round as i64 + 1),
            "{loss:?}: one commit, applied once"
        );
        assert_eq!(committed.versions[0].2.get(), found as u64 + 1, "{loss:?}");
    }
    // Requests that were late have come by now, or will find that they are through.
    assert_eq!(units(&store, cart.id).await, 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_lost_every_answer_is_true() {
    let Some(server) = shared().await else { return };
    let (prefix, proxy) = (prefix(), Proxy::start_redis(server.address()).await.unwrap());
    let direct = connect(&server.url(), &prefix).await;
    let cart = fixtures::guest_cart(1).unwrap();
    create(&direct, &cart).await;
    // A caller for each connection, so that it is its own reply that is lost.
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(behind(&proxy, &prefix).await);
    }
    // Scripts alone: what makes a new connection passes.
    proxy.lose_sql("EVALSHA", Loss::Reply, When::Every(7));
    proxy.lose_sql("EVALSHA", Loss::Request, When::Every(11));
    let added = crowd(4, move |number| {
        let store = Arc::clone(&stores[number]);
        async move {
            for _ in 0..40 {
                add(&store, cart.id).await.unwrap();
            }
        }
    });
    added.await;
    let lost = proxy.counts().lost;
    println!("{lost} requests or replies were lost");
    assert!(lost >= 20, "{lost}");
    assert_eq!(units(&direct, cart.id).await, 160);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_answered_survives_the_server() {
    let log = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(server) = own(&log).await else { return };
    let store = connect(&server.url(), "shop").await;
    assert!(store.has_log());
    let cart = fixtures::guest_cart(1).unwrap();
    create(&store, &cart).await;
    let (told, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counts, stopped, adders) = (Arc::clone(&told), Arc::clone(&stop), Arc::clone(&store));
    let adding = tokio::spawn(crowd(8, move |_| {
        let (store, told, stop) = (Arc::clone(&adders), Arc::clone(&counts), Arc::clone(&stopped));
        async move {
            while !stop.load(Ordering::Relaxed) {
                add(&store, cart.id).await.unwrap();
                told.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    for _ in 0..3 {
        let before = told.load(Ordering::Relaxed);
        until("more was added", async || {
            told.load(Ordering::Relaxed) > before + 100
        })
        .await;
        server.kill().unwrap();
        server.restart().unwrap();
    }
    let before = told.load(Ordering::Relaxed);
    until("more was added", async || {
        told.load(Ordering::Relaxed) > before + 100
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    adding.await.unwrap();
    // Each unit that was told of is there, and no other: those that were on their way were found out too.
    assert_eq!(units(&store, cart.id).await, told.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_server_nothing_is_sent_and_the_caller_is_told_at_once() {
    let Some(server) = own(&[]).await else { return };
    let store = connect(&server.url(), "shop").await;
    assert!(!store.has_log());
    server.kill().unwrap();
    until("the client knows", async || {
        let soon = Deadline::within(Duration::from_secs(1));
        let refused = store.commit(adding(CartId::new()), soon).await.unwrap_err();
        refused.is(ErrorKind::Unavailable)
    })
    .await;
    let ping = store.ping(deadline()).await.unwrap_err();
    assert!(ping.is(ErrorKind::Unavailable), "{ping}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_memory_refuses_a_set_as_a_whole() {
    let arguments = ["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"];
    let Some(server) = own(&arguments).await else {
        return;
    };
    let store = connect(&server.url(), "shop").await;
    let mut stored = Vec::new();
    let refused = loop {
        let seed = stored.len() as u64;
        let mut cart = fixtures::cart(seed).unwrap();
        let line =
            |number| fixtures::line(&fixtures::sku(&format!("SKU-{number}")).unwrap(), &[], 1).unwrap();
        cart.lines = (0..100).map(line).collect();
        let mut one = set();
        one.put(Put::create(cart.clone()));
        match store.commit(one, deadline()).await {
            Ok(_) => stored.push(cart.id),
            Err(error) => break (cart.id, error),
        }
    };
    let (cart, error) = refused;
    assert!(error.is(ErrorKind::Unavailable), "{error}");
    assert!(!stored.is_empty());
    assert_eq!(read(&store, cart).await, None);
    for cart in stored {
        assert_eq!(read(&store, cart).await.unwrap().lines.len(), 100);
    }
}
