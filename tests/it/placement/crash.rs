//! The process is killed while it orders carts that lie in another store: between the commit of an order and the closing of its
//! cart, and at any other moment. Whoever comes next closes what was left open, and no unit is lost or ordered twice.
//!
//! The process that is killed is this test binary again, running the one test `placement::crash::child::child`.

mod child;

use std::collections::BTreeMap;
use std::process::Stdio;

use stockroom::CartId;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::process::Command;

use super::Site;
use super::closes;
use super::found;
use super::orders_by_cart;
use crate::support::Dice;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::on;

on!([file postgres redis] a_process_killed_between_two_stores_loses_nothing);

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After so many units were acknowledged, whatever it does then.
    Added(u64),
    /// When so many orders are committed whose carts are about to be closed, and more was added to each.
    Between(u64),
}

/// Units that were acknowledged, by the cart that they were put into first.
type Said = BTreeMap<CartId, i64>;

async fn a_process_killed_between_two_stores_loses_nothing(ground: Ground) {
    let mut dice = Dice::new("kills between two stores");
    let site = Site::new(ground);
    let (shop, _) = site.stocked().await;
    shop.close().await;
    let mut left_open = 0;
    for round in 0..6_u64 {
        let moment = match round % 2 {
            0 => Moment::Between(1 + dice.below(3)),
            _ => Moment::Added(1 + dice.below(150)),
        };
        let said = run_and_kill(&site, round, moment).await;
        let (shop, gate) = site.open().await;
        for order in shop.every_order().await {
            closes(&shop, order.cart.unwrap()).await;
        }
        assert_found(&shop, &said).await;
        shop.assert_sound().await;
        left_open += gate.passed().await;
        shop.close().await;
    }
    println!("{left_open} carts were closed by those who came after");
    assert!(left_open > 0, "nothing was left open");
}

/// Every unit that was acknowledged is found once. One more may have been put in by a call that nobody answered.
async fn assert_found(shop: &Shop, said: &Said) {
    let ordered = orders_by_cart(shop).await;
    for (cart, said) in said {
        let units = found(shop, &ordered, *cart).await.into_values().sum::<i64>();
        assert!(
            (*said..=said + 1).contains(&units),
            "{units} of {said} in cart {cart}"
        );
    }
}

/// Runs the load in a process of its own until the moment has come.
async fn run_and_kill(site: &Site, round: u64, moment: Moment) -> Said {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "placement::crash::child::child",
        "--nocapture",
        "--ignored",
    ]);
    command
        .env(child::URL, site.main.url())
        .env(child::CARTS, site.carts.url())
        .env(child::ROUND, round.to_string());
    if let Some(schema) = site.main.schema() {
        command.env(child::SCHEMA, schema);
    }
    if let Moment::Between(number) = moment {
        command.env(child::STUCK_AT, number.to_string());
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let (mut said, mut stuck) = (Said::new(), 0);
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    // What it said before it died counts; a line without its end was not said.
    while lines.read_line(&mut line).await.unwrap() > 0 {
        match line.strip_suffix('\n').and_then(|line| line.split_once(' ')) {
            Some(("added", cart)) => *said.entry(cart.parse().unwrap()).or_default() += 1,
            Some(("stuck", _)) => stuck += 1,
            _ => {}
        }
        line.clear();
        let is_time = match moment {
            Moment::Added(number) => said.values().sum::<i64>() >= i64::try_from(number).unwrap(),
            Moment::Between(number) => stuck >= number,
        };
        if is_time {
            process.start_kill().unwrap();
        }
    }
    process.wait().await.unwrap();
    assert!(!said.is_empty(), "the load was none");
    said
}
