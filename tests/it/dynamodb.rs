//! What DynamoDB has of its own: what opening refuses, limits, lost replies, transactions that meet, faults.

mod access;
mod desk;
mod faults;
mod ledger;
mod line;
mod matrix;
mod memory;
mod past;
mod regions;
mod spread;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeDefinition;
use aws_sdk_dynamodb::types::BillingMode;
use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_dynamodb::types::KeyType;
use aws_sdk_dynamodb::types::ScalarAttributeType;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::ErrorKind;
use stockroom::Migrate;
use stockroom::Stockroom;
use stockroom::model::Actor;
use stockroom::model::Order;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Delta;
use stockroom::spi::store::Put;
use stockroom::spi::store::StockStep;
use stockroom::spi::store::Store as _;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::engines;
use stockroom::testkit::fixtures;
use uuid::Uuid;

use self::line::Line;
use crate::support::client;
use crate::support::crowd;

fn fresh(url: &str) -> DynamoOptions {
    DynamoOptions::new(format!("own-{}-", Uuid::now_v7().simple()))
        .region("eu-central-1")
        .endpoint(url)
        .credentials("local", "s3cret", None)
        .attempt_timeout(Duration::from_secs(15))
}

async fn server() -> Option<Arc<engines::DynamoDb>> {
    engines::require(engines::DynamoDb::shared().await).unwrap()
}

async fn refusal(options: DynamoOptions) -> (ErrorKind, String) {
    let error = DynamoStore::connect(options).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("s3cret"), "{text}");
    (error.kind(), error.subject().unwrap_or_default().to_owned())
}

fn deadline() -> Deadline {
    Deadline::within(Duration::from_secs(60))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_made_on_request_only() {
    let Some(server) = server().await else { return };
    for migrate in [Migrate::Check, Migrate::Create] {
        let (kind, subject) = refusal(fresh(server.url()).migrate(migrate)).await;
        assert_eq!(kind, ErrorKind::Config);
        assert!(subject.ends_with("-catalogue"), "{subject}");
    }
    let options = fresh(server.url());
    DynamoStore::connect(options.clone().migrate(Migrate::Apply))
        .await
        .unwrap();
    let opened = DynamoStore::connect(options.migrate(Migrate::Check)).await;
    opened.unwrap().ping(deadline()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_other_keys_is_named() {
    let Some(server) = server().await else { return };
    let prefix = format!("own-{}-", Uuid::now_v7().simple());
    let name = format!("{prefix}orders");
    client(server.url())
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name("id")
                .key_type(KeyType::Hash)
                .build()
                .unwrap(),
        )
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name("id")
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap();
    let options = DynamoOptions::new(prefix)
        .region("eu-central-1")
        .endpoint(server.url())
        .credentials("local", "local", None)
        .migrate(Migrate::Apply);
    assert_eq!(refusal(options).await, (ErrorKind::Config, name));
}

/// Has nothing to give.
#[derive(Debug)]
struct Penniless;

impl aws_sdk_dynamodb::config::ProvideCredentials for Penniless {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let none = aws_credential_types::provider::error::CredentialsError::not_loaded("none here");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(none))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_opened_says_why() {
    let Some(server) = server().await else { return };
    let (kind, _) = refusal(DynamoOptions::new("own-").credentials("local", "s3cret", None)).await;
    assert_eq!(kind, ErrorKind::Config, "without a region");
    let (kind, _) = refusal(DynamoOptions::new("own-").region("eu-central-1")).await;
    assert_eq!(kind, ErrorKind::Unauthenticated, "without credentials");
    let (kind, _) = refusal(fresh(server.url()).credentials_provider(Penniless)).await;
    assert_eq!(kind, ErrorKind::Unauthenticated, "with a provider that has none");
    let opened = Stockroom::open("dynamodb://local:s3cret@eu-central-1").await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Config, "without a prefix");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_before_it_is_sent() {
    let Some(server) = server().await else { return };
    let store = DynamoStore::connect(fresh(server.url()).migrate(Migrate::Apply))
        .await
        .unwrap();
    let main = fixtures::location("main").unwrap();
    let receiving = |levels: u64| {
        let mut set = WriteSet::new(Actor::system());
        for seed in 0..levels {
            let [sku, _] = fixtures::skus(seed).unwrap();
            set.delta(Delta::Stock(StockStep::receive(
                &sku,
                &main,
                fixtures::quantity(1).unwrap(),
            )));
        }
        set
    };
    // Two items a level and one for the commit.
    let error = store.commit(receiving(50), deadline()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(store.commits().rounds, 0);
    store.commit(receiving(49), deadline()).await.unwrap();
    let mut heavy = WriteSet::new(Actor::system());
    let mut order: Order = fixtures::order(1).unwrap();
    let line = order.lines[0].clone();
    order.lines = (1..=500)
        .map(|number| stockroom::model::OrderLine {
            number,
            title: "x".repeat(900),
            ..line.clone()
        })
        .collect();
    heavy.put(Put::create(order));
    let error = store.commit(heavy, deadline()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

/// A shop whose transactions lose their replies.
async fn shop_behind(line: &Line, server: &engines::DynamoDb) -> Arc<DynamoStore> {
    let options = fresh(server.url()).migrate(Migrate::Apply);
    DynamoStore::connect(options.clone()).await.unwrap();
    let behind = options.endpoint(line.url()).migrate(Migrate::Check);
    Arc::new(DynamoStore::connect(behind).await.unwrap())
}

fn receive_one() -> WriteSet {
    let [sku, _] = fixtures::skus(1).unwrap();
    let mut set = WriteSet::new(Actor::system());
    set.delta(Delta::Stock(StockStep::receive(
        &sku,
        &fixtures::location("main").unwrap(),
        fixtures::quantity(1).unwrap(),
    )));
    set
}

async fn on_hand(store: &DynamoStore) -> i64 {
    let [sku, _] = fixtures::skus(1).unwrap();
    let inventory = store.readers().inventory().unwrap();
    let levels = inventory.levels(&[sku], deadline()).await.unwrap();
    levels.iter().map(|level| level.on_hand).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transaction_whose_reply_is_lost_is_found_and_not_repeated() {
    let Some(server) = server().await else { return };
    let line = Line::to(server.url()).await;
    let store = shop_behind(&line, &server).await;
    line.lose_replies(3);
    let mut versions = Vec::new();
    for _ in 0..6 {
        let committed = store.commit(receive_one(), deadline()).await.unwrap();
        versions.extend(committed.versions.iter().map(|(_, _, version)| version.get()));
    }
    assert_eq!(line.lost(), 3);
    assert_eq!(on_hand(&store).await, 6);
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transaction_that_never_arrived_is_voided_and_sent_again() {
    let Some(server) = server().await else { return };
    let line = Line::to(server.url()).await;
    let store = shop_behind(&line, &server).await;
    line.lose_requests(3);
    for _ in 0..6 {
        store.commit(receive_one(), deadline()).await.unwrap();
    }
    assert_eq!(line.lost(), 3);
    assert_eq!(on_hand(&store).await, 6);
}

/// Two processes and a hot level: what one changed moves the other's facts, and nobody is lost or counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_on_one_level_lose_nothing() {
    let Some(server) = server().await else { return };
    let options = fresh(server.url()).migrate(Migrate::Apply);
    let one = Arc::new(DynamoStore::connect(options.clone()).await.unwrap());
    let other = Arc::new(DynamoStore::connect(options).await.unwrap());
    let stores = [one.clone(), other];
    let answers = crowd(40, move |number| {
        let store = stores[number % 2].clone();
        async move { store.commit(receive_one(), deadline()).await }
    });
    for answer in answers.await {
        answer.unwrap();
    }
    assert_eq!(on_hand(&one).await, 40);
    let rounds = one.commits().rounds;
    assert!(rounds < 40, "{rounds} transactions: contended sets share one");
    let report = one
        .readers()
        .inventory()
        .unwrap()
        .verify(deadline())
        .await
        .unwrap();
    assert!(report.is_consistent(), "{report:?}");
    assert_eq!(report.movements, 40);
}
