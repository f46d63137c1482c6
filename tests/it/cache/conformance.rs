//! The contract of shared caches on every engine, and the planted faults that prove its suite.

use std::collections::BTreeSet;

use stockroom::testkit::cache;
use stockroom::testkit::cache::CacheFault;
use stockroom::testkit::cache::CacheSetup;
use stockroom::testkit::cache::FaultyCacheSetup;
use tokio::task::JoinSet;

use super::setups::InProcess;
use super::setups::OnMemcached;
use super::setups::OnRedis;

/// Every ``- `word.word`:`` of the contract.
fn bullets() -> BTreeSet<&'static str> {
    let lines = include_str!("../../../src/spi/cache/mod.rs").lines();
    lines
        .filter_map(|line| line.trim().strip_prefix("/// - `")?.split_once("`:"))
        .map(|(name, _)| name)
        .filter(|name| name.contains('.'))
        .collect()
}

#[test]
fn every_bullet_has_a_case_and_every_case_a_bullet() {
    let proven: Vec<_> = cache::manifest().iter().map(|case| case.bullet()).collect();
    assert_eq!(proven.iter().copied().collect::<BTreeSet<_>>(), bullets());
    assert_eq!(proven.len(), bullets().len(), "two cases prove one bullet");
}

/// Runs the whole suite; `excluded` is what the engine's capability leaves out.
async fn conforms(name: &str, setup: &dyn CacheSetup, excluded: &[&str]) {
    let report = cache::run(setup).await;
    println!("\n{name}\n{report}\n");
    let failed: Vec<_> = report.failed().map(ToString::to_string).collect();
    assert_eq!(failed, Vec::<String>::new(), "{name}");
    let left_out: Vec<_> = report.excluded().map(|outcome| outcome.case.bullet()).collect();
    assert_eq!(left_out, excluded, "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_process_conforms() {
    conforms("in process", &InProcess, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_conforms() {
    if let Some(setup) = OnRedis::shared().await {
        conforms("Redis", &setup, &[]).await;
    }
}

/// What Memcached has no means for.
const BEYOND_MEMCACHED: &[&str] = &[
    "fill.floor",
    "acquire.floor",
    "invalidate.repeated",
    "hold.blocks",
    "hold.voids",
    "hold.several",
    "hold.expires",
    "hold.renew",
    "push.told",
    "push.sound",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memcached_conforms() {
    if let Some((setup, _second)) = OnMemcached::shared().await {
        conforms("Memcached, two servers", &setup, BEYOND_MEMCACHED).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_case_is_failed_by_a_planted_fault() {
    let (mut failed, mut missed) = (BTreeSet::new(), Vec::new());
    let mut runs = JoinSet::new();
    for fault in CacheFault::ALL.iter().copied() {
        runs.spawn(async move {
            let setup = FaultyCacheSetup::new(InProcess, fault);
            (fault, cache::run_only(&setup, fault.breaks()).await)
        });
    }
    for (fault, report) in runs.join_all().await {
        let caught: BTreeSet<_> = report.failed().map(|outcome| outcome.case.bullet()).collect();
        for bullet in fault.breaks().iter().filter(|bullet| !caught.contains(*bullet)) {
            missed.push(format!("{} does not break {bullet}", fault.as_str()));
        }
        failed.extend(caught);
    }
    let unproven: Vec<_> = bullets().difference(&failed).copied().collect();
    assert_eq!((missed, unproven), (Vec::new(), Vec::<&str>::new()));
}
