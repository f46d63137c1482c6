//! The policies that are printed, held against what is called: all of it is allowed, and nothing is allowed that is not called.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use stockroom::CartId;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::Error;
use stockroom::Migrate;
use stockroom::OrderQuery;
use stockroom::PageRequest;
use stockroom::ProductQuery;
use stockroom::Stockroom;
use stockroom::backend::dynamo::Role;
use stockroom::backend::dynamo::TableOptions;
use stockroom::spi::changes::DeadLetter;
use stockroom::spi::changes::FeedRead;
use stockroom::spi::changes::LeaseRequest;
use stockroom::spi::changes::Progress;
use stockroom::spi::store::Store as _;
use uuid::Uuid;

use super::deadline;
use super::desk::Call;
use super::desk::Desk;
use super::fresh;
use super::receive_one;
use super::server;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::units;

const ACCOUNT: &str = "111122223333";

/// An action and what it is on, behind `table/`.
type Access = (String, String);

/// What a call needs to be allowed.
fn accesses(call: &Call) -> Vec<Access> {
    let body = &call.body;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_items = |items: &Value| -> Vec<Access> {
        let items = items.as_array().unwrap().iter();
        let parts = items.flat_map(|item| item.as_object().unwrap());
        parts
            .map(|(what, part)| {
                let action = match what.as_str() {
                    "ConditionCheck" => "ConditionCheckItem".to_owned(),
                    what => format!("{what}Item"),
                };
                (action, text(&part["TableName"]))
            })
            .collect()
    };
    match call.operation.as_str() {
        "TransactWriteItems" | "TransactGetItems" => of_items(&body["TransactItems"]),
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().keys();
            tables
                .map(|table| ("BatchGetItem".to_owned(), table.clone()))
                .collect()
        }
        "Query" => {
            let (table, index) = (text(&body["TableName"]), text(&body["IndexName"]));
            let place = if index.is_empty() {
                table
            } else {
                format!("{table}/index/{index}")
            };
            vec![("Query".to_owned(), place)]
        }
        "CreateTable" => {
            let table = text(&body["TableName"]);
            let tags = (!body["Tags"].is_null()).then(|| ("TagResource".to_owned(), table.clone()));
            tags.into_iter()
                .chain([("CreateTable".to_owned(), table)])
                .collect()
        }
        operation => {
            let arn = [&body["StreamArn"], &body["ResourceArn"]].map(text).concat();
            let place = match arn.split_once("table/") {
                Some((_, place)) => place.to_owned(),
                None => text(&body["TableName"]),
            };
            vec![(operation.to_owned(), place)]
        }
    }
}

/// What a policy allows: actions with the beginnings of what they are on.
fn allowed(options: &DynamoOptions, role: Role) -> BTreeSet<Access> {
    let policy: Value = serde_json::from_str(&options.policy(ACCOUNT, &[role]).unwrap()).unwrap();
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().unwrap().iter();
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut allowed = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        for action in texts(&statement["Action"]) {
            let action = action.strip_prefix("dynamodb:").unwrap();
            for resource in texts(&statement["Resource"]) {
                let (_, place) = resource.split_once(":table/").unwrap();
                allowed.insert((action.to_owned(), place.to_owned()));
            }
        }
    }
    allowed
}

/// Demands that what a role does is what its policy allows.
fn assert_exact(options: &DynamoOptions, role: Role, desk: &Desk) {
    let allowed = allowed(options, role);
    let called: BTreeSet<Access> = desk.calls().iter().flat_map(accesses).collect();
    let covers = |(action, pattern): &Access, (called, place): &Access| {
        // Records are asked for by an iterator, which names no stream.
        let same = match pattern.strip_suffix('*') {
            Some(start) => place.starts_with(start) || place.is_empty(),
            None => place == pattern,
        };
        action == called && same
    };
    let missing: Vec<_> = called
        .iter()
        .filter(|access| !allowed.iter().any(|one| covers(one, access)))
        .collect();
    assert!(missing.is_empty(), "{role:?} does what it may not: {missing:?}");
    let actions: BTreeSet<&String> = called.iter().map(|(action, _)| action).collect();
    let unused: Vec<_> = allowed
        .iter()
        .filter(|(action, _)| !actions.contains(action))
        .collect();
    assert!(unused.is_empty(), "{role:?} may do what it does not: {unused:?}");
}

async fn made(url: &str) -> DynamoOptions {
    let options = fresh(url);
    let store = DynamoStore::connect(options.clone().migrate(Migrate::Apply)).await;
    store.unwrap().close().await;
    options.migrate(Migrate::Check)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_serves_is_allowed_what_it_does() {
    let Some(server) = server().await else { return };
    let desk = Desk::before(server.url()).await;
    let options = made(server.url()).await.endpoint(desk.url());
    let store = DynamoStore::connect(options.clone()).await.unwrap();
    let shop = Shop::of(Stockroom::builder().store(store)).await;
    let product = shop.stock("MUG", 3).await;
    let cart = shop.cart(&[("MUG", 2)]).await;
    let quote = shop.checkout().quote(cart).await.unwrap();
    let hold = shop
        .checkout()
        .hold(&quote, Duration::from_secs(600))
        .await
        .unwrap();
    shop.checkout().release(hold.id).await.unwrap();
    // A refusal rests on a snapshot, a unit of work on what it has read.
    let line = stockroom::HoldLine {
        sku: crate::support::sku("MUG"),
        location: berlin(),
        quantity: units(9),
    };
    let short = shop.inventory().hold(&[line], Duration::from_secs(60)).await;
    assert!(short.unwrap_err().is(stockroom::ErrorKind::InsufficientStock));
    let id = product.id;
    let second = shop.transaction(|tx| async move {
        tx.products().get(id).await?;
        Ok::<CartId, Error>(tx.carts().create(stockroom::Owner::Guest)?.id)
    });
    second.await.unwrap();
    let page = PageRequest::new(10).unwrap();
    shop.products()
        .list(&ProductQuery::default(), page.clone())
        .await
        .unwrap();
    shop.orders().list(&OrderQuery::default(), page).await.unwrap();
    shop.after_restore().await.unwrap();
    shop.close().await;
    assert_exact(&options, Role::Serve, &desk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_relays_is_allowed_what_it_does() {
    let Some(server) = server().await else { return };
    let desk = Desk::before(server.url()).await;
    let options = made(server.url()).await;
    let writer = DynamoStore::connect(options.clone()).await.unwrap();
    writer.commit(receive_one(), deadline()).await.unwrap();
    let options = options.endpoint(desk.url());
    let store = DynamoStore::connect(options.clone()).await.unwrap();
    let (changes, coordination) = (store.changes().unwrap(), store.coordination().unwrap());
    let mut found = None;
    for partition in changes.partitions(deadline()).await.unwrap() {
        let read = FeedRead {
            partition: &partition.id,
            after: None,
            limit: 10,
        };
        let page = changes.read(read, deadline()).await.unwrap();
        found = found.or(page.changes.into_iter().next());
    }
    let request = LeaseRequest {
        checkpoint: "log/0",
        holder: Uuid::now_v7(),
        ttl: Duration::from_secs(60),
    };
    let lease = coordination.acquire(request, deadline()).await.unwrap().unwrap();
    let letter = DeadLetter {
        id: Uuid::now_v7(),
        sink: "log".to_owned(),
        change: found.unwrap(),
        reason: "not today".to_owned(),
        attempts: 1,
        at: stockroom::from_micros(0).unwrap(),
    };
    let id = letter.id;
    let progress = Progress {
        position: None,
        done: false,
        letters: vec![letter],
        ttl: Duration::from_secs(60),
    };
    coordination.save(&lease, progress, deadline()).await.unwrap();
    let report = coordination.report("log", deadline()).await.unwrap();
    assert_eq!(report.dead_letters, 1);
    assert!(coordination.discard("log", id, deadline()).await.unwrap());
    coordination.release(&lease, deadline()).await.unwrap();
    assert_exact(&options, Role::Relay, &desk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_reads_is_allowed_what_it_does() {
    let Some(server) = server().await else { return };
    let desk = Desk::before(server.url()).await;
    let options = made(server.url()).await;
    let shop =
        Shop::of(Stockroom::builder().store(DynamoStore::connect(options.clone()).await.unwrap())).await;
    let product = shop.stock("MUG", 3).await;
    let other = shop.stock("CUP", 1).await;
    shop.close().await;
    let options = options.endpoint(desk.url());
    let store = DynamoStore::connect(options.clone()).await.unwrap();
    let shop = Shop::of(Stockroom::builder().store(store).without_background()).await;
    shop.products().require(product.id).await.unwrap();
    let both = shop.products().get_many(&[product.id, other.id]).await.unwrap();
    assert!(both.iter().all(Option::is_some));
    let page = PageRequest::new(10).unwrap();
    shop.products()
        .list(&ProductQuery::default(), page)
        .await
        .unwrap();
    assert_eq!(shop.level("MUG").await.on_hand, 3);
    shop.assert_sound().await;
    shop.close().await;
    assert_exact(&options, Role::Read, &desk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_makes_tables_is_allowed_what_it_does() {
    let Some(server) = server().await else { return };
    let desk = Desk::before(server.url()).await;
    desk.answer("DescribeContinuousBackups", |_| Some((200, json!({}))));
    desk.answer("UpdateContinuousBackups", |_| Some((200, json!({}))));
    desk.answer("ListTagsOfResource", |_| Some((200, json!({ "Tags": [] }))));
    let tables = TableOptions::new()
        .point_in_time_recovery()
        .tag("team", "checkout");
    let options = fresh(desk.url()).tables(tables).migrate(Migrate::Apply);
    let store = DynamoStore::connect(options.clone()).await.unwrap();
    store.close().await;
    DynamoStore::describe(&options).await.unwrap();
    assert_exact(&options, Role::Migrate, &desk);
}
