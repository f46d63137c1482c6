//! Sets with an idempotency key, which no unit of work makes by itself, and the races of a join.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::backend::SqliteOptions;
use crate::backend::SqliteStore;
use crate::error::ErrorKind;
use crate::model::Currency;
use crate::model::IdempotencyKey;
use crate::model::LocationId;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::SystemClock;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::StockStep;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;
use crate::transaction::Context;
use crate::transaction::Placement;
use crate::transaction::Settings;

/// A context on a store, without a shop around it.
fn context(store: Arc<dyn Store>) -> Context {
    let settings = Settings {
        placement: Placement::new(store, Vec::new()),
        clock: Arc::new(SystemClock),
        observers: Vec::new(),
        wake: None,
        cart_expiry: Duration::from_secs(60),
        currency: Currency::USD,
    };
    Context::new(settings, Duration::from_secs(10))
}

/// A delivery under a key.
fn delivery(context: &Context, fingerprint: u8, owner: Uuid) -> WriteSet {
    let (sku, berlin) = (Sku::new("MUG").unwrap(), LocationId::new("berlin").unwrap());
    let mut set = context.write_set();
    let step = StockStep::receive(&sku, &berlin, Quantity::new(1).unwrap());
    set.delta(Delta::Stock(step)).idempotent(Idempotency {
        scope: "delivery".to_owned(),
        key: IdempotencyKey::new("first").unwrap(),
        fingerprint: [fingerprint; 32],
        owner,
    });
    set
}

async fn on_hand(context: &Context) -> i64 {
    let levels = context
        .inventory()
        .unwrap()
        .levels(
            &[Sku::new("MUG").unwrap()],
            Deadline::within(Duration::from_secs(10)),
        )
        .await
        .unwrap();
    levels.iter().map(|level| level.on_hand).sum()
}

/// Joins the same delivery twice, and another one under its key.
macro_rules! keys_are_used_once {
    ($store:ident, $line:ident, $begin:literal) => {
        let context = context($store.clone());
        let owner = Uuid::now_v7();
        for (fingerprint, expected) in [
            (1, Ok(None)),
            (1, Ok(Some(owner))),
            (2, Err(ErrorKind::KeyReused)),
        ] {
            let set = delivery(
                &context,
                fingerprint,
                if expected == Ok(None) {
                    owner
                } else {
                    Uuid::now_v7()
                },
            );
            let staged = context.stage(set, ()).unwrap();
            let mut tx = $line.begin_with($begin).await.unwrap();
            let joined = $store.join(staged, &mut tx).await;
            let found = joined.map(|pending| {
                let committed = pending.committed();
                assert_eq!(committed.versions.is_empty(), committed.replay.is_some());
                committed.replay
            });
            assert_eq!(found.map_err(|error| error.kind()), expected);
            tx.commit().await.unwrap();
        }
        assert_eq!(on_hand(&context).await, 1);
    };
}

#[tokio::test]
async fn an_idempotency_key_is_used_once_on_sqlite() {
    let folder = std::env::temp_dir().join(format!("stockroom-join-{}", Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let url = format!("sqlite://{}/shop.db", folder.display());
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(&url)).await.unwrap());
    let mut line = SqliteConnection::connect(&url).await.unwrap();
    keys_are_used_once!(store, line, "BEGIN IMMEDIATE");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[cfg(all(unix, feature = "postgres"))]
#[tokio::test]
async fn an_idempotency_key_is_used_once_on_postgresql() {
    use crate::backend::PostgresOptions;
    use crate::backend::PostgresStore;
    use crate::testkit::engines;

    let Some(postgres) = engines::require(engines::Postgres::shared().await).unwrap() else {
        return;
    };
    let schema = format!("join_{}", Uuid::now_v7().simple());
    let options = PostgresOptions::new(postgres.url()).schema(schema);
    let store = Arc::new(PostgresStore::connect(options).await.unwrap());
    let mut line = sqlx::PgConnection::connect(postgres.url()).await.unwrap();
    keys_are_used_once!(store, line, "BEGIN");
}
