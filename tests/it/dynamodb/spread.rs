//! Levels that are spread over several items: sold to the last unit by two processes, and nobody is refused what is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use stockroom::CancelReason;
use stockroom::Currency;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::ErrorKind;
use stockroom::HoldId;
use stockroom::Level;
use stockroom::Migrate;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::OrderId;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::Place;
use stockroom::Stockroom;
use stockroom::model::Actor;
use stockroom::spi::store::Delta;
use stockroom::spi::store::StockStep;
use stockroom::spi::store::Store as _;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::engines;

use super::deadline;
use super::desk::Desk;
use super::fresh;
use super::server;
use crate::support::Dice;
use crate::support::berlin;
use crate::support::key;
use crate::support::share;
use crate::support::sku;
use crate::support::units;

const SHARES: usize = 8;
const UNITS: i64 = 1_000;

/// Callers of the two stores.
const CALLERS: usize = 128;

fn set(steps: impl IntoIterator<Item = StockStep>) -> WriteSet {
    let mut set = WriteSet::new(Actor::system());
    for step in steps {
        set.delta(Delta::Stock(step));
    }
    set
}

fn receive(quantity: i64) -> WriteSet {
    set([StockStep::receive(&sku("MUG"), &berlin(), units(quantity))])
}

fn allocate(quantity: i64) -> WriteSet {
    let order = OrderId::new();
    set([StockStep::allocate(
        &sku("MUG"),
        &berlin(),
        units(quantity),
        order,
    )])
}

async fn level(store: &DynamoStore) -> Level {
    let inventory = store.readers().inventory().unwrap();
    inventory
        .levels(&[sku("MUG")], deadline())
        .await
        .unwrap()
        .remove(0)
}

async fn assert_sound(store: &DynamoStore) {
    let inventory = store.readers().inventory().unwrap();
    let report = inventory.verify(deadline()).await.unwrap();
    assert!(report.is_consistent(), "{report:?}");
    assert_eq!(report.levels, 1);
}

async fn two(options: DynamoOptions) -> [Arc<DynamoStore>; 2] {
    let one = DynamoStore::connect(options.clone().migrate(Migrate::Apply))
        .await
        .unwrap();
    let other = DynamoStore::connect(options.migrate(Migrate::Check))
        .await
        .unwrap();
    [Arc::new(one), Arc::new(other)]
}

async fn spread(store: &DynamoStore, name: &str, shares: usize) -> stockroom::Result<()> {
    store
        .spread_level(&sku(name), &berlin(), shares, deadline())
        .await
}

/// What came of an attempt, and when it was under way.
struct Attempt {
    wanted: i64,
    sold: bool,
    begun: Instant,
    ended: Instant,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_what_there_is_is_sold_and_nobody_is_refused_early() {
    let Some(server) = server().await else { return };
    let soak = engines::setting("STOCKROOM_SOAK").as_deref() == Some("1");
    let attempts = if soak { 20_000 } else { 2_000 };
    let stores = two(fresh(server.url()).level_shares(SHARES)).await;
    stores[0].commit(receive(UNITS), deadline()).await.unwrap();
    let mut dice = Dice::new("spread levels");
    let wanted: Vec<i64> = (0..attempts).map(|_| 1 + dice.below(3).cast_signed()).collect();
    let buyers = stores.clone();
    let attempts = share(CALLERS, attempts, move |number| {
        let (store, wanted) = (buyers[number % 2].clone(), wanted[number]);
        async move {
            let begun = Instant::now();
            let sold = match store.commit(allocate(wanted), deadline()).await {
                Ok(_) => true,
                Err(error) if error.is(ErrorKind::InsufficientStock) => false,
                Err(error) => panic!("{error:?}"),
            };
            Attempt {
                wanted,
                sold,
                begun,
                ended: Instant::now(),
            }
        }
    });
    let attempts = attempts.await;
    let sold: i64 = attempts.iter().filter(|one| one.sold).map(|one| one.wanted).sum();
    assert_eq!(sold, UNITS);
    for refused in attempts.iter().filter(|one| !one.sold) {
        let before = attempts
            .iter()
            .filter(|one| one.sold && one.begun < refused.ended);
        let gone: i64 = before.map(|one| one.wanted).sum();
        assert!(UNITS - gone < refused.wanted, "refused while enough was left");
    }
    for store in &stores {
        let level = level(store).await;
        assert_eq!(
            (level.on_hand, level.allocated, level.available()),
            (UNITS, UNITS, 0)
        );
    }
    assert_sound(&stores[0]).await;
}

/// What a transaction wrote of the level.
fn written(sent: &Value) -> BTreeSet<String> {
    let items = sent["TransactItems"].as_array().unwrap().iter();
    let places = items.filter_map(|item| item["Put"]["Item"]["pk"]["S"].as_str());
    let of_level = places.filter(|place| place.ends_with("#MUG"));
    of_level.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_share_can_bear_writes_one_and_in_time_all_of_them() {
    let Some(server) = server().await else { return };
    let desk = Desk::before(server.url()).await;
    let options = fresh(desk.url()).level_shares(SHARES).migrate(Migrate::Apply);
    let store = DynamoStore::connect(options).await.unwrap();
    store.commit(receive(UNITS), deadline()).await.unwrap();
    let before = desk.asked("TransactWriteItems").len();
    // One after the other: none shares its transaction with another, and each share has as much as all of them take.
    for _ in 0..UNITS / SHARES as i64 {
        store.commit(allocate(1), deadline()).await.unwrap();
    }
    let sent: Vec<_> = desk.asked("TransactWriteItems")[before..]
        .iter()
        .map(written)
        .collect();
    assert!(sent.iter().all(|written| written.len() == 1), "{sent:?}");
    // Drawn so often, one that is left out would be a chance of less than one in a million.
    assert_eq!(sent.iter().flatten().collect::<BTreeSet<_>>().len(), SHARES);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_level_is_spread_while_it_is_sold_from() {
    let Some(server) = server().await else { return };
    let stores = two(fresh(server.url())).await;
    stores[0].commit(receive(120), deadline()).await.unwrap();
    let hold = HoldId::new();
    let held = StockStep::hold(&sku("MUG"), &berlin(), units(20), hold, Duration::from_secs(600));
    stores[0].commit(set([held]), deadline()).await.unwrap();
    let buyers = stores.clone();
    let selling = tokio::spawn(share(16, 100, move |number| {
        let store = buyers[number % 2].clone();
        async move { store.commit(allocate(1), deadline()).await.map(drop) }
    }));
    for shares in [2, 8] {
        spread(&stores[0], "MUG", shares).await.unwrap();
    }
    for outcome in selling.await.unwrap() {
        outcome.unwrap();
    }
    let after = level(&stores[1]).await;
    assert_eq!((after.on_hand, after.allocated, after.held), (120, 100, 20));
    let short = stores[1].commit(allocate(1), deadline()).await.unwrap_err();
    assert!(short.is(ErrorKind::InsufficientStock));
    // A hold of before the level was spread, and one over several shares, are given back where they are.
    let mut given_back = WriteSet::new(Actor::system());
    given_back.delta(Delta::Unhold {
        hold,
        levels: vec![(sku("MUG"), berlin())],
    });
    stores[1].commit(given_back, deadline()).await.unwrap();
    let wide = StockStep::hold(
        &sku("MUG"),
        &berlin(),
        units(20),
        HoldId::new(),
        Duration::from_secs(60),
    );
    stores[0].commit(set([wide]), deadline()).await.unwrap();
    stores[0].shift_clock(Duration::from_secs(120));
    assert_eq!(level(&stores[0]).await.available(), 20);
    stores[0].commit(allocate(20), deadline()).await.unwrap();
    assert_eq!(level(&stores[0]).await.available(), 0);
    assert_sound(&stores[0]).await;
    let fewer = spread(&stores[0], "MUG", 4).await;
    assert_eq!(fewer.unwrap_err().invalid_field(), Some("shares"));
    let nowhere = spread(&stores[0], "CUP", 4).await;
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_promised_than_there_is_binds_all_shares() {
    let Some(server) = server().await else { return };
    let [store, other] = two(fresh(server.url()).level_shares(4)).await;
    store.commit(receive(20), deadline()).await.unwrap();
    store.commit(allocate(16), deadline()).await.unwrap();
    // A count finds less than is promised: nothing is sold before as much has come as is missing.
    let lost = StockStep::adjust(&sku("MUG"), &berlin(), -10, None);
    store.commit(set([lost]), deadline()).await.unwrap();
    assert_eq!(level(&other).await.available(), -6);
    for (arrived, sells) in [(5, false), (1, false), (1, true)] {
        other.commit(receive(arrived), deadline()).await.unwrap();
        let sold = store.commit(allocate(1), deadline()).await;
        assert_eq!(sold.is_ok(), sells, "{sold:?}");
    }
    assert_eq!(level(&store).await.available(), 0);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_large_order_takes_spread_levels_to_the_last_unit() {
    const LINES: usize = 25;
    let Some(server) = server().await else { return };
    let options = fresh(server.url()).level_shares(SHARES);
    let store = DynamoStore::connect(options.migrate(Migrate::Apply))
        .await
        .unwrap();
    let shop = Stockroom::builder()
        .store(store)
        .deadline(Duration::from_secs(60))
        .open()
        .await
        .unwrap();
    let names: Vec<_> = (0..LINES)
        .map(|number| sku(&format!("SCREW-{number:02}")))
        .collect();
    let price = Money::new(10, Currency::USD);
    let screws = names.iter().fold(NewProduct::new("Screw"), |screws, name| {
        screws.variant(name.as_str(), price)
    });
    shop.products().create(screws).await.unwrap();
    // A unit for each share: whoever takes all of a level writes all of its items.
    let each = i64::try_from(SHARES).unwrap();
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    for name in &names {
        shop.inventory().receive(name, &berlin(), each).await.unwrap();
        shop.carts().add(cart.id, name, each).await.unwrap();
    }
    let place = Place::cart(cart.id).key(key("large"));
    let placed = shop.checkout().place_in_parts(place.clone()).await.unwrap();
    assert_eq!(placed.order.status, OrderStatus::Placed);
    let allocated = async || -> Vec<i64> {
        let levels = shop.inventory().levels_many(&names).await.unwrap();
        levels.iter().map(|level| level.allocated).collect()
    };
    assert_eq!(allocated().await, [each; LINES]);
    assert!(shop.checkout().place_in_parts(place).await.unwrap().replayed);
    let cancelled = shop
        .orders()
        .cancel(placed.order.id, CancelReason::Customer)
        .await
        .unwrap();
    assert_eq!(cancelled.status, OrderStatus::Cancelled);
    assert_eq!(allocated().await, [0; LINES]);
    assert!(shop.inventory().verify_ledger().await.unwrap().is_consistent());
}
