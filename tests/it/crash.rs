//! The process is killed under checkout load: what was acknowledged is there, the ledger adds up, each payment is
//! finished by its key, and no customer is charged twice.
//!
//! The process that is killed is this test binary again, running the one test `crash::child`.

mod child;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::FulfilmentStatus;
use stockroom::OrderId;
use stockroom::OrderStatus;
use stockroom::Paid;
use stockroom::testkit::engines;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::process::Command;

use crate::support::Dice;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::key;
use crate::support::on;
use crate::support::reference;

on!([file postgres] a_process_killed_under_load_loses_nothing_and_charges_nobody_twice);

/// Past the lease that the child's payments have; their holds are alive still.
const PAST_LEASE: Duration = Duration::from_secs(61);
/// Past every hold.
const PAST_HOLDS: Duration = Duration::from_secs(24 * 60 * 60);

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After so many orders were acknowledged, whatever it does then.
    Acknowledged(u64),
    /// When the charge of this number is on the provider's books and the shop does not know it yet.
    Charged(u64),
}

/// What the process said before it was killed.
#[derive(Debug, Default)]
struct Said {
    placed: Vec<OrderId>,
    paid: Vec<OrderId>,
    /// The keys of payments that it was about to begin.
    keys: Vec<String>,
}

async fn a_process_killed_under_load_loses_nothing_and_charges_nobody_twice(ground: Ground) {
    let soak = engines::setting("STOCKROOM_SOAK").as_deref() == Some("1");
    let mut dice = Dice::new("kills");
    let books = Books::new(&ground);
    let shop = ground.open().await;
    for sku in child::SKUS {
        shop.stock(sku, 1_000_000).await;
    }
    shop.close().await;
    let (mut acknowledged, mut resumed, mut absent) = (0, 0, 0);
    for round in 0..if soak { 50 } else { 8 } {
        let moment = match round % 2 {
            0 => Moment::Acknowledged(1 + dice.below(40)),
            _ => Moment::Charged(1 + dice.below(12)),
        };
        let said = run_and_kill(&ground, &books, round, moment).await;
        acknowledged += said.placed.len() + said.paid.len();
        let shop = ground.open().await;
        assert_acknowledged(&shop, &said).await;
        shop.shift_clock(if round % 4 < 2 { PAST_LEASE } else { PAST_HOLDS });
        for name in &said.keys {
            match resume(&shop, &books, name).await {
                Some(false) => resumed += 1,
                Some(true) => {}
                None => absent += 1,
            }
        }
        assert_all_is_well(&shop, &books).await;
        shop.close().await;
    }
    println!(
        "{acknowledged} orders acknowledged; {resumed} payments finished afterwards, {absent} never begun"
    );
    assert!(acknowledged > 0 && resumed > 0, "the load was none");
}

/// Runs the load in a process of its own until the moment has come.
async fn run_and_kill(ground: &Ground, books: &Books, round: u64, moment: Moment) -> Said {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child::child", "--nocapture", "--ignored"]);
    command
        .env(child::URL, ground.url())
        .env(child::BOOKS, &books.0)
        .env(child::ROUND, round.to_string());
    if let Some(schema) = ground.schema() {
        command.env(child::SCHEMA, schema);
    }
    if let Moment::Charged(number) = moment {
        command.env(child::STUCK_AT, number.to_string());
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut said = Said::default();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    // What it said before it died counts; a line without its end was not said.
    while lines.read_line(&mut line).await.unwrap() > 0 {
        if let Some(whole) = line.strip_suffix('\n') {
            let stuck = said.hear(whole);
            let orders = u64::try_from(said.placed.len() + said.paid.len()).unwrap();
            if stuck || matches!(moment, Moment::Acknowledged(enough) if orders >= enough) {
                // SIGKILL; it may be dead already when this is called again.
                let _ = process.start_kill();
            }
        }
        line.clear();
    }
    let status = process.wait().await.unwrap();
    assert_eq!(status.code(), None, "it ended by itself: {status}");
    said
}

impl Said {
    /// Whether the process waits to be killed.
    fn hear(&mut self, line: &str) -> bool {
        match line.split_once(' ') {
            Some((child::PLACED, id)) => self.placed.push(id.parse().unwrap()),
            Some((child::PAID, id)) => self.paid.push(id.parse().unwrap()),
            Some((child::PAYING, name)) => self.keys.push(name.to_owned()),
            Some((child::STUCK, _)) => return true,
            // The test runner's own words.
            _ => {}
        }
        false
    }
}

async fn assert_acknowledged(shop: &Shop, said: &Said) {
    for (ids, is_paid) in [(&said.placed, false), (&said.paid, true)] {
        for (id, order) in ids.iter().zip(shop.orders().get_many(ids).await.unwrap()) {
            let order = order.unwrap_or_else(|| panic!("order {id} was acknowledged and is not there"));
            assert_eq!(
                (order.status, order.fulfilment),
                (OrderStatus::Placed, FulfilmentStatus::Unfulfilled)
            );
            assert_eq!(order.paid.captured, if is_paid { order.total.minor() } else { 0 });
        }
    }
}

/// Finishes the payment of a key: whether it was finished before, `None` if it was never begun.
async fn resume(shop: &Shop, books: &Books, name: &str) -> Option<bool> {
    let charge = |due: Due| async move {
        books.charge(name, &due);
        Ok::<_, Error>(Charge::captured(reference(due.provider_key)))
    };
    let paid = match shop.checkout().resume(&key(name), charge).await {
        Ok(paid) => paid,
        Err(error) if error.is(ErrorKind::NotFound) => {
            assert!(
                !books.read().contains_key(name),
                "{name} was charged and is not there"
            );
            return None;
        }
        Err(error) => panic!("{name}: {error:?}"),
    };
    assert!(matches!(&paid, Paid::Order { .. }), "{name}: {paid:?}");
    let order = shop.orders().require(paid.order().id).await.unwrap();
    assert_eq!(
        (order.status, order.paid.captured),
        (OrderStatus::Placed, order.total.minor())
    );
    Some(paid.replayed())
}

async fn assert_all_is_well(shop: &Shop, books: &Books) {
    shop.assert_sound().await;
    let orders = shop.every_order().await;
    assert!(
        orders.iter().all(|order| order.status == OrderStatus::Placed),
        "a payment is not finished"
    );
    for (name, keys) in books.read() {
        assert_eq!(
            keys.len(),
            1,
            "{name} was charged under more than one provider key"
        );
    }
    let paid = orders.iter().filter(|order| order.paid.captured > 0).count();
    assert_eq!(books.read().len(), paid, "charges and paid orders differ");
    shop.shift_clock(PAST_HOLDS);
    for sku in child::SKUS {
        let level = shop.level(sku).await;
        let units = i64::try_from(orders.len()).unwrap();
        assert_eq!((level.allocated, level.held), (units, 0), "{sku}");
    }
}

/// The provider's books: a file that outlives the process, one line a charge.
#[derive(Debug)]
struct Books(PathBuf, Option<PathBuf>);

impl Books {
    fn new(ground: &Ground) -> Self {
        let name = format!("stockroom-books-{}.txt", uuid::Uuid::now_v7());
        match ground.folder() {
            Some(folder) => Self(folder.join(name), None),
            None => {
                let path = std::env::temp_dir().join(name);
                Self(path.clone(), Some(path))
            }
        }
    }

    fn given(path: &Path) -> Self {
        Self(path.to_owned(), None)
    }

    /// A provider honours its idempotency key: charging it again is no second charge.
    fn charge(&self, name: &str, due: &Due) {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .unwrap();
        file.write_all(format!("{name} {}\n", due.provider_key).as_bytes())
            .unwrap();
    }

    /// The provider keys that each key was charged under.
    fn read(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut charges: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for line in std::fs::read_to_string(&self.0).unwrap_or_default().lines() {
            if let Some((name, provider_key)) = line.split_once(' ') {
                charges
                    .entry(name.to_owned())
                    .or_default()
                    .insert(provider_key.to_owned());
            }
        }
        charges
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        if let Some(path) = &self.1 {
            // What cannot be removed is left to the system's temporary folder.
            let _ = std::fs::remove_file(path);
        }
    }
}
