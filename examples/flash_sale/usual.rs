//! The same sale as it is usually written by hand: one transaction for each order, in a few tables of its own.
//!
//! It is made with care: statements are prepared once, a plain read sends late buyers away before a transaction is begun,
//! and the row that everybody wants is locked last, for the shortest time. It keeps less than the shop does, which also
//! writes carts, versions and a history.

#[cfg(feature = "postgres")]
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use stockroom::OrderId;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::crowd::Answer;
use crate::crowd::Sale;
use crate::venue::Venue;

const SKU: &str = "CONSOLE";
const PRICE: i64 = 49_900;

/// Both engines take it.
const TABLES: &str = "
    CREATE TABLE usual_stock (sku text PRIMARY KEY, on_hand bigint NOT NULL, allocated bigint NOT NULL);
    CREATE TABLE usual_keys (claim_key text PRIMARY KEY, order_id uuid NOT NULL);
    CREATE TABLE usual_orders (id uuid PRIMARY KEY, total bigint NOT NULL);
    CREATE TABLE usual_lines (
        order_id uuid NOT NULL, number bigint NOT NULL, sku text NOT NULL, quantity bigint NOT NULL,
        unit_price bigint NOT NULL, PRIMARY KEY (order_id, number)
    );
    CREATE TABLE usual_movements (
        order_id uuid NOT NULL, sku text NOT NULL, allocated bigint NOT NULL, PRIMARY KEY (order_id, sku)
    );";

const STOCK: &str = "INSERT INTO usual_stock (sku, on_hand, allocated) VALUES ($1, $2, 0)";
const LEFT: &str = "SELECT on_hand - allocated FROM usual_stock WHERE sku = $1";
const KEY: &str = "INSERT INTO usual_keys (claim_key, order_id) VALUES ($1, $2)";
const ORDER: &str = "INSERT INTO usual_orders (id, total) VALUES ($1, $2)";
const LINE: &str =
    "INSERT INTO usual_lines (order_id, number, sku, quantity, unit_price) VALUES ($1, 1, $2, 1, $3)";
const MOVEMENT: &str = "INSERT INTO usual_movements (order_id, sku, allocated) VALUES ($1, $2, 1)";
/// Locks the row until the transaction ends.
const TAKE: &str = "UPDATE usual_stock SET allocated = allocated + 1 WHERE sku = $1 AND allocated < on_hand";
const SOLD: &str = "SELECT allocated, (SELECT count(*) FROM usual_orders) FROM usual_stock WHERE sku = $1";

/// One order in one transaction: the same words on either engine, whose types have nothing in common that sqlx would have a
/// name for.
macro_rules! buy {
    ($pool:expr, $begin:expr, $key:expr) => {{
        let left: i64 = sqlx::query_scalar(LEFT).bind(SKU).fetch_one($pool).await?;
        if left < 1 {
            return Ok(Answer::Refused);
        }
        let order = OrderId::new().uuid();
        let mut transaction = $begin.await?;
        sqlx::query(KEY)
            .bind($key)
            .bind(order)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(ORDER)
            .bind(order)
            .bind(PRICE)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(LINE)
            .bind(order)
            .bind(SKU)
            .bind(PRICE)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(MOVEMENT)
            .bind(order)
            .bind(SKU)
            .execute(&mut *transaction)
            .await?;
        let taken = sqlx::query(TAKE).bind(SKU).execute(&mut *transaction).await?;
        if taken.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(Answer::Refused);
        }
        transaction.commit().await?;
        Ok(Answer::Sold)
    }};
}

/// Connections of who does it by hand.
#[derive(Clone, Debug)]
pub(crate) enum Usual {
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

impl Usual {
    async fn open(&self, units: i64) -> Outcome {
        match self {
            Self::Sqlite(pool) => {
                sqlx::raw_sql(TABLES).execute(pool).await?;
                sqlx::query(STOCK).bind(SKU).bind(units).execute(pool).await?;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => {
                sqlx::raw_sql(TABLES).execute(pool).await?;
                sqlx::query(STOCK).bind(SKU).bind(units).execute(pool).await?;
            }
        }
        Ok(())
    }

    #[cfg_attr(
        feature = "postgres",
        expect(
            clippy::disallowed_methods,
            reason = "the way of everyone else is what is shown here"
        )
    )]
    async fn buy(self, key: String) -> Outcome<Answer> {
        match &self {
            // One connection writes, and BEGIN IMMEDIATE stands for the locks of rows.
            Self::Sqlite(pool) => buy!(pool, pool.begin_with("BEGIN IMMEDIATE"), &key),
            // Sixteen connections, which wait for each other at the row that everybody wants.
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => buy!(pool, pool.begin(), &key),
        }
    }

    /// Units that the stock says are sold, and orders.
    async fn sold(&self) -> Outcome<(i64, i64)> {
        match self {
            Self::Sqlite(pool) => Ok(sqlx::query_as(SOLD).bind(SKU).fetch_one(pool).await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Ok(sqlx::query_as(SOLD).bind(SKU).fetch_one(pool).await?),
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// The whole sale.
pub(crate) async fn sell(venue: &Venue, arguments: &Arguments) -> Outcome<Sale> {
    let usual = venue.usual().await?;
    usual.open(i64::try_from(arguments.units)?).await?;
    let keys = (0..arguments.buyers)
        .map(|buyer| format!("buy-{buyer}"))
        .collect();
    let till = usual.clone();
    let sale = Sale::hold("the usual way", keys, arguments.callers, move |key| {
        till.clone().buy(key)
    })
    .await?;
    let (units, orders) = usual.sold().await?;
    usual.close().await;
    let sold = i64::try_from(sale.sold())?;
    if (units, orders) != (sold, sold) {
        return Err(format!("the usual way: {sold} buyers, {orders} orders, {units} units").into());
    }
    Ok(sale)
}
