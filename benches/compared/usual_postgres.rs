//! What one writes by hand on PostgreSQL: a transaction for each order with the stock's rows locked, or one statement for
//! each order. Both write the rows that the shop writes, but for its history and its commit rows.

use sqlx::Connection as _;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::postgres::PgConnection;
use sqlx::query::Query;

use super::sale::Answer;
use super::sale::Line;
use super::sale::Sale;
use crate::support::Result;

const CLAIM: &str = "INSERT INTO stockroom_claims (space, claim_key, owner, fingerprint, created_at) \
     VALUES ('key:checkout.place', $1, $2, $3, $4), ('order.cart', $5::uuid::text, $2, NULL, $4)";

const CART: &str = "UPDATE stockroom_carts SET status = 'ordered', version = version + 1, updated_at = $3 \
     WHERE id = $1 AND version = $2 AND status = 'open' AND expires_at > $3";

const ORDER: &str = "INSERT INTO stockroom_orders (id, version, customer_id, cart_id, status, fulfilment, currency, \
     subtotal, tax, total, authorized, captured, refunded, placed_at, updated_at) \
     VALUES ($1, 1, NULL, $2, 'placed', 'unfulfilled', $3, $4, $5, $6, 0, 0, 0, $7, $7)";

const LINES: &str = "INSERT INTO stockroom_order_lines (order_id, number, sku, product_id, title, options, quantity, \
     unit_price, tax_rate, tax, total, location, shipped) \
     SELECT $1, l.number, l.sku, l.product, l.title, l.options, l.quantity, l.unit_price, l.tax_rate, l.tax, l.total, \
     l.location, 0 FROM unnest($2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], \
     $9::bigint[], $10::bigint[], $11::bigint[], $12::text[]) \
     AS l(number, sku, product, title, options, quantity, unit_price, tax_rate, tax, total, location)";

const MOVEMENTS: &str = "INSERT INTO stockroom_movements (sku, location, kind, on_hand, allocated, held, reference, at, \
     commit_id) SELECT l.sku, l.location, 'allocate', 0, l.quantity, 0, $1, $2, $1 \
     FROM unnest($3::text[], $4::text[], $5::bigint[]) AS l(sku, location, quantity)";

const LOCK: &str = "SELECT l.on_hand - l.allocated - l.held + l.backorder_limit >= r.quantity \
     FROM unnest($1::text[], $2::text[], $3::bigint[]) AS r(sku, location, quantity) \
     JOIN stockroom_levels l ON l.sku = r.sku AND l.location = r.location ORDER BY l.sku, l.location FOR UPDATE OF l";

const TAKE: &str = "UPDATE stockroom_levels l SET allocated = l.allocated + r.quantity, version = l.version + 1, \
     updated_at = $1 FROM unnest($2::text[], $3::text[], $4::bigint[]) AS r(sku, location, quantity) \
     WHERE l.sku = r.sku AND l.location = r.location";

/// All of it at once. The stock's rows are locked first, in their order; nothing is written unless all fits.
const WHOLE: &str = "WITH l AS (SELECT * FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[], $5::text[], \
     $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[]) \
     AS l(number, sku, product, title, options, quantity, unit_price, tax_rate, tax, total, location)), \
     locked AS MATERIALIZED (SELECT s.on_hand - s.allocated - s.held + s.backorder_limit >= l.quantity AS fits \
     FROM l JOIN stockroom_levels s ON s.sku = l.sku AND s.location = l.location ORDER BY s.sku, s.location \
     FOR NO KEY UPDATE OF s), \
     fit AS MATERIALIZED (SELECT bool_and(fits) AND count(*) = cardinality($1::bigint[]) AS ok FROM locked), \
     cart AS (UPDATE stockroom_carts c SET status = 'ordered', version = c.version + 1, updated_at = $12 FROM fit \
     WHERE fit.ok AND c.id = $13 AND c.version = $14 AND c.status = 'open' AND c.expires_at > $12 RETURNING c.id), \
     claimed AS (INSERT INTO stockroom_claims (space, claim_key, owner, fingerprint, created_at) \
     SELECT k.space, k.claim_key, $15, k.fingerprint, $12 FROM cart CROSS JOIN (VALUES \
     ('key:checkout.place', $16, $17), ('order.cart', $13::uuid::text, NULL)) AS k(space, claim_key, fingerprint)), \
     ordered AS (INSERT INTO stockroom_orders (id, version, customer_id, cart_id, status, fulfilment, currency, subtotal, \
     tax, total, authorized, captured, refunded, placed_at, updated_at) \
     SELECT $15, 1, NULL, cart.id, 'placed', 'unfulfilled', $18, $19, $20, $21, 0, 0, 0, $12, $12 FROM cart), \
     lines AS (INSERT INTO stockroom_order_lines (order_id, number, sku, product_id, title, options, quantity, unit_price, \
     tax_rate, tax, total, location, shipped) SELECT $15, l.number, l.sku, l.product, l.title, l.options, l.quantity, \
     l.unit_price, l.tax_rate, l.tax, l.total, l.location, 0 FROM cart CROSS JOIN l), \
     moved AS (INSERT INTO stockroom_movements (sku, location, kind, on_hand, allocated, held, reference, at, commit_id) \
     SELECT l.sku, l.location, 'allocate', 0, l.quantity, 0, $15, $12, $15 FROM cart CROSS JOIN l), \
     taken AS (UPDATE stockroom_levels s SET allocated = s.allocated + l.quantity, version = s.version + 1, \
     updated_at = $12 FROM cart CROSS JOIN l WHERE s.sku = l.sku AND s.location = l.location) \
     SELECT id FROM cart";

/// The usual transaction: nine round trips, the stock's rows last, so that they are locked for the shortest time.
pub(crate) async fn transaction(connection: &mut PgConnection, sale: &Sale) -> Result<Answer> {
    let lines = sale.lines();
    let mut transaction = connection.begin().await?;
    let claim = sqlx::query(CLAIM)
        .bind(&sale.key)
        .bind(sale.id)
        .bind(&sale.fingerprint)
        .bind(sale.now)
        .bind(sale.cart());
    claim.execute(&mut *transaction).await?;
    let cart = sqlx::query(CART)
        .bind(sale.cart())
        .bind(version(sale)?)
        .bind(sale.now);
    if cart.execute(&mut *transaction).await?.rows_affected() != 1 {
        return Err("the cart moved".into());
    }
    let order = sqlx::query(ORDER)
        .bind(sale.id)
        .bind(sale.cart())
        .bind(sale.quote.cart.currency.code())
        .bind(sale.quote.subtotal.minor())
        .bind(sale.quote.tax.minor())
        .bind(sale.quote.total.minor())
        .bind(sale.now);
    order.execute(&mut *transaction).await?;
    bind_lines(sqlx::query(LINES).bind(sale.id), &lines)
        .execute(&mut *transaction)
        .await?;
    bind_steps(sqlx::query(MOVEMENTS).bind(sale.id).bind(sale.now), &lines)
        .execute(&mut *transaction)
        .await?;
    let locked = bind_steps(sqlx::query(LOCK), &lines)
        .fetch_all(&mut *transaction)
        .await?;
    let mut fits = locked.len() == lines.len();
    for row in &locked {
        fits &= sqlx::Row::try_get::<bool, _>(row, 0)?;
    }
    if !fits {
        transaction.rollback().await?;
        return Ok(Answer::Refused);
    }
    bind_steps(sqlx::query(TAKE).bind(sale.now), &lines)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Answer::Placed)
}

/// One statement: one round trip, a commit for each order.
pub(crate) async fn statement(connection: &mut PgConnection, sale: &Sale) -> Result<Answer> {
    let lines = sale.lines();
    let placed = bind_lines(sqlx::query(WHOLE), &lines)
        .bind(sale.now)
        .bind(sale.cart())
        .bind(version(sale)?)
        .bind(sale.id)
        .bind(&sale.key)
        .bind(&sale.fingerprint)
        .bind(sale.quote.cart.currency.code())
        .bind(sale.quote.subtotal.minor())
        .bind(sale.quote.tax.minor())
        .bind(sale.quote.total.minor())
        .fetch_all(connection)
        .await?;
    // Nobody else changes these carts: without a row there was not enough.
    if placed.len() == 1 {
        Ok(Answer::Placed)
    } else {
        Ok(Answer::Refused)
    }
}

fn version(sale: &Sale) -> Result<i64> {
    Ok(i64::try_from(sale.quote.cart.version.get())?)
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

fn bind_lines<'q>(query: Bound<'q>, lines: &[Line]) -> Bound<'q> {
    query
        .bind(column(lines, |line| line.number))
        .bind(column(lines, |line| line.sku.clone()))
        .bind(column(lines, |line| line.product))
        .bind(column(lines, |line| line.title.clone()))
        .bind(column(lines, |line| line.options.clone()))
        .bind(column(lines, |line| line.quantity))
        .bind(column(lines, |line| line.unit_price))
        .bind(column(lines, |line| line.tax_rate))
        .bind(column(lines, |line| line.tax))
        .bind(column(lines, |line| line.total))
        .bind(column(lines, |line| line.location.clone()))
}

fn bind_steps<'q>(query: Bound<'q>, lines: &[Line]) -> Bound<'q> {
    query
        .bind(column(lines, |line| line.sku.clone()))
        .bind(column(lines, |line| line.location.clone()))
        .bind(column(lines, |line| line.quantity))
}

fn column<T>(lines: &[Line], of: fn(&Line) -> T) -> Vec<T> {
    lines.iter().map(of).collect()
}
