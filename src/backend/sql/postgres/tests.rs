//! Every statement of the crate is one that the server accepts, and keyed reads use an index.

use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::PostgresOptions;
use super::PostgresStore;
use super::line::Generation;
use super::line::Line;
use super::schema;
use crate::backend::sql::coordination;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::filter::Filter;
use crate::backend::sql::tables;
use crate::model::PageRequest;
use crate::spi::store::Migrate;
use crate::spi::store::Store as _;
use crate::testkit::engines;

/// The constants, with parameters to explain them by; the tables are empty, so that only the shape of the plan counts.
const KEYED: [(Statement, &str); 18] = [
    (tables::product::GET.one, "NULL::uuid"),
    (tables::product::GET.many, "ARRAY[]::uuid[]"),
    (tables::product::BY_SLUG, "'mug'"),
    (tables::product::BY_SKUS.one, "'MUG'"),
    (tables::product::BY_SKUS.many, "ARRAY['MUG']"),
    (tables::cart::GET.one, "0::bigint, NULL::uuid"),
    (tables::cart::GET.many, "0::bigint, ARRAY[]::uuid[]"),
    (tables::cart::ACTIVE, "0::bigint, 'user'"),
    (tables::order::GET.one, "NULL::uuid"),
    (tables::order::GET.many, "ARRAY[]::uuid[]"),
    (tables::payment::GET.one, "0::bigint, NULL::uuid"),
    (tables::payment::GET.many, "0::bigint, ARRAY[]::uuid[]"),
    (tables::payment::FOR_ORDER, "0::bigint, NULL::uuid"),
    (tables::payment::BY_REFERENCE, "0::bigint, 'reference'"),
    (tables::level::LEVELS.one, "0::bigint, 'MUG'"),
    (tables::level::LEVELS.many, "0::bigint, ARRAY['MUG']"),
    (tables::level::HOLD, "0::bigint, NULL::uuid"),
    (tables::keys::CLAIMS, "ARRAY['key'], ARRAY['1']"),
];

const WHOLE: [Statement; 2] = [tables::level::VERIFY, tables::level::COUNTS];

const FOLLOWING: [Statement; 8] = [
    coordination::ACQUIRE,
    coordination::SAVE,
    coordination::RENEW,
    coordination::RELEASE,
    coordination::FORGET,
    coordination::CHECKPOINTS,
    coordination::COUNT,
    coordination::DISCARD,
];

async fn connection(schema: &str) -> Option<PgConnection> {
    let postgres = engines::require(engines::Postgres::shared().await).unwrap()?;
    let options = PostgresOptions::new(postgres.url())
        .schema(schema)
        .migrate(Migrate::Apply);
    let line = Line::direct(&options, Generation::default()).unwrap();
    schema::prepare(&line, &options).await.unwrap();
    Some(line.open().await.unwrap().into_inner())
}

async fn run(connection: &mut PgConnection, sql: String) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.clone()))
        .fetch_all(connection)
        .await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
    rows.iter()
        .map(|row| row.try_get(0).unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn every_statement_is_accepted_and_keyed_reads_use_an_index() {
    let Some(mut connection) = connection("statements").await else {
        return;
    };
    run(&mut connection, "SET enable_seqscan = off".to_owned()).await;
    run(
        &mut connection,
        "SET plan_cache_mode = force_generic_plan".to_owned(),
    )
    .await;
    let mut number = 0;
    for (statement, arguments) in KEYED {
        number += 1;
        run(
            &mut connection,
            format!("PREPARE s{number} AS {}", statement.postgres),
        )
        .await;
        let plan = run(&mut connection, format!("EXPLAIN EXECUTE s{number}({arguments})"))
            .await
            .join("\n");
        assert!(!plan.contains("Seq Scan"), "{}\n{plan}", statement.postgres);
    }
    for statement in WHOLE.into_iter().chain(FOLLOWING) {
        number += 1;
        run(
            &mut connection,
            format!("PREPARE s{number} AS {}", statement.postgres),
        )
        .await;
    }
}

#[tokio::test]
async fn lists_use_an_index_for_each_order_of_products() {
    let Some(mut connection) = connection("lists").await else {
        return;
    };
    run(&mut connection, "SET enable_seqscan = off".to_owned()).await;
    run(&mut connection, "SET enable_sort = off".to_owned()).await;
    let conditions = "p.category = ? AND p.status = ? AND p.from_currency = ? AND p.from_minor IS NOT NULL";
    for order in ["p.from_minor, p.id", "p.from_minor DESC, p.id DESC"] {
        let mut filter = Filter::new(tables::product::LIST.postgres);
        filter.and(conditions, []);
        let (sql, _) = filter.page(order, &PageRequest::default());
        let literal = sql
            .replace("p.category = $0", "p.category = 'a'")
            .replace("$0", "'b'")
            .replace("LIMIT $1", "LIMIT 5");
        let plan = run(&mut connection, format!("EXPLAIN {literal}"))
            .await
            .join("\n");
        assert!(!plan.contains("Seq Scan on stockroom_products"), "{plan}");
    }
}

#[tokio::test]
async fn a_store_opens_again_on_what_it_created() {
    let Some(postgres) = engines::require(engines::Postgres::shared().await).unwrap() else {
        return;
    };
    for migrate in [Migrate::Create, Migrate::Check, Migrate::Apply] {
        let options = PostgresOptions::new(postgres.url())
            .schema("again")
            .migrate(migrate);
        PostgresStore::connect(options).await.unwrap().close().await;
    }
}
