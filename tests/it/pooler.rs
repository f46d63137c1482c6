//! Behind a pooler in transaction mode, whose two sessions are handed from shop to shop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::ErrorKind;
use stockroom::Place;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::Result;
use stockroom::testkit::conformance;
use stockroom::testkit::conformance::Harness;
use stockroom::testkit::conformance::Options;
use stockroom::testkit::conformance::Setup;
use stockroom::testkit::engines;
use stockroom::testkit::engines::PgBouncer;
use stockroom::testkit::engines::Postgres;
use stockroom::testkit::proxy::Proxy;
use uuid::Uuid;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::key;
use crate::support::until;

async fn pooler() -> Option<(&'static Postgres, PgBouncer)> {
    let server = engines::require(Postgres::shared().await).unwrap()?;
    let pooler = engines::require(PgBouncer::in_front_of(server).await).unwrap()?;
    Some((server, pooler))
}

fn schema() -> String {
    format!("pooled_{}", Uuid::now_v7().simple())
}

/// Stores behind a pooler.
struct Pooled(String);

#[async_trait]
impl Setup for Pooled {
    async fn fresh(&self) -> Result<Harness> {
        let options = PostgresOptions::new(&self.0).schema(schema()).proxy();
        let store = Arc::new(PostgresStore::connect(options).await?);
        let clock = Arc::clone(&store);
        Ok(Harness::new(store, move |by| clock.shift_clock(by)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_behind_a_pooler_conforms() {
    let Some((_, pooler)) = pooler().await else { return };
    let setup = Pooled(pooler.url().to_owned());
    let report = conformance::run(&setup, &Options::new()).await;
    println!("\nPostgreSQL behind PgBouncer\n{report}\n");
    let failures: Vec<_> = report
        .failed()
        .chain(report.excluded())
        .map(ToString::to_string)
        .collect();
    assert_eq!(failures, Vec::<String>::new());
}

/// Shops of one schema, each with its own connections to the pooler.
async fn shops(number: usize, options: &PostgresOptions) -> Vec<Shop> {
    let mut shops = Vec::new();
    for _ in 0..number {
        shops.push(Shop::on(PostgresStore::connect(options.clone()).await.unwrap()).await);
    }
    shops
}

/// Orders by keys that several shops get at once, and reads between them.
async fn trade_by_many(shops: &[Shop]) {
    shops[0].stock("MUG", 1_000).await;
    shops[0].stock("CUP", 10).await;
    let all = shops.to_vec();
    let placed = crowd(24, move |caller| {
        // Two callers share each key, mostly on two shops.
        let (shop, name) = (all[caller % all.len()].clone(), caller / 2);
        async move {
            let mut orders = Vec::new();
            for number in 0..5 {
                let cart = shop.cart(&[("MUG", 1)]).await;
                let quote = shop.checkout().quote(cart).await.unwrap();
                let place = Place::quote(quote).key(key(format!("order-{name}-{number}")));
                match shop.checkout().place(place).await {
                    Ok(placed) => orders.push(placed.order.id),
                    // The other caller's request is of another cart.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::KeyReused, "{error:?}"),
                }
                assert!(shop.inventory().level("MUG", &berlin()).await.unwrap().is_some());
            }
            orders
        }
    });
    let placed: Vec<_> = placed.await.into_iter().flatten().collect();
    let orders: BTreeSet<_> = shops[0]
        .every_order()
        .await
        .iter()
        .map(|order| order.id)
        .collect();
    assert_eq!(orders.len(), 60);
    assert_eq!(placed.into_iter().collect::<BTreeSet<_>>(), orders);
    assert_eq!(shops[0].level("MUG").await.allocated, 60);
    let all = shops.to_vec();
    let sold = crowd(24, move |caller| {
        let shop = all[caller % all.len()].clone();
        async move {
            let cart = shop.cart(&[("CUP", 1)]).await;
            match shop.checkout().quote(cart).await {
                Ok(quote) => shop
                    .checkout()
                    .place(Place::quote(quote).key(key(format!("cup-{caller}"))))
                    .await
                    .map(drop),
                Err(error) => Err(error),
            }
        }
    });
    let (sold, refused): (Vec<_>, Vec<_>) = sold.await.into_iter().partition(|outcome| outcome.is_ok());
    assert_eq!((sold.len(), refused.len()), (10, 14));
    for error in refused.into_iter().filter_map(std::result::Result::err) {
        assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}");
    }
    shops[0].assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_shops_share_two_sessions() {
    let Some((_, pooler)) = pooler().await else { return };
    let options = PostgresOptions::new(pooler.url()).schema(schema()).proxy();
    trade_by_many(&shops(4, &options).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn committers_may_have_an_address_of_their_own() {
    let Some((server, pooler)) = pooler().await else {
        return;
    };
    let direct = Proxy::start(server.address()).await.unwrap();
    let options = PostgresOptions::new(pooler.url())
        .schema(schema())
        .proxy()
        .direct(server.url_through(direct.address()));
    let shops = shops(3, &options).await;
    trade_by_many(&shops).await;
    direct.reset_counts();
    for _ in 0..10 {
        shops[0].inventory().receive("MUG", &berlin(), 1).await.unwrap();
    }
    assert_eq!(direct.counts().round_trips, 10, "{:?}", direct.recent());
    direct.reset_counts();
    shops[0].level("MUG").await;
    assert_eq!(direct.counts().round_trips, 0, "{:?}", direct.recent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_session_of_the_server_keeps_what_a_shop_left() {
    let Some((server, pooler)) = pooler().await else {
        return;
    };
    let options = PostgresOptions::new(pooler.url()).schema(schema()).proxy();
    trade_by_many(&shops(2, &options).await).await;
    // Through the pooler: these are the sessions that the shops had.
    let sessions = Ground::at(pooler.url());
    let left = sessions
        .texts("SELECT count(*)::text FROM pg_prepared_statements WHERE statement LIKE '/* stockroom %'")
        .await;
    assert_eq!(left, ["0"]);
    let hanging = "SELECT count(*)::text FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    until("no transaction is left open", async || {
        Ground::at(server.url()).texts(hanging).await == ["0"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_dropped_leave_the_sessions_to_others() {
    let Some((_, pooler)) = pooler().await else { return };
    let way = Proxy::start(pooler.address()).await.unwrap();
    let (_, rest) = pooler.url().split_once('@').unwrap();
    let (_, rest) = rest.split_once('/').unwrap();
    let through = format!("postgres://any@{}/{rest}", way.address());
    let options = PostgresOptions::new(through).schema(schema()).proxy();
    let shop = shops(1, &options).await.remove(0);
    shop.stock("MUG", 1).await;
    way.delay(
        stockroom::testkit::proxy::Direction::ToClient,
        Duration::from_millis(3),
    );
    // Each read is four trips of 3 ms and more: it is dropped before, between and after them.
    let place = berlin();
    for limit in (0..25).chain(0..25) {
        let read = shop.inventory().level("MUG", &place);
        drop(tokio::time::timeout(Duration::from_millis(limit), read).await);
        let write = shop.inventory().receive("MUG", &place, 1);
        drop(tokio::time::timeout(Duration::from_millis(limit), write).await);
    }
    way.heal().await;
    crowd(8, move |_| {
        let shop = shop.clone();
        async move {
            for _ in 0..5 {
                let before = shop.level("MUG").await.on_hand;
                shop.inventory().receive("MUG", &berlin(), 1).await.unwrap();
                assert!(shop.level("MUG").await.on_hand > before);
            }
            shop.assert_sound().await;
        }
    })
    .await;
}
