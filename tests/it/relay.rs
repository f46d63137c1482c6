//! Relays in processes that are killed: two at a time feed one sink, one of them is killed again and again, and every change
//! is delivered at least once, those of one aggregate in order.
//!
//! The processes that are killed are this test binary again, running the one test `relay::child`.

mod child;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use stockroom::testkit::engines;
use tokio::process::Child;
use tokio::process::Command;

use crate::support::Dice;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::on;
use crate::support::until;

on!([file postgres] killed_relays_deliver_every_change_in_order);

/// Callers that write meanwhile.
const WRITERS: usize = 8;

async fn killed_relays_deliver_every_change_in_order(ground: Ground) {
    let soak = engines::setting("STOCKROOM_SOAK").as_deref() == Some("1");
    let kills = if soak { 50 } else { 10 };
    let mut dice = Dice::new("relays killed");
    let log = Log::new(&ground);
    let shop = ground.open().await;
    let trading = Arc::new(AtomicBool::new(true));
    let trade = tokio::spawn(trade(shop.clone(), Arc::clone(&trading)));

    let mut relays = [start(&ground, &log), start(&ground, &log)];
    for _ in 0..kills {
        let enough = log.read().len() + 1 + usize::try_from(dice.below(60)).unwrap();
        until("the relays deliver more", async || log.read().len() >= enough).await;
        let victim = &mut relays[usize::try_from(dice.below(2)).unwrap()];
        victim.kill().await.unwrap();
        *victim = start(&ground, &log);
    }
    trading.store(false, Ordering::Relaxed);
    trade.await.unwrap();

    let all = everything(&ground).await;
    until("the relays have delivered everything", async || {
        let delivered = highest(&log.read());
        all.iter()
            .all(|(row, version)| delivered.get(row) == Some(version))
    })
    .await;
    for relay in &mut relays {
        relay.kill().await.unwrap();
    }
    let lines = log.read();
    assert_ordered(&lines);
    println!(
        "{kills} relays killed, {} aggregates, {} deliveries of {} changes",
        all.len(),
        lines.len(),
        all.values().sum::<u64>()
    );
    shop.close().await;
}

/// Carts and levels that change all the time, until it is over.
async fn trade(shop: Shop, trading: Arc<AtomicBool>) {
    shop.stock("MUG", 1_000_000).await;
    crowd(WRITERS, move |_| {
        let (shop, trading) = (shop.clone(), Arc::clone(&trading));
        async move {
            while trading.load(Ordering::Relaxed) {
                let cart = shop.cart(&[("MUG", 1)]).await;
                for _ in 0..3 {
                    shop.carts().add(cart, "MUG", 1).await.unwrap();
                }
                shop.inventory()
                    .receive("MUG", &crate::support::berlin(), 1)
                    .await
                    .unwrap();
                // The relays of other processes need some of the machine.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    })
    .await;
}

fn start(ground: &Ground, log: &Log) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "relay::child::child", "--nocapture", "--ignored"]);
    command.env(child::URL, ground.url()).env(child::LOG, &log.0);
    if let Some(schema) = ground.schema() {
        command.env(child::SCHEMA, schema);
    }
    command.stdout(Stdio::null()).stderr(Stdio::inherit());
    command.kill_on_drop(true).spawn().unwrap()
}

/// The last version of each aggregate, as the history has it.
async fn everything(ground: &Ground) -> BTreeMap<String, u64> {
    let one_a_row = "SELECT aggregate || ' ' || row_key || ' ' || version FROM stockroom_changes";
    let packed = "SELECT (e.entry::json->>0) || ' ' || (e.entry::json->>1) || ' ' || e.version \
                  FROM stockroom_changes, unnest(entries, versions) AS e(entry, version)";
    let sql = if ground.schema().is_some() {
        packed
    } else {
        one_a_row
    };
    highest(&ground.texts(sql).await)
}

/// The highest version of each aggregate among lines of aggregate, key and version.
fn highest(lines: &[String]) -> BTreeMap<String, u64> {
    let mut highest = BTreeMap::new();
    for line in lines {
        let (row, version) = parse(line);
        let last = highest.entry(row).or_insert(0);
        *last = version.max(*last);
    }
    highest
}

fn parse(line: &str) -> (String, u64) {
    let (row, version) = line.rsplit_once(' ').unwrap();
    (row.to_owned(), version.parse().unwrap())
}

/// No version comes before the one below it has come: what is new is one higher than all before, the rest was there already.
fn assert_ordered(lines: &[String]) {
    let mut highest = BTreeMap::new();
    for line in lines {
        let (row, version) = parse(line);
        let last = highest.entry(row).or_insert(0);
        assert!(version <= *last + 1, "{line} came after version {last}");
        *last = version.max(*last);
    }
}

/// What was delivered: a file that outlives the processes, one line a change.
#[derive(Debug)]
struct Log(PathBuf);

impl Log {
    fn new(ground: &Ground) -> Self {
        let name = format!("stockroom-relay-{}.txt", uuid::Uuid::now_v7());
        let folder = ground
            .folder()
            .map_or_else(std::env::temp_dir, std::path::Path::to_owned);
        Self(folder.join(name))
    }

    /// The lines so far; one without its end was not written.
    fn read(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's temporary folder.
        let _ = std::fs::remove_file(&self.0);
    }
}
