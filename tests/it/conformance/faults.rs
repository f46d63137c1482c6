//! Each planted fault is caught: a suite that passes a wrong store proves nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use comfy_table::Table;
use stockroom::testkit::conformance;
use stockroom::testkit::conformance::Options;
use stockroom::testkit::faulty::Fault;
use stockroom::testkit::faulty::FaultySetup;

use super::setups::InMemory;

/// The names of the cases that a fault makes fail, by bullet.
async fn caught(fault: Fault) -> BTreeMap<&'static str, BTreeSet<String>> {
    let options = Options::new()
        .only(fault.breaks().iter().copied())
        .limit(Duration::from_secs(30));
    let report = conformance::run(&FaultySetup::new(InMemory, fault), &options).await;
    let mut caught: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for outcome in report.failed() {
        caught
            .entry(outcome.case.bullet())
            .or_default()
            .insert(outcome.case.name());
    }
    caught
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_case_is_failed_by_a_planted_fault() {
    let mut table = Table::new();
    table.set_header(["bullet", "fault", "cases that fail"]);
    let mut rows = BTreeSet::new();
    let mut failed = BTreeSet::new();
    let mut missed = Vec::new();
    for fault in Fault::ALL.iter().copied() {
        let caught = caught(fault).await;
        for bullet in fault.breaks() {
            let cases = caught.get(bullet).cloned().unwrap_or_default();
            if cases.is_empty() {
                missed.push(format!("{} does not break {bullet}", fault.as_str()));
            }
            let names: Vec<_> = cases.iter().map(String::as_str).collect();
            rows.insert([(*bullet).to_owned(), fault.as_str().to_owned(), names.join("\n")]);
            failed.extend(cases);
        }
    }
    for row in rows {
        table.add_row(row);
    }
    println!("{table}");
    let unproven: Vec<_> = conformance::manifest()
        .iter()
        .map(|case| case.name())
        .filter(|name| !failed.contains(name))
        .collect();
    assert_eq!((missed, unproven), (Vec::new(), Vec::<String>::new()));
}
