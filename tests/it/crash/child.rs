//! The process that is killed: four customers who place and pay without end.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockroom::CartId;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::Pay;
use stockroom::Place;
use stockroom::testkit::engines::setting;

use super::Books;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::key;
use crate::support::reference;

pub(super) const SKUS: [&str; 2] = ["MUG", "CUP"];

// What it is told, by environment variables.
pub(super) const URL: &str = "STOCKROOM_CRASH_URL";
pub(super) const SCHEMA: &str = "STOCKROOM_CRASH_SCHEMA";
pub(super) const BOOKS: &str = "STOCKROOM_CRASH_BOOKS";
pub(super) const ROUND: &str = "STOCKROOM_CRASH_ROUND";
/// The charge of this number is recorded and never answered.
pub(super) const STUCK_AT: &str = "STOCKROOM_CRASH_STUCK_AT";

// What it says, each on a line with a name.
pub(super) const PLACED: &str = "PLACED";
pub(super) const PAYING: &str = "PAYING";
pub(super) const PAID: &str = "PAID";
pub(super) const STUCK: &str = "STUCK";

/// Longer than it is left to live.
const LIFE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(60 * 60);

/// Past the test runner's capture, and out at once: what was said must not wait in a buffer.
fn say(what: &str, name: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {name}").unwrap();
    out.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not a test: the process that the crash tests start and kill"]
async fn child() {
    let (Some(url), Some(books), Some(round)) = (setting(URL), setting(BOOKS), setting(ROUND)) else {
        return;
    };
    let shop = Ground::given(url, setting(SCHEMA)).open().await;
    let stuck_at = setting(STUCK_AT).map_or(0, |number| number.parse().unwrap());
    let bank = Bank {
        books: Books::given(Path::new(&books)),
        stuck_at,
        charges: AtomicU64::new(0),
    };
    let bank = Arc::new(bank);
    let trade = crowd(4, move |customer| {
        let (shop, bank, round) = (shop.clone(), Arc::clone(&bank), round.clone());
        async move {
            for number in 0.. {
                let lines = if customer % 2 == 0 {
                    SKUS
                } else {
                    [SKUS[1], SKUS[0]]
                };
                let cart = shop.cart(&lines.map(|sku| (sku, 1))).await;
                let name = format!("{round}-{customer}-{number}");
                if number % 3 == 0 {
                    place(&shop, cart, name).await
                } else {
                    pay(&shop, &bank, cart, name).await
                }
            }
        }
    });
    tokio::time::timeout(LIFE, trade).await.expect("nobody killed it");
}

async fn place(shop: &Shop, cart: CartId, name: String) {
    let placed = shop
        .checkout()
        .place(Place::cart(cart).key(key(name)))
        .await
        .unwrap();
    say(PLACED, placed.order.id);
}

async fn pay(shop: &Shop, bank: &Bank, cart: CartId, name: String) {
    say(PAYING, &name);
    let pay = Pay::cart(cart).lease(LEASE).hold_for(HOLD).key(key(name.clone()));
    let paid = shop
        .checkout()
        .pay(pay, |due| bank.charge(&name, due))
        .await
        .unwrap();
    say(PAID, paid.order().id);
}

struct Bank {
    books: Books,
    stuck_at: u64,
    charges: AtomicU64,
}

impl Bank {
    async fn charge(&self, name: &str, due: Due) -> Result<Charge, Error> {
        self.books.charge(name, &due);
        if self.charges.fetch_add(1, Ordering::Relaxed) + 1 == self.stuck_at {
            say(STUCK, name);
            std::future::pending::<()>().await;
        }
        Ok(Charge::captured(reference(due.provider_key)))
    }
}
