//! Three shops, one of them in a process of its own, sell the same few SKUs with the same keys.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use stockroom::CartId;
use stockroom::ErrorKind;
use stockroom::HoldLine;
use stockroom::OrderId;
use stockroom::Place;
use stockroom::testkit::engines::setting;
use tokio::process::Command;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::key;
use crate::support::on;
use crate::support::share;
use crate::support::sku;
use crate::support::units;

on!([file postgres] three_shops_with_the_same_keys_make_one_order_of_each);

const SKUS: [&str; 2] = ["MUG", "CUP"];
/// Fewer than the carts want.
const UNITS: i64 = 50;
/// A key for each cart, one unit in each.
const CARTS: usize = 120;
/// Callers of each shop.
const CALLERS: usize = 8;
/// How often each shop uses each key.
const TIMES: usize = 2;

// What the other process is told, by environment variables.
const URL: &str = "STOCKROOM_TWINS_URL";
const SCHEMA: &str = "STOCKROOM_TWINS_SCHEMA";
const GOODS: &str = "STOCKROOM_TWINS_CARTS";
/// What it says before each of its orders.
const SOLD: &str = "SOLD";

/// An order that a caller was told of: the number of its cart, and whether it was there before.
type Sold = (usize, OrderId, bool);

/// Places every cart a few times over, and keeps units for a moment in between.
async fn sell(shop: &Shop, carts: &[CartId], stride: usize) -> Vec<Sold> {
    let (shop, carts) = (shop.clone(), carts.to_vec());
    let sold = share(CALLERS, CARTS * TIMES, move |number| {
        let (shop, which) = (shop.clone(), number * stride % CARTS);
        let cart = carts[which];
        async move {
            let line = HoldLine {
                sku: sku(SKUS[number % 2]),
                location: berlin(),
                quantity: units(1),
            };
            match shop.inventory().hold(&[line], Duration::from_secs(600)).await {
                Ok(hold) => shop.inventory().release_hold(hold.id).await.unwrap(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}"),
            }
            place(&shop, cart, which).await
        }
    });
    sold.await.into_iter().flatten().collect()
}

async fn place(shop: &Shop, cart: CartId, which: usize) -> Option<Sold> {
    let place = Place::cart(cart).key(key(format!("order-{which}")));
    match shop.checkout().place(place).await {
        Ok(placed) => Some((which, placed.order.id, placed.replayed)),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}");
            None
        }
    }
}

/// What a shop in another process sold.
async fn sell_elsewhere(ground: Ground, carts: Vec<CartId>) -> Vec<Sold> {
    let names: Vec<_> = carts.iter().map(ToString::to_string).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "batch::twins::child", "--nocapture", "--ignored"])
        .env(URL, ground.url())
        .env(GOODS, names.join(" "))
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    if let Some(schema) = ground.schema() {
        command.env(SCHEMA, schema);
    }
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let sold = |line: &str| {
        let mut words = line.split_whitespace();
        words.find(|word| *word == SOLD)?;
        let mut word = || words.next().unwrap();
        Some((
            word().parse().unwrap(),
            word().parse().unwrap(),
            word().parse().unwrap(),
        ))
    };
    said.lines().filter_map(sold).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not a test: the process that sells beside the test of three shops"]
async fn child() {
    let (Some(url), Some(carts)) = (setting(URL), setting(GOODS)) else {
        return;
    };
    let shop = Ground::given(url, setting(SCHEMA)).open().await;
    let carts: Vec<CartId> = carts.split(' ').map(|id| id.parse().unwrap()).collect();
    for (which, id, replayed) in sell(&shop, &carts, 11).await {
        writeln!(std::io::stdout(), "{SOLD} {which} {id} {replayed}").unwrap();
    }
    shop.close().await;
}

async fn three_shops_with_the_same_keys_make_one_order_of_each(ground: Ground) {
    let shops = ground.open_two().await;
    for sku in SKUS {
        shops[0].stock(sku, UNITS).await;
    }
    let mut carts = Vec::new();
    for number in 0..CARTS {
        carts.push(shops[0].cart(&[(SKUS[number % 2], 1)]).await);
    }
    let (sellers, goods, place_of_sale) = (shops.clone(), carts.clone(), ground.clone());
    let sold = crowd(3, move |number| {
        let (sellers, goods, ground) = (sellers.clone(), goods.clone(), place_of_sale.clone());
        async move {
            match number {
                0 | 1 => sell(&sellers[number], &goods, 1 + 6 * number).await,
                _ => sell_elsewhere(ground, goods).await,
            }
        }
    });
    let sold = sold.await;
    assert!(sold.iter().all(|sold| !sold.is_empty()), "a shop sold nothing");
    let mut sold: Vec<Sold> = sold.into_iter().flatten().collect();
    // Units that were kept for a moment may have left some over.
    for (which, cart) in carts.iter().enumerate() {
        sold.extend(place(&shops[0], *cart, which).await);
    }
    let mut orders: BTreeMap<usize, (OrderId, usize)> = BTreeMap::new();
    for (which, id, replayed) in &sold {
        let known = orders.entry(*which).or_insert((*id, 0));
        assert_eq!(known.0, *id, "two orders came of one key");
        known.1 += usize::from(!replayed);
    }
    assert!(
        orders.values().all(|(_, made)| *made == 1),
        "an order was made twice: {orders:?}"
    );
    println!(
        "{} orders of {CARTS} keys, told of {} times",
        orders.len(),
        sold.len()
    );
    for sku in SKUS {
        let level = shops[1].level(sku).await;
        assert_eq!((level.allocated, level.held, level.available()), (UNITS, 0, 0));
    }
    assert_eq!(orders.len(), shops[0].every_order().await.len());
    shops[0].assert_sound().await;
}
