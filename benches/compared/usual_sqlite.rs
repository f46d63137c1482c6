//! What one writes by hand on SQLite: a transaction for each order on the one connection that writes, a prepared statement
//! for each row. It writes the rows that the shop writes, but for its history and its commit rows.

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::sale::Answer;
use super::sale::Sale;
use crate::support::Result;

const CLAIM: &str = "INSERT INTO stockroom_claims (space, claim_key, owner, fingerprint, created_at) \
     VALUES ('key:checkout.place', $1, $2, $3, $4), ('order.cart', $5, $2, NULL, $4)";

const CART: &str = "UPDATE stockroom_carts SET status = 'ordered', version = version + 1, updated_at = $3 \
     WHERE id = $1 AND version = $2 AND status = 'open' AND expires_at > $3";

const ORDER: &str = "INSERT INTO stockroom_orders (id, version, customer_id, cart_id, status, fulfilment, currency, \
     subtotal, tax, total, authorized, captured, refunded, placed_at, updated_at) \
     VALUES ($1, 1, NULL, $2, 'placed', 'unfulfilled', $3, $4, $5, $6, 0, 0, 0, $7, $7)";

const LINE: &str = "INSERT INTO stockroom_order_lines (order_id, number, sku, product_id, title, options, quantity, \
     unit_price, tax_rate, tax, total, location, shipped) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0)";

const MOVEMENT: &str = "INSERT INTO stockroom_movements (sku, location, kind, on_hand, allocated, held, reference, at, \
     commit_id) VALUES ($1, $2, 'allocate', 0, $3, 0, $4, $5, $4)";

const TAKE: &str = "UPDATE stockroom_levels SET allocated = allocated + $3, version = version + 1, updated_at = $4 \
     WHERE sku = $1 AND location = $2 AND on_hand - allocated - held + backorder_limit >= $3";

/// The usual transaction; the one write lock of SQLite stands for the locks of rows.
pub(crate) async fn transaction(connection: &mut SqliteConnection, sale: &Sale) -> Result<Answer> {
    let (id, cart) = (sale.id.to_string(), sale.cart().to_string());
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let claim = sqlx::query(CLAIM)
        .bind(&sale.key)
        .bind(&id)
        .bind(&sale.fingerprint)
        .bind(sale.now)
        .bind(&cart);
    claim.execute(&mut *transaction).await?;
    let version = i64::try_from(sale.quote.cart.version.get())?;
    let update = sqlx::query(CART).bind(&cart).bind(version).bind(sale.now);
    if update.execute(&mut *transaction).await?.rows_affected() != 1 {
        return Err("the cart moved".into());
    }
    let order = sqlx::query(ORDER)
        .bind(&id)
        .bind(&cart)
        .bind(sale.quote.cart.currency.code())
        .bind(sale.quote.subtotal.minor())
        .bind(sale.quote.tax.minor())
        .bind(sale.quote.total.minor())
        .bind(sale.now);
    order.execute(&mut *transaction).await?;
    for line in sale.lines() {
        let insert = sqlx::query(LINE)
            .bind(&id)
            .bind(line.number)
            .bind(&line.sku)
            .bind(line.product.to_string())
            .bind(&line.title)
            .bind(&line.options)
            .bind(line.quantity)
            .bind(line.unit_price)
            .bind(line.tax_rate)
            .bind(line.tax)
            .bind(line.total)
            .bind(&line.location);
        insert.execute(&mut *transaction).await?;
        let step = sqlx::query(MOVEMENT)
            .bind(&line.sku)
            .bind(&line.location)
            .bind(line.quantity)
            .bind(&id)
            .bind(sale.now);
        step.execute(&mut *transaction).await?;
        let take = sqlx::query(TAKE)
            .bind(&line.sku)
            .bind(&line.location)
            .bind(line.quantity)
            .bind(sale.now);
        if take.execute(&mut *transaction).await?.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(Answer::Refused);
        }
    }
    transaction.commit().await?;
    Ok(Answer::Placed)
}
