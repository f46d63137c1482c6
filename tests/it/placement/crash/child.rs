//! The process that is killed: fills carts and orders them at the same time, and says what was acknowledged.

use std::sync::Arc;

use stockroom::CartId;
use stockroom::ErrorKind;
use stockroom::testkit::engines::setting;

use super::super::Gate;
use super::super::Site;
use super::super::gate::Mood;
use super::super::place;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;

// What it is told, by environment variables.
pub(super) const URL: &str = "STOCKROOM_PLACEMENT_URL";
pub(super) const SCHEMA: &str = "STOCKROOM_PLACEMENT_SCHEMA";
pub(super) const CARTS: &str = "STOCKROOM_PLACEMENT_CARTS";
pub(super) const ROUND: &str = "STOCKROOM_PLACEMENT_ROUND";
pub(super) const STUCK_AT: &str = "STOCKROOM_PLACEMENT_STUCK_AT";

/// Customers at once.
const CUSTOMERS: usize = 4;
/// Carts of each, at most.
const CARTS_OF_EACH: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not a test: the process that the crash tests start and kill"]
async fn child() {
    let (Some(url), Some(carts), Some(round)) = (setting(URL), setting(CARTS), setting(ROUND)) else {
        return;
    };
    let site = Site {
        main: Ground::given(url, setting(SCHEMA)),
        carts: Ground::given(carts, None),
    };
    // In the first round it has the lease of the effect when it dies; else whoever comes next need not wait for that to end.
    let (shop, gate) = match round.as_str() {
        "0" => site.open().await,
        _ => site.open_as(stockroom::Builder::without_background).await,
    };
    let stuck_at = setting(STUCK_AT).map_or(u64::MAX, |at| at.parse().unwrap());
    if stuck_at < u64::MAX {
        gate.set(Mood::Holds);
    }
    crowd(CUSTOMERS, move |customer| {
        let (shop, gate, round) = (shop.clone(), Arc::clone(&gate), round.clone());
        async move {
            for number in 0..CARTS_OF_EACH {
                let name = format!("{round} {customer} {number}");
                buy(&shop, &gate, &name, stuck_at < u64::MAX).await;
            }
        }
    })
    .await;
    panic!("nobody killed it");
}

/// Fills a cart and orders it while more is added.
async fn buy(shop: &Shop, gate: &Gate, name: &str, gets_stuck: bool) {
    let cart = shop.carts().create(stockroom::Owner::Guest).await.unwrap().id;
    add(shop, cart).await;
    add(shop, cart).await;
    let came = gate.came();
    let more = async {
        if gets_stuck {
            while gate.came() == came {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        for _ in 0..3 {
            if !add(shop, cart).await {
                return;
            }
        }
        if gets_stuck {
            println!("stuck {cart}");
        }
    };
    let (placed, ()) = tokio::join!(place(shop, cart, name), more);
    placed.unwrap();
}

/// Adds a unit, and says so; whether the cart was still open.
async fn add(shop: &Shop, cart: CartId) -> bool {
    match shop.carts().add(cart, "MUG", 1).await {
        Ok(_) => {
            println!("added {cart}");
            true
        }
        Err(error) => {
            assert!(error.is(ErrorKind::Conflict), "{error}");
            false
        }
    }
}
