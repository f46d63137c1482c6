//! What one writes by hand: a product's new title if it is still at the version that was read, and a line of a cart.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use stockroom::CartId;
use stockroom::Clock as _;
use stockroom::LineKey;
use stockroom::Options;
use stockroom::ProductId;
use stockroom::Sku;
use stockroom::SystemClock;
use stockroom::micros;

use crate::support::Result;

/// As long as a cart of the shop lives after its last change: 30 days.
const EXPIRY: i64 = 30 * 24 * 60 * 60 * 1_000_000;

const TITLE: &str = "UPDATE stockroom_products SET title = $3, version = version + 1, updated_at = $4 \
     WHERE id = $1 AND version = $2";

const TOUCH: &str = "UPDATE stockroom_carts SET version = version + 1, expires_at = $2, updated_at = $3 \
     WHERE id = $1 AND status = 'open' AND expires_at > $3";

const ADD: &str = "INSERT INTO stockroom_cart_lines AS l (cart_id, line_key, sku, options, quantity, added_at) \
     VALUES ($1, $2, $3, '{}', 1, $4) ON CONFLICT (cart_id, line_key) \
     DO UPDATE SET quantity = l.quantity + excluded.quantity WHERE l.quantity + excluded.quantity <= 10000";

/// Both at once.
const TOUCH_AND_ADD: &str = "WITH cart AS (UPDATE stockroom_carts SET version = version + 1, expires_at = $2, \
     updated_at = $3 WHERE id = $1 AND status = 'open' AND expires_at > $3 RETURNING id) \
     INSERT INTO stockroom_cart_lines AS l (cart_id, line_key, sku, options, quantity, added_at) \
     SELECT id, $4, $5, '{}', 1, $3 FROM cart ON CONFLICT (cart_id, line_key) \
     DO UPDATE SET quantity = l.quantity + excluded.quantity WHERE l.quantity + excluded.quantity <= 10000";

/// Whether the product was at this version.
pub(crate) async fn update_in_transaction(
    connection: &mut PgConnection,
    id: ProductId,
    version: i64,
    title: &str,
) -> Result<bool> {
    let mut transaction = connection.begin().await?;
    let done = update_in_statement(&mut transaction, id, version, title).await?;
    transaction.commit().await?;
    Ok(done)
}

/// Whether the product was at this version.
pub(crate) async fn update_in_statement(
    connection: &mut PgConnection,
    id: ProductId,
    version: i64,
    title: &str,
) -> Result<bool> {
    let update = sqlx::query(TITLE)
        .bind(id.uuid())
        .bind(version)
        .bind(title)
        .bind(now());
    Ok(update.execute(connection).await?.rows_affected() == 1)
}

/// Whether the product was at this version.
pub(crate) async fn update_on_sqlite(
    connection: &mut SqliteConnection,
    id: ProductId,
    version: i64,
    title: &str,
) -> Result<bool> {
    let update = sqlx::query(TITLE)
        .bind(id.to_string())
        .bind(version)
        .bind(title)
        .bind(now());
    Ok(update.execute(connection).await?.rows_affected() == 1)
}

pub(crate) async fn add_in_transaction(connection: &mut PgConnection, cart: CartId, sku: &Sku) -> Result<()> {
    let now = now();
    let mut transaction = connection.begin().await?;
    let touched = sqlx::query(TOUCH)
        .bind(cart.uuid())
        .bind(now + EXPIRY)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    let added = sqlx::query(ADD)
        .bind(cart.uuid())
        .bind(key(sku).as_str())
        .bind(sku.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    is_added(touched.rows_affected() + added.rows_affected(), 2)?;
    Ok(transaction.commit().await?)
}

pub(crate) async fn add_in_statement(connection: &mut PgConnection, cart: CartId, sku: &Sku) -> Result<()> {
    let now = now();
    let added = sqlx::query(TOUCH_AND_ADD)
        .bind(cart.uuid())
        .bind(now + EXPIRY)
        .bind(now)
        .bind(key(sku).as_str())
        .bind(sku.as_str())
        .execute(connection)
        .await?;
    is_added(added.rows_affected(), 1)
}

pub(crate) async fn add_on_sqlite(connection: &mut SqliteConnection, cart: CartId, sku: &Sku) -> Result<()> {
    let (now, id) = (now(), cart.to_string());
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let touched = sqlx::query(TOUCH)
        .bind(&id)
        .bind(now + EXPIRY)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    let added = sqlx::query(ADD)
        .bind(&id)
        .bind(key(sku).as_str())
        .bind(sku.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    is_added(touched.rows_affected() + added.rows_affected(), 2)?;
    Ok(transaction.commit().await?)
}

/// Nobody closes these carts, and no line comes near its limit.
fn is_added(rows: u64, expected: u64) -> Result<()> {
    if rows == expected {
        Ok(())
    } else {
        Err("the cart is closed, or the line is full".into())
    }
}

fn key(sku: &Sku) -> LineKey {
    LineKey::of(sku, &Options::new())
}

fn now() -> i64 {
    micros(SystemClock.now())
}
