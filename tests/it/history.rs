//! The history of a key and the feed tell the same, wherever their pages end, and however the changes lie in rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stockroom::Actor;
use stockroom::PageRequest;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::Product;
use stockroom::ProductId;
use stockroom::model::Aggregate;
use stockroom::model::Record;
use stockroom::model::RowKey;
use stockroom::resilience::Deadline;
use stockroom::spi::changes::Change;
use stockroom::spi::changes::ChangeAction;
use stockroom::spi::changes::FeedRead;
use stockroom::spi::changes::PartitionEnd;
use stockroom::spi::changes::Position;
use stockroom::spi::store::Delete;
use stockroom::spi::store::Delta;
use stockroom::spi::store::Migrate;
use stockroom::spi::store::Parts;
use stockroom::spi::store::Put;
use stockroom::spi::store::StockStep;
use stockroom::spi::store::Store;
use stockroom::spi::store::WriteSet;

use crate::support::Dice;
use crate::support::Ground;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([file postgres]
    every_key_has_the_history_that_the_feed_tells
    a_key_that_begins_anew_keeps_what_was_before
);

fn deadline() -> Deadline {
    Deadline::within(Duration::from_secs(60))
}

/// The whole feed, in pages of this many changes.
async fn feed(store: &dyn Store, limit: usize) -> Vec<Change> {
    feed_behind(store, None, limit).await
}

async fn feed_behind(store: &dyn Store, mut after: Option<Position>, limit: usize) -> Vec<Change> {
    let source = store.changes().unwrap();
    let partition = source.partitions(deadline()).await.unwrap().remove(0).id;
    let mut changes = Vec::new();
    loop {
        let read = FeedRead {
            partition: &partition,
            after: after.as_ref(),
            limit,
        };
        let page = source.read(read, deadline()).await.unwrap();
        assert!(page.changes.len() <= limit);
        changes.extend(page.changes);
        after = Some(page.next);
        if page.end == PartitionEnd::Reached {
            return changes;
        }
    }
}

/// The whole history of a key, in pages of this many changes.
async fn history(store: &dyn Store, aggregate: Aggregate, key: &RowKey, limit: u32) -> Vec<Change> {
    let reader = store.readers().history().unwrap();
    let (mut page, mut changes) = (PageRequest::new(limit).unwrap(), Vec::new());
    loop {
        let found = reader.list(aggregate, key, &page, deadline()).await.unwrap();
        assert!(found.items.len() <= usize::try_from(limit).unwrap());
        changes.extend(found.items);
        let Some(next) = found.next else {
            return changes;
        };
        page = PageRequest::new(limit).unwrap().after(next);
    }
}

async fn every_key_has_the_history_that_the_feed_tells(ground: Ground) {
    let store = ground.store().await;
    let shop = ground.open().await;
    shop.stock("MUG", 10_000).await;
    // More changes at once than a row holds, twice.
    for _ in 0..2 {
        let mut many = WriteSet::new(Actor::system());
        for number in 0..300 {
            many.delta(Delta::Stock(StockStep::receive(
                &sku(&format!("SPOON-{number}")),
                &berlin(),
                units(1),
            )));
        }
        store.commit(many, deadline()).await.unwrap();
    }
    let seller = shop.clone();
    crowd(16, move |_| {
        let shop = seller.clone();
        async move {
            for _ in 0..12 {
                shop.inventory().receive("MUG", &berlin(), 1).await.unwrap();
                shop.cart(&[("MUG", 1)]).await;
            }
        }
    })
    .await;
    let all = feed(store.as_ref(), 10_000).await;
    let mut by_key: BTreeMap<(Aggregate, String), (RowKey, Vec<Change>)> = BTreeMap::new();
    for change in &all {
        let key = format!("{:?}", change.key);
        let (_, of) = by_key
            .entry((change.aggregate, key))
            .or_insert_with(|| (change.key.clone(), Vec::new()));
        of.push(change.clone());
    }
    let mut dice = Dice::new("history");
    let limit = 1 + usize::try_from(dice.below(300)).unwrap();
    assert_eq!(feed(store.as_ref(), limit).await, all, "in pages of {limit}");
    assert_eq!(feed(store.as_ref(), 7).await, all);
    for ((aggregate, _), (key, mut expected)) in by_key {
        expected.reverse();
        let limit = if expected.len() > 50 {
            11
        } else {
            1 + u32::try_from(dice.below(3)).unwrap()
        };
        for limit in [limit, 200] {
            let found = history(store.as_ref(), aggregate, &key, limit).await;
            assert_eq!(found, expected, "{key:?} in pages of {limit}");
        }
    }
    store.close().await;
}

/// A product is put, changed and deleted, again and again under one id, each time with more versions than one number finds.
async fn a_key_that_begins_anew_keeps_what_was_before(ground: Ground) {
    let store = ground.store().await;
    let shop = ground.open().await;
    let product: Arc<Product> = shop.stock("MUG", 1).await;
    let product = Product {
        id: ProductId::new(),
        slug: "another".parse().unwrap(),
        variants: Vec::new(),
        ..product.as_ref().clone()
    };
    let key = RowKey::Id(product.id.uuid());
    let mut expected = Vec::new();
    for most in [40_u64, 1, 20, 3] {
        for version in 1..=most {
            let mut set = WriteSet::new(Actor::system());
            set.put(Put {
                record: product.clone().into(),
                expected: (version > 1).then(|| (version - 1).into()),
                parts: Parts::Whole,
                previous: Vec::new(),
                live: false,
            });
            store.commit(set, deadline()).await.unwrap();
            expected.push((ChangeAction::Put, version));
        }
        if most != 3 {
            let mut set = WriteSet::new(Actor::system());
            set.delete(Delete {
                aggregate: Aggregate::Product,
                key: key.clone(),
                expected: most.into(),
                previous: Record::from(product.clone()).claims(),
            });
            store.commit(set, deadline()).await.unwrap();
            expected.push((ChangeAction::Delete, most + 1));
        }
    }
    expected.reverse();
    for limit in [1, 2, 7, 200] {
        let found = history(store.as_ref(), Aggregate::Product, &key, limit).await;
        let told: Vec<_> = found
            .iter()
            .map(|change| (change.action, change.version.get()))
            .collect();
        assert_eq!(told, expected, "in pages of {limit}");
    }
    store.close().await;
}

/// The schema as it was when a change was a row.
const BEFORE: [&str; 3] = [
    include_str!("../../src/backend/sql/postgres/migrations/0001_shop.sql"),
    include_str!("../../src/backend/sql/postgres/migrations/0002_changes.sql"),
    include_str!("../../src/backend/sql/postgres/migrations/0003_history.sql"),
];

#[tokio::test]
async fn what_was_one_change_a_row_is_read_as_it_was() {
    let Some(ground) = Ground::postgres().await else {
        return;
    };
    let schema = ground.schema().unwrap();
    let product = ProductId::new().uuid();
    let row = |aggregate: &str, key: &str, version: i64, action: &str| {
        format!(
            "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id) VALUES \
             ('{aggregate}', '{key}', {version}, '{action}', 'user:\"é\"', '[\"a.b\",\"c\"]', {version}, '{product}');"
        )
    };
    let mut rows: Vec<String> = (1..=40)
        .map(|version| row("level", "MUG@berlin", version, "delta"))
        .collect();
    let key = product.to_string();
    for (version, action) in [(1, "put"), (2, "put"), (3, "delete"), (1, "put"), (2, "delete")] {
        rows.push(row("product", &key, version, action));
    }
    let sql = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {schema}; {} \
         CREATE TABLE stockroom_migrations (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now()); \
         INSERT INTO stockroom_migrations (version) VALUES (1), (2), (3); \
         INSERT INTO stockroom_levels (sku, location, version, updated_at) VALUES ('MUG', 'berlin', 40, 0); {}",
        BEFORE.join("\n"),
        rows.concat()
    );
    ground.plain(&sql).await;
    let options = PostgresOptions::new(ground.url())
        .schema(schema)
        .migrate(Migrate::Apply);
    let store = PostgresStore::connect(options).await.unwrap();
    let mut more = WriteSet::new(Actor::system());
    more.delta(Delta::Stock(StockStep::receive(&sku("MUG"), &berlin(), units(1))));
    store.commit(more, deadline()).await.unwrap();

    let all = feed(&store, 7).await;
    let versions =
        |changes: &[Change]| -> Vec<u64> { changes.iter().map(|change| change.version.get()).collect() };
    let expected: Vec<u64> = (1..=40).chain([1, 2, 3, 1, 2, 41]).collect();
    assert_eq!(versions(&all), expected);
    assert_eq!(all[0].actor, "user:\"é\"");
    assert_eq!(all[0].events, ["a.b", "c"]);
    // A position of before, behind the thirty-eighth change.
    let shop = ground
        .texts("SELECT value::text FROM stockroom_meta WHERE name = 'shop'")
        .await
        .remove(0);
    let position = Position::new(format!("pg1 {shop} 0 38 -"));
    assert_eq!(
        versions(&feed_behind(&store, Some(position), 3).await),
        &expected[38..]
    );
    let level = RowKey::Level(sku("MUG"), berlin());
    let found = history(&store, Aggregate::Level, &level, 3).await;
    assert_eq!(versions(&found), (1..=41).rev().collect::<Vec<u64>>());
    let found = history(&store, Aggregate::Product, &RowKey::Id(product), 2).await;
    assert_eq!(versions(&found), [2, 1, 3, 2, 1]);
    store.close().await;
}
