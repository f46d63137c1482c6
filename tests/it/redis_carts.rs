//! Carts on Redis beyond what every store must do: processes that meet, scripts that are forgotten, carts that leave the memory.

mod cluster;
mod faults;
mod feed;
mod open;
mod void;

use std::io::BufRead as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use stockroom::Aggregate;
use stockroom::Cart;
use stockroom::CartId;
use stockroom::CartStatus;
use stockroom::ErrorKind;
use stockroom::RedisStore;
use stockroom::RedisStoreOptions;
use stockroom::Version;
use stockroom::model::Actor;
use stockroom::model::Expiry;
use stockroom::resilience::Deadline;
use stockroom::spi::store::CartLineStep;
use stockroom::spi::store::Delta;
use stockroom::spi::store::Put;
use stockroom::spi::store::Store as _;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Redis;
use stockroom::testkit::fixtures;
use uuid::Uuid;

use crate::support::crowd;
use crate::support::until;

/// A life of carts.
const HOUR: Duration = Duration::from_secs(3_600);

/// The server that the tests of this process share.
async fn shared() -> Option<&'static Redis> {
    engines::require(Redis::shared().await).unwrap()
}

/// A server of the test's own.
async fn own(arguments: &[&str]) -> Option<Redis> {
    engines::require(Redis::start_with(arguments).await).unwrap()
}

fn prefix() -> String {
    format!("it-{}", Uuid::now_v7().simple())
}

async fn connect(url: &str, prefix: &str) -> Arc<RedisStore> {
    let options = RedisStoreOptions::new(url).prefix(prefix);
    Arc::new(RedisStore::connect(options).await.unwrap())
}

fn deadline() -> Deadline {
    Deadline::within(Duration::from_secs(30))
}

/// The server's answer to one command, on a connection of its own: its first line.
fn tell(server: SocketAddr, command: &str) -> String {
    let mut connection = std::net::TcpStream::connect(server).unwrap();
    connection.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut line = String::new();
    std::io::BufReader::new(connection).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn set() -> WriteSet {
    WriteSet::new(Actor::system())
}

/// Puts a cart that is not there.
async fn create(store: &RedisStore, cart: &Cart) {
    let mut one = set();
    one.put(Put::create(cart.clone()));
    store.commit(one, deadline()).await.unwrap();
}

fn add(cart: CartId, units: i64) -> Delta {
    let [sku, _] = fixtures::skus(1).unwrap();
    Delta::CartLine(CartLineStep {
        cart,
        line: fixtures::line(&sku, &[], units).unwrap(),
        ttl: HOUR * 2,
    })
}

/// A set that puts one unit into a cart.
fn adding(cart: CartId) -> WriteSet {
    let mut one = set();
    one.delta(add(cart, 1));
    one
}

async fn read(store: &RedisStore, cart: CartId) -> Option<Arc<Cart>> {
    let carts = store.readers().cart().unwrap();
    carts.get_many(&[cart], deadline()).await.unwrap().pop().flatten()
}

async fn units(store: &RedisStore, cart: CartId) -> i64 {
    let found = read(store, cart).await.unwrap();
    found.lines.iter().map(|line| line.quantity.get()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_lose_no_increment() {
    let Some(server) = shared().await else { return };
    let prefix = prefix();
    let stores = [
        connect(&server.url(), &prefix).await,
        connect(&server.url(), &prefix).await,
    ];
    let cart = fixtures::guest_cart(1).unwrap();
    create(&stores[0], &cart).await;
    let adders = stores.clone();
    crowd(16, move |number| {
        let store = Arc::clone(&adders[number % 2]);
        async move {
            for _ in 0..50 {
                store.commit(adding(cart.id), deadline()).await.unwrap();
            }
        }
    })
    .await;
    for store in &stores {
        let found = read(store, cart.id).await.unwrap();
        let units: i64 = found.lines.iter().map(|line| line.quantity.get()).sum();
        assert_eq!((units, found.version), (800, Version::from(801)));
    }
}

/// The guest's cart as it goes up in the user's: closed at the version that was read, its units added there, in one set.
async fn merge(store: &RedisStore, guest: CartId, users: CartId) {
    loop {
        let old = read(store, guest).await.unwrap();
        let mut both = set();
        both.put(Put::root(&*old, old.abandoned().unwrap()).live());
        for line in &old.lines {
            both.delta(Delta::CartLine(CartLineStep {
                cart: users,
                line: line.clone(),
                ttl: HOUR,
            }));
        }
        match store.commit(both, deadline()).await {
            Ok(committed) => return assert!(!committed.versions.is_empty()),
            Err(error) => assert!(error.is(ErrorKind::Conflict), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_merge_of_two_carts_loses_no_unit() {
    let Some(server) = shared().await else { return };
    let store = connect(&server.url(), &prefix()).await;
    for round in 0..10 {
        let guest = fixtures::guest_cart(2 * round).unwrap();
        let mut users = fixtures::cart(2 * round + 1).unwrap();
        users.lines.clear();
        create(&store, &guest).await;
        create(&store, &users).await;
        let adders = Arc::clone(&store);
        let added = crowd(6, move |number| {
            let store = Arc::clone(&adders);
            async move {
                if number == 5 {
                    merge(&store, guest.id, users.id).await;
                    return 0;
                }
                let mut added = 0;
                for _ in 0..10 {
                    let cart = if number % 2 == 0 { guest.id } else { users.id };
                    match store.commit(adding(cart), deadline()).await {
                        Ok(_) => added += 1,
                        // The guest's cart is closed by now.
                        Err(error) => assert!(error.is(ErrorKind::Conflict), "{error}"),
                    }
                }
                added
            }
        });
        let added: i64 = added.await.into_iter().sum();
        assert_eq!(units(&store, users.id).await, added, "round {round}");
        let closed = read(&store, guest.id).await.unwrap();
        assert_eq!(closed.status, CartStatus::Abandoned);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_forgets_its_scripts_learns_them_again() {
    let Some(server) = own(&[]).await else { return };
    let store = connect(&server.url(), "shop").await;
    let cart = fixtures::guest_cart(1).unwrap();
    create(&store, &cart).await;
    for added in 1..=5 {
        assert_eq!(tell(server.address(), "SCRIPT FLUSH"), "+OK");
        store.commit(adding(cart.id), deadline()).await.unwrap();
        assert_eq!(tell(server.address(), "SCRIPT FLUSH"), "+OK");
        assert_eq!(units(&store, cart.id).await, added);
    }
}

/// Seconds until the server removes a key.
fn removed_in(server: &Redis, key: &str) -> i64 {
    let answer = tell(server.address(), &format!("PTTL {key}"));
    answer.trim_start_matches(':').parse::<i64>().unwrap() / 1_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cart_and_its_users_key_leave_the_memory_a_day_after_its_end() {
    let Some(server) = shared().await else { return };
    let prefix = prefix();
    let store = connect(&server.url(), &prefix).await;
    let mut cart = fixtures::cart(1).unwrap();
    cart.expires_at = Expiry::In(HOUR);
    create(&store, &cart).await;
    let user = cart.owner.user().unwrap();
    let keys = [
        format!("{{{prefix}}}:cart:{}", cart.id),
        format!("{{{prefix}}}:claim:10:cart.owner:{user}"),
    ];
    let day = 86_400;
    for key in &keys {
        let left = removed_in(server, key);
        assert!((day + 3_000..=day + 3_601).contains(&left), "{key}: {left} s");
    }
    store.commit(adding(cart.id), deadline()).await.unwrap();
    for key in &keys {
        let left = removed_in(server, key);
        assert!((day + 6_600..=day + 7_201).contains(&left), "{key}: {left} s");
    }
    // Past its end it is absent, and told as what it is, although the server has it still.
    store.shift_clock(HOUR * 3);
    assert_eq!(read(&store, cart.id).await, None);
    let late = store.commit(adding(cart.id), deadline()).await.unwrap_err();
    assert!(late.is(ErrorKind::Conflict), "{late}");
}

// One thread: whatever the call begins cannot be done before the caller has left.
#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_what_it_began() {
    let Some(server) = shared().await else { return };
    let prefix = prefix();
    let store = connect(&server.url(), &prefix).await;
    let cart = fixtures::guest_cart(1).unwrap();
    create(&store, &cart).await;
    for _ in 0..20 {
        let mut commit = Box::pin(store.commit(adding(cart.id), deadline()));
        let begun = std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
        assert!(begun.is_pending(), "a commit needs the server");
    }
    until("all of them are through", async || {
        units(&store, cart.id).await == 20
    })
    .await;
    store.close().await;
    let refused = store.commit(adding(cart.id), deadline()).await.unwrap_err();
    assert!(refused.is(ErrorKind::Unavailable), "{refused}");
    let another = connect(&server.url(), &prefix).await;
    assert_eq!(units(&another, cart.id).await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_no_cart_is_refused_before_it_is_sent() {
    let Some(server) = shared().await else { return };
    let store = connect(&server.url(), &prefix()).await;
    let mut mixed = set();
    mixed.put(Put::create(fixtures::guest_cart(1).unwrap()));
    mixed.put(Put::create(fixtures::product(1).unwrap()));
    let refused = store.commit(mixed, deadline()).await.unwrap_err();
    assert!(refused.is(ErrorKind::Unsupported), "{refused}");
    assert_eq!(store.commits().rounds, 0);
    assert_eq!(store.capability().aggregates, [Aggregate::Cart]);
}
