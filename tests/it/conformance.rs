//! The conformance suite on every engine, and the planted faults that prove the suite.

mod drift;
mod faults;
mod narrow;
mod setups;

use std::collections::BTreeSet;

use setups::InMemory;
use setups::OnDisk;
use setups::OnDynamoDb;
use setups::OnPostgres;
use setups::OnRedis;
use stockroom::model::Aggregate;
use stockroom::testkit::conformance;
use stockroom::testkit::conformance::Need;
use stockroom::testkit::conformance::Options;
use stockroom::testkit::conformance::Report;
use stockroom::testkit::conformance::Setup;
use stockroom::testkit::engines;

/// Where the bullets stand.
const SPI: [&str; 5] = [
    include_str!("../../src/spi/store/mod.rs"),
    include_str!("../../src/spi/store/readers.rs"),
    include_str!("../../src/spi/store/observer.rs"),
    include_str!("../../src/spi/changes/source.rs"),
    include_str!("../../src/spi/changes/coordination.rs"),
];

/// Every ``- `word.word`:`` of the SPI.
fn bullets() -> BTreeSet<&'static str> {
    let lines = SPI.iter().flat_map(|source| source.lines());
    let names = lines.filter_map(|line| line.trim().strip_prefix("/// - `")?.split_once("`:"));
    names
        .map(|(name, _)| name)
        .filter(|name| name.contains('.'))
        .collect()
}

#[test]
fn every_bullet_has_a_case_and_every_case_a_bullet() {
    conformance::manifest().iter().for_each(|case| println!("{case}"));
    let proven: BTreeSet<_> = conformance::manifest().iter().map(|case| case.bullet()).collect();
    assert_eq!(proven, bullets());
}

#[test]
fn every_bullet_has_a_case_of_its_name_or_one_for_each_aggregate() {
    let names: BTreeSet<_> = conformance::manifest().iter().map(|case| case.name()).collect();
    assert_eq!(
        names.len(),
        conformance::manifest().len(),
        "two cases have one name"
    );
    for bullet in bullets() {
        let each = ["product", "cart", "order", "payment"].map(|kind| format!("{bullet}/{kind}"));
        assert!(
            names.contains(bullet) || each.iter().all(|name| names.contains(name)),
            "{bullet}"
        );
    }
    assert!(names.len() >= 80, "{} cases", names.len());
}

/// Runs the whole suite, tells of each case, and demands that each passes.
async fn conforms(name: &str, setup: &dyn Setup) {
    let report = conformance::run(setup, &Options::new().progress(|outcome| println!("{outcome}"))).await;
    println!("\n{name}\n{report}\n");
    assert_eq!(failures(&report), Vec::<String>::new(), "{name}");
    let passed: Vec<_> = report.passed().map(|outcome| outcome.case.name()).collect();
    let listed: Vec<_> = conformance::manifest().iter().map(|case| case.name()).collect();
    assert_eq!(passed, listed, "{name}");
}

fn failures(report: &Report) -> Vec<String> {
    report
        .failed()
        .chain(report.excluded())
        .map(ToString::to_string)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_in_memory_conforms() {
    conforms("SQLite in memory", &InMemory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_on_disk_conforms() {
    conforms("SQLite on disk", &OnDisk::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_conforms() {
    if let Some(setup) = OnPostgres::start().await {
        conforms("PostgreSQL", &setup).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dynamodb_conforms() {
    if let Some(setup) = OnDynamoDb::start().await {
        conforms("DynamoDB", &setup).await;
    }
}

/// What a spread level could break; the whole suite where there is time for it.
const OF_STOCK: [&str; 8] = [
    "commit.atomic",
    "commit.delta_version",
    "commit.hold",
    "commit.ledger",
    "commit.read_check",
    "commit.stock",
    "commit.unhold",
    "inventory.",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dynamodb_conforms_where_levels_are_spread() {
    let Some(setup) = OnDynamoDb::start().await else {
        return;
    };
    let setup = setup.spread(8);
    if engines::setting("STOCKROOM_SOAK").as_deref() == Some("1") {
        return conforms("DynamoDB, spread levels", &setup).await;
    }
    let manifest = conformance::manifest();
    let of_stock: BTreeSet<_> = manifest
        .iter()
        .map(|case| case.bullet())
        .filter(|bullet| OF_STOCK.iter().any(|start| bullet.starts_with(start)))
        .collect();
    let options = Options::new().only(of_stock.iter().copied());
    let report = conformance::run(&setup, &options.progress(|outcome| println!("{outcome}"))).await;
    assert_eq!(failures(&report), Vec::<String>::new());
    let proven: BTreeSet<_> = report.passed().map(|outcome| outcome.case.bullet()).collect();
    assert_eq!(proven, of_stock);
}

/// Why a store of carts leaves cases out: it holds no other aggregate, and what the others' store keeps for it.
const OF_CARTS_ALONE: [&str; 7] = [
    "holds no product",
    "holds no order",
    "holds no payment",
    "holds no level",
    "keeps no history",
    "keeps no positions",
    "lists no products",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_conforms_for_carts() {
    if let Some(setup) = OnRedis::start().await {
        conforms_for_carts("Redis", &setup).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_cluster_conforms_for_carts() {
    if let Some((_cluster, setup)) = OnRedis::start_cluster().await {
        conforms_for_carts("Redis cluster", &setup).await;
    }
}

async fn conforms_for_carts(name: &str, setup: &OnRedis) {
    let report = conformance::run(setup, &Options::new().progress(|outcome| println!("{outcome}"))).await;
    println!("\n{name}\n{report}\n");
    assert_eq!(
        report.failed().map(ToString::to_string).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    for outcome in report.excluded() {
        let text = outcome.to_string();
        assert!(
            OF_CARTS_ALONE.iter().any(|reason| text.contains(reason)),
            "{text}"
        );
        let needs = outcome.case.needs();
        let met = |need: &Need| matches!(need, Need::Holds(Aggregate::Cart) | Need::Puts | Need::Changes);
        assert!(
            !needs.iter().all(met),
            "{text} needs nothing but carts and their feed"
        );
    }
    assert!(report.passed().count() >= 60, "{}", report.passed().count());
}
