//! Tables as they are asked for, and what is told about those that are there.
//!
//! The local engine knows provisioned capacity, the removal of ended items and protection from deletion. Backups, keys and tags it
//! does not: what is sent for them is written down by a desk in front of it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde_json::Value;
use serde_json::json;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::ErrorKind;
use stockroom::Migrate;
use stockroom::backend::dynamo::Scaling;
use stockroom::backend::dynamo::TableOptions;
use stockroom::backend::dynamo::TableState;
use stockroom::backend::dynamo::TablesReport;
use stockroom::spi::store::Store as _;

use super::desk::Desk;
use super::fresh;
use super::refusal;
use super::server;

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234";

fn failure(code: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "told by the desk" })
}

/// What differs, without the names of tables.
fn items(report: &TablesReport) -> Vec<&str> {
    let differences = report.tables.iter().flat_map(|table| &table.differences);
    let mut items: Vec<&str> = differences.map(|difference| difference.item.as_str()).collect();
    items.sort_unstable();
    items.dedup();
    items
}

async fn make(options: &DynamoOptions) {
    let store = DynamoStore::connect(options.clone().migrate(Migrate::Apply)).await;
    store.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioned_and_protected_tables_are_made_and_described() {
    let Some(server) = server().await else { return };
    let provisioned = TableOptions::new()
        .provisioned(Scaling::between(7, 70), Scaling::fixed(5))
        .protected_from_deletion();
    let options = fresh(server.url()).tables(provisioned);
    let before = DynamoStore::describe(&options).await.unwrap();
    let is_missing = |report: &TablesReport| {
        let mut tables = report.tables.iter();
        tables.all(|table| table.state == TableState::Missing)
    };
    assert!(is_missing(&before) && !before.is_usable(), "{before}");
    make(&options).await;
    let report = DynamoStore::describe(&options).await.unwrap();
    assert!(report.is_as_asked(), "{report}");
    // On demand, and not protected: what is not asked for is not compared, what is asked for is.
    let plain = fresh(server.url());
    make(&plain).await;
    let report = DynamoStore::describe(&plain).await.unwrap();
    assert!(report.is_as_asked(), "{report}");
    let asked = TableOptions::new()
        .provisioned(Scaling::fixed(5), Scaling::fixed(5))
        .protected_from_deletion();
    let report = DynamoStore::describe(&plain.tables(asked)).await.unwrap();
    assert_eq!(items(&report), ["capacity", "protection"]);
    assert!(report.is_usable(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_local_engine_does_not_know_is_asked_of_the_service() {
    let Some(server) = server().await else { return };
    let desk = Desk::before(server.url()).await;
    let came_late = AtomicBool::new(false);
    desk.answer("UpdateContinuousBackups", move |_| {
        // The backups of a new table come into being a moment after it.
        let first = !came_late.swap(true, Ordering::SeqCst);
        Some(if first {
            (400, failure("ContinuousBackupsUnavailableException"))
        } else {
            (200, json!({}))
        })
    });
    let tables = TableOptions::new()
        .encrypted_with(KEY)
        .point_in_time_recovery()
        .protected_from_deletion()
        .tag("team", "checkout");
    make(&fresh(desk.url()).tables(tables)).await;
    let made = desk.asked("CreateTable");
    assert_eq!(made.len(), 5);
    for table in &made {
        assert_eq!(table["SSESpecification"]["KMSMasterKeyId"], KEY);
        assert_eq!(table["DeletionProtectionEnabled"], true);
        assert_eq!(table["Tags"], json!([{ "Key": "team", "Value": "checkout" }]));
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    }
    let streams = made
        .iter()
        .filter(|table| table["StreamSpecification"]["StreamViewType"] == "NEW_IMAGE");
    assert_eq!(streams.count(), 4);
    let recoveries = desk.asked("UpdateContinuousBackups");
    assert_eq!(recoveries.len(), 6, "one a table, and the first of them twice");
    for recovery in recoveries {
        let asked = &recovery["PointInTimeRecoverySpecification"];
        assert_eq!(asked["PointInTimeRecoveryEnabled"], true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_service_tells_of_backups_keys_and_tags_is_compared() {
    let Some(server) = server().await else { return };
    let options = fresh(server.url());
    make(&options).await;
    let asked = TableOptions::new()
        .encrypted_with(KEY)
        .point_in_time_recovery()
        .tag("team", "checkout");
    let options = options.tables(asked);
    let report = DynamoStore::describe(&options).await.unwrap();
    assert_eq!(items(&report), ["encryption", "recovery", "tag team"]);
    let desk = Desk::before(server.url()).await;
    desk.overlay("DescribeTable", |answer| {
        answer["Table"]["SSEDescription"] =
            json!({ "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY });
    });
    desk.answer("DescribeContinuousBackups", |_| {
        let recovery = json!({ "PointInTimeRecoveryStatus": "ENABLED" });
        let backups = json!({
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
        });
        Some((200, json!({ "ContinuousBackupsDescription": backups })))
    });
    desk.answer("ListTagsOfResource", |question| {
        // In two pages.
        let first = question["NextToken"].is_null();
        Some(if first {
            (
                200,
                json!({ "Tags": [{ "Key": "cost", "Value": "7" }], "NextToken": "more" }),
            )
        } else {
            (200, json!({ "Tags": [{ "Key": "team", "Value": "checkout" }] }))
        })
    });
    let report = DynamoStore::describe(&options.endpoint(desk.url()))
        .await
        .unwrap();
    assert!(report.is_as_asked(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_making_that_was_interrupted_is_finished() {
    let Some(server) = server().await else { return };
    let options = fresh(server.url());
    let desk = Desk::before(server.url()).await;
    desk.answer("UpdateTimeToLive", |_| {
        Some((400, failure("AccessDeniedException")))
    });
    let interrupted = options.clone().endpoint(desk.url()).migrate(Migrate::Apply);
    assert_eq!(refusal(interrupted).await.0, ErrorKind::PermissionDenied);
    let report = DynamoStore::describe(&options).await.unwrap();
    assert_eq!(items(&report), ["ttl"]);
    make(&options).await;
    let report = DynamoStore::describe(&options).await.unwrap();
    assert!(report.is_as_asked(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_what_is_needed_is_refused_by_name() {
    let Some(server) = server().await else { return };
    let options = fresh(server.url());
    make(&options).await;
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 4] = [
        ("keys", |table| {
            table["KeySchema"] = json!([{ "AttributeName": "id", "KeyType": "HASH" }]);
        }),
        ("index index-1", |table| {
            table["GlobalSecondaryIndexes"] = json!([]);
        }),
        ("attribute sk", |table| {
            table["AttributeDefinitions"] = json!([{ "AttributeName": "sk", "AttributeType": "N" }]);
        }),
        ("stream", |table| {
            table["StreamSpecification"] = json!({ "StreamEnabled": false });
        }),
    ];
    for (item, change) in changes {
        let desk = Desk::before(server.url()).await;
        desk.overlay("DescribeTable", move |answer| change(&mut answer["Table"]));
        let options = options.clone().endpoint(desk.url()).migrate(Migrate::Check);
        let report = DynamoStore::describe(&options).await.unwrap();
        assert!(!report.is_usable(), "{report}");
        assert!(items(&report).contains(&item), "{report}");
        assert!(report.to_string().contains("breaks"), "{report}");
        let (kind, subject) = refusal(options).await;
        assert_eq!(kind, ErrorKind::Config);
        assert!(item == "keys" || subject.ends_with(item), "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_service_refuses_at_open_has_a_kind_of_its_own() {
    let Some(server) = server().await else { return };
    for (code, expected) in [
        ("UnrecognizedClientException", ErrorKind::Unauthenticated),
        ("InvalidSignatureException", ErrorKind::Unauthenticated),
        ("ExpiredTokenException", ErrorKind::Unauthenticated),
        ("MissingAuthenticationTokenException", ErrorKind::Unauthenticated),
        ("AccessDeniedException", ErrorKind::PermissionDenied),
        // Another region has no such table.
        ("ResourceNotFoundException", ErrorKind::Config),
    ] {
        let desk = Desk::before(server.url()).await;
        desk.answer("DescribeTable", move |_| Some((400, failure(code))));
        let (kind, _) = refusal(fresh(desk.url()).migrate(Migrate::Check)).await;
        assert_eq!(kind, expected, "{code}");
        assert_eq!(desk.calls().len(), 1, "{code}: it is asked once");
    }
    let typo = DynamoOptions::new("own-")
        .region("eu-central")
        .credentials("local", "s3cret", None);
    assert_eq!(refusal(typo).await.0, ErrorKind::Config);
}
