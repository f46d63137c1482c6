//! Carts on a cluster: the shard that has them gives its slots away, and dies; whoever writes meanwhile is told the truth.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::CartId;
use stockroom::ErrorKind;
use stockroom::RedisStore;
use stockroom::RedisStoreOptions;
use stockroom::spi::store::Store as _;
use stockroom::testkit::engines;
use stockroom::testkit::engines::RedisCluster;
use stockroom::testkit::fixtures;

use super::connect;
use super::create;
use super::deadline;
use super::faults::add;
use super::merge;
use super::prefix;
use super::tell;
use super::units;
use crate::support::crowd;
use crate::support::until;

/// A cluster, and a prefix whose carts lie on the master that has a replica.
async fn start() -> Option<(RedisCluster, String)> {
    let cluster = engines::require(RedisCluster::start().await).unwrap()?;
    let url = cluster.url();
    let first = url.trim_start_matches("redis-cluster://").split('?').next();
    let first: SocketAddr = first.unwrap().parse().unwrap();
    // It has the first third of the slots.
    let slot = |prefix: &String| {
        let slot = tell(first, &format!("CLUSTER KEYSLOT {prefix}"));
        slot.trim_start_matches(':').parse::<u32>().unwrap()
    };
    let prefix = std::iter::repeat_with(prefix).find(|prefix| slot(prefix) < 5_000);
    Some((cluster, prefix.unwrap()))
}

/// Callers that put units into a cart until they are stopped, and how many units they were told are there.
struct Adders {
    told: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Vec<()>>,
}

impl Adders {
    fn begin(store: &Arc<RedisStore>, cart: CartId) -> Self {
        let (told, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counts, stopped, adders) = (Arc::clone(&told), Arc::clone(&stop), Arc::clone(store));
        let task = tokio::spawn(crowd(8, move |_| {
            let (store, told, stop) = (Arc::clone(&adders), Arc::clone(&counts), Arc::clone(&stopped));
            async move {
                while !stop.load(Ordering::Relaxed) {
                    add(&store, cart).await.unwrap();
                    told.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
        Self { told, stop, task }
    }

    async fn go_on(&self) {
        let before = self.told.load(Ordering::Relaxed);
        until("more was added", async || {
            self.told.load(Ordering::Relaxed) > before + 100
        })
        .await;
    }

    async fn end(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.told.load(Ordering::Relaxed)
    }
}

/// A cart that units are put into.
async fn busy_cart(cluster: &RedisCluster, prefix: &str) -> (Arc<RedisStore>, CartId, Adders) {
    let store = connect(&cluster.url(), prefix).await;
    let cart = fixtures::guest_cart(1).unwrap();
    create(&store, &cart).await;
    let adders = Adders::begin(&store, cart.id);
    adders.go_on().await;
    (store, cart.id, adders)
}

/// A cluster that has just got another master may not be able to tell who serves what: that is `Unavailable`, and passes.
async fn connect_soon(url: &str, prefix: &str) -> Arc<RedisStore> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let options = RedisStoreOptions::new(url).prefix(prefix);
        match RedisStore::connect(options).await {
            Ok(store) => return Arc::new(store),
            Err(error) if error.is(ErrorKind::Unavailable) && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shard_that_gives_its_slots_away_loses_nothing_and_doubles_nothing() {
    let Some((cluster, prefix)) = start().await else {
        return;
    };
    let (store, cart, adders) = busy_cart(&cluster, &prefix).await;
    cluster.hand_over().await.unwrap();
    adders.go_on().await;
    let told = adders.end().await;
    assert_eq!(units(&store, cart).await, told);
    // A process that comes now finds the carts where they are, and two of them still go up in one another.
    let other = connect_soon(&cluster.url(), &prefix).await;
    let users = fixtures::guest_cart(2).unwrap();
    create(&other, &users).await;
    merge(&other, cart, users.id).await;
    assert_eq!(units(&store, users.id).await, told);
    store.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shard_that_dies_is_followed_by_its_replica() {
    let Some((cluster, prefix)) = start().await else {
        return;
    };
    let (store, cart, adders) = busy_cart(&cluster, &prefix).await;
    let before = adders.end().await;
    // Nothing is under way: what was answered has reached the replica when the master is killed.
    cluster.kill_master().await.unwrap();
    let adders = Adders::begin(&store, cart);
    adders.go_on().await;
    let after = adders.end().await;
    assert_eq!(units(&store, cart).await, before + after);
    store.ping(deadline()).await.unwrap();
    store.close().await;
}
