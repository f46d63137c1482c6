//! Every statement that the crate sends to PostgreSQL can be prepared, and those that look up keys use an index.
//!
//! The statements are not listed: they are taken from the wire while every reader and every kind of write runs.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;
use sqlx::Row as _;
use stockroom::CancelReason;
use stockroom::Charge;
use stockroom::Currency;
use stockroom::Due;
use stockroom::Error;
use stockroom::HoldLine;
use stockroom::OrderQuery;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::Pay;
use stockroom::ProductOrder;
use stockroom::ProductQuery;
use stockroom::Provider;
use stockroom::Slug;
use stockroom::UserId;
use stockroom::testkit::proxy::Proxy;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::reference;
use crate::support::sku;
use crate::support::units;

/// Statements that read a table from end to end because they are asked to, and lists, whose filters the planner weighs.
const WHOLE: [&str; 4] = [
    "inventory.verify",
    "inventory.counts",
    "product.list",
    "order.list",
];

/// Notes what was sent, as the proxy remembers only the latest.
async fn note<T>(
    sent: &mut BTreeSet<String>,
    proxy: &Proxy,
    call: impl Future<Output = Result<T, Error>>,
) -> T {
    proxy.reset_counts();
    let answer = call.await.unwrap();
    let statements = proxy
        .recent()
        .into_iter()
        .filter_map(|sql| sql.strip_prefix("prepare: ").map(str::to_owned));
    sent.extend(statements);
    answer
}

/// Calls everything that sends a statement of its own.
async fn every_statement(shop: &Shop, proxy: &Proxy) -> BTreeSet<String> {
    let mut sent = BTreeSet::new();
    let sent_ref = &mut sent;
    let product = shop.stock("MUG", 10).await;
    let (products, inventory) = (shop.products(), shop.inventory());
    note(sent_ref, proxy, products.get(product.id)).await;
    note(sent_ref, proxy, products.find_by_slug(&product.slug)).await;
    note(sent_ref, proxy, products.find_by_sku("MUG")).await;
    for order in [
        ProductOrder::Newest,
        ProductOrder::PriceAscending,
        ProductOrder::PriceDescending,
    ] {
        let query = ProductQuery::new().order(order);
        note(sent_ref, proxy, products.list(&query, PageRequest::default())).await;
        let query = query
            .category(Slug::new("cups").unwrap())
            .price(Currency::USD, Some(1), Some(2))
            .in_stock();
        note(sent_ref, proxy, products.list(&query, PageRequest::default())).await;
    }
    let user = UserId::new();
    let cart = note(sent_ref, proxy, shop.carts().create(Owner::User(user))).await;
    note(sent_ref, proxy, shop.carts().active(user)).await;
    note(sent_ref, proxy, shop.carts().add(cart.id, "MUG", 1)).await;
    note(sent_ref, proxy, shop.checkout().quote(cart.id)).await;
    let charge = |due: Due| async { Ok::<_, Error>(Charge::captured(reference(due.provider_key))) };
    let pay = Pay::cart(cart.id).key(key("pay"));
    let paid = note(sent_ref, proxy, shop.checkout().pay(pay.clone(), charge)).await;
    note(sent_ref, proxy, shop.checkout().pay(pay, charge)).await;
    note(sent_ref, proxy, shop.checkout().resume(&key("pay"), charge)).await;
    let (order, default) = (paid.order().id, Provider::new("default").unwrap());
    let payments = note(sent_ref, proxy, shop.payments().for_order(order)).await;
    note(sent_ref, proxy, shop.payments().get(payments[0].id)).await;
    let name = payments[0].reference.clone().unwrap();
    assert!(
        note(
            sent_ref,
            proxy,
            shop.payments().find_by_reference(&default, &name)
        )
        .await
        .is_some()
    );
    note(sent_ref, proxy, shop.orders().get(order)).await;
    for query in [
        OrderQuery::new(),
        OrderQuery::new().customer(user).status(OrderStatus::Placed),
    ] {
        note(
            sent_ref,
            proxy,
            shop.orders().list(&query, PageRequest::default()),
        )
        .await;
    }
    note(
        sent_ref,
        proxy,
        shop.orders().history(order, PageRequest::default()),
    )
    .await;
    note(
        sent_ref,
        proxy,
        shop.checkout().cancel(order, CancelReason::Customer),
    )
    .await;
    note(sent_ref, proxy, inventory.levels("MUG")).await;
    let line = HoldLine {
        sku: sku("MUG"),
        location: berlin(),
        quantity: units(1),
    };
    let hold = note(
        sent_ref,
        proxy,
        inventory.hold(&[line], std::time::Duration::from_secs(9)),
    )
    .await;
    note(sent_ref, proxy, inventory.hold_status(hold.id)).await;
    note(sent_ref, proxy, inventory.release_hold(hold.id)).await;
    let page = note(
        sent_ref,
        proxy,
        inventory.movements("MUG", &berlin(), PageRequest::new(1).unwrap()),
    )
    .await;
    let next = PageRequest::default().after(page.next.unwrap());
    note(sent_ref, proxy, inventory.movements("MUG", &berlin(), next)).await;
    note(sent_ref, proxy, inventory.verify_ledger()).await;
    note(sent_ref, proxy, shop.ping()).await;
    sent
}

async fn texts(connection: &mut PgConnection, sql: String) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.clone()))
        .fetch_all(connection)
        .await;
    rows.unwrap_or_else(|error| panic!("{error}\n{sql}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// The plan of a statement whose parameters are not known, tables being as large as one cares to think.
async fn plan(connection: &mut PgConnection, number: usize, statement: &str) -> String {
    let prepare = format!("PREPARE s{number} AS {statement}");
    let prepared = sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut *connection)
        .await;
    prepared.unwrap_or_else(|error| panic!("{error}\n{statement}"));
    let types =
        format!("SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 's{number}'");
    let nulls = texts(connection, types)
        .await
        .iter()
        .map(|kind| format!("NULL::{kind}"))
        .collect::<Vec<_>>();
    let arguments = if nulls.is_empty() {
        String::new()
    } else {
        format!("({})", nulls.join(", "))
    };
    texts(connection, format!("EXPLAIN EXECUTE s{number}{arguments}"))
        .await
        .join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_statement_is_prepared_and_keyed_ones_use_an_index() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    // A fresh connection prepares each statement once more; so every one is on the wire at least once.
    let shop = ground.open_with(1).await;
    let sent = every_statement(&shop, &proxy).await;
    let mut connection = PgConnection::connect(ground.url()).await.unwrap();
    let settings = format!(
        "SET search_path = {}; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan",
        ground.schema().unwrap()
    );
    sqlx::raw_sql(AssertSqlSafe(settings))
        .execute(&mut connection)
        .await
        .unwrap();
    let mut keyed = 0;
    for (number, statement) in sent.iter().enumerate() {
        let plan = plan(&mut connection, number, statement).await;
        let name = statement.split_whitespace().nth(2).unwrap_or_default();
        println!(
            "{name}: {}",
            if plan.contains("Seq Scan on stockroom_") {
                "reads a whole table"
            } else {
                "index"
            }
        );
        if !WHOLE.contains(&name) {
            keyed += 1;
            assert!(!plan.contains("Seq Scan on stockroom_"), "{statement}\n{plan}");
        }
    }
    assert!(keyed >= 12, "{keyed} keyed statements of {}", sent.len());
}
