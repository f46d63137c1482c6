//! A level that was changed past the store is reported: the half of `inventory.verify` that no store can show of itself.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::SqliteConnection;
use stockroom::model::Actor;
use stockroom::model::LedgerReport;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Delta;
use stockroom::spi::store::StockStep;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::conformance::Harness;
use stockroom::testkit::fixtures;

use super::setups::OnDisk;
use super::setups::OnPostgres;
use super::setups::schema;

/// What a slip of a hand in the database does to the first of two levels.
const SLIP: &str =
    "stockroom_levels SET on_hand = on_hand + 1, allocated = allocated + 2 WHERE sku = 'SKU-1-A'";

fn deadline() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

async fn receive_two(h: &Harness) {
    let mut set = WriteSet::new(Actor::system());
    for sku in fixtures::skus(1).unwrap() {
        let main = fixtures::location("main").unwrap();
        set.delta(Delta::Stock(StockStep::receive(
            &sku,
            &main,
            fixtures::quantity(5).unwrap(),
        )));
    }
    h.store().commit(set, deadline()).await.unwrap();
    assert!(verify(h).await.is_consistent());
}

async fn verify(h: &Harness) -> LedgerReport {
    h.store()
        .readers()
        .inventory()
        .unwrap()
        .verify(deadline())
        .await
        .unwrap()
}

async fn assert_reported(h: &Harness) {
    let report = verify(h).await;
    let drift: Vec<_> = report
        .drift
        .iter()
        .map(|one| (one.sku.as_str(), one.counter, one.level, one.ledger))
        .collect();
    assert_eq!(
        drift,
        [("SKU-1-A", "on_hand", 6, 5), ("SKU-1-A", "allocated", 2, 0)]
    );
    assert!(!report.is_consistent());
}

#[tokio::test]
async fn drift_on_sqlite_is_reported() {
    let setup = OnDisk::new();
    let url = setup.url();
    let harness = setup.open(&url).await.unwrap();
    receive_two(&harness).await;
    let mut beside = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("UPDATE {SLIP}")))
        .execute(&mut beside)
        .await
        .unwrap();
    assert_reported(&harness).await;
}

#[tokio::test]
async fn drift_on_postgres_is_reported() {
    let Some(setup) = OnPostgres::start().await else {
        return;
    };
    let schema = schema();
    let harness = setup.open(&schema).await.unwrap();
    receive_two(&harness).await;
    let mut beside = PgConnection::connect(setup.url()).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("UPDATE {schema}.{SLIP}")))
        .execute(&mut beside)
        .await
        .unwrap();
    assert_reported(&harness).await;
}
