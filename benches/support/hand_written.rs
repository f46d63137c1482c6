//! The reads as one would write them by hand with sqlx: one statement, the same columns and the same aggregation of lines,
//! decoded by position into the same types.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::postgres::PgPool;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqliteRow;
use stockroom::Address;
use stockroom::CancelReason;
use stockroom::Cart;
use stockroom::CartId;
use stockroom::CartLine;
use stockroom::CartStatus;
use stockroom::Currency;
use stockroom::Expiry;
use stockroom::FulfilmentStatus;
use stockroom::LineKey;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::Order;
use stockroom::OrderId;
use stockroom::OrderLine;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::Product;
use stockroom::ProductId;
use stockroom::ProductStatus;
use stockroom::Quantity;
use stockroom::Settlement;
use stockroom::Sku;
use stockroom::Slug;
use stockroom::TaxRate;
use stockroom::UserId;
use stockroom::Variant;
use stockroom::Version;
use stockroom::from_micros;
use uuid::Uuid;

use crate::support::Result;

/// An application's own reads.
#[derive(Debug, Clone)]
pub(crate) enum HandWritten {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl HandWritten {
    pub(crate) async fn product(&self, id: Uuid) -> Result<Product> {
        match self {
            Self::Postgres(pool) => postgres::product(pool, id).await,
            Self::Sqlite(pool) => sqlite::product(pool, id).await,
        }
    }

    pub(crate) async fn cart(&self, id: Uuid) -> Result<Cart> {
        match self {
            Self::Postgres(pool) => postgres::cart(pool, id).await,
            Self::Sqlite(pool) => sqlite::cart(pool, id).await,
        }
    }

    pub(crate) async fn order(&self, id: Uuid) -> Result<Order> {
        match self {
            Self::Postgres(pool) => postgres::order(pool, id).await,
            Self::Sqlite(pool) => sqlite::order(pool, id).await,
        }
    }

    pub(crate) async fn products(&self, ids: &[Uuid]) -> Result<Vec<Option<Product>>> {
        match self {
            Self::Postgres(pool) => postgres::products(pool, ids).await,
            Self::Sqlite(pool) => sqlite::products(pool, ids).await,
        }
    }

    pub(crate) async fn carts(&self, ids: &[Uuid]) -> Result<Vec<Option<Cart>>> {
        match self {
            Self::Postgres(pool) => postgres::carts(pool, ids).await,
            Self::Sqlite(pool) => sqlite::carts(pool, ids).await,
        }
    }

    pub(crate) async fn orders(&self, ids: &[Uuid]) -> Result<Vec<Option<Order>>> {
        match self {
            Self::Postgres(pool) => postgres::orders(pool, ids).await,
            Self::Sqlite(pool) => sqlite::orders(pool, ids).await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

type VariantColumns = (String, Option<String>, String, String, u32);
type CartLineColumns = (String, String, String, i64, i64);
type OrderLineColumns = (
    u32,
    String,
    Uuid,
    String,
    String,
    i64,
    i64,
    u32,
    i64,
    i64,
    String,
    i64,
);

fn variant((sku, title, options, prices, tax): VariantColumns) -> Result<Variant> {
    Ok(Variant {
        sku: Sku::new(sku)?,
        title,
        options: serde_json::from_str(&options)?,
        prices: serde_json::from_str(&prices)?,
        tax: TaxRate::basis_points(tax)?,
    })
}

fn cart_line((key, sku, options, quantity, added_at): CartLineColumns) -> Result<CartLine> {
    Ok(CartLine {
        key: LineKey::new(key)?,
        sku: Sku::new(sku)?,
        options: serde_json::from_str(&options)?,
        quantity: Quantity::new(quantity)?,
        added_at: from_micros(added_at)?,
    })
}

fn order_line(columns: OrderLineColumns, currency: Currency) -> Result<OrderLine> {
    let (number, sku, product, title, options, quantity, unit_price, tax_rate, tax, total, location, shipped) =
        columns;
    Ok(OrderLine {
        number,
        sku: Sku::new(sku)?,
        product: ProductId::from(product),
        title,
        options: serde_json::from_str(&options)?,
        quantity: Quantity::new(quantity)?,
        unit_price: Money::new(unit_price, currency),
        tax_rate: TaxRate::basis_points(tax_rate)?,
        tax: Money::new(tax, currency),
        total: Money::new(total, currency),
        location: LocationId::new(location)?,
        shipped,
    })
}

fn parts<T: serde::de::DeserializeOwned>(text: Option<String>) -> Result<Vec<T>> {
    text.map_or_else(|| Ok(Vec::new()), |text| Ok(serde_json::from_str(&text)?))
}

fn in_order<T>(ids: &[Uuid], found: impl Iterator<Item = Result<(Uuid, T)>>) -> Result<Vec<Option<T>>> {
    let mut found: HashMap<Uuid, T> = found.collect::<Result<_>>()?;
    Ok(ids.iter().map(|id| found.remove(id)).collect())
}

/// The three statements, with the words that the engines spell differently; `$test` follows the column of the id.
macro_rules! product_sql {
    ($rows:literal, $from:literal, $test:literal) => {
        concat!(
            "SELECT p.id, p.version, p.slug, p.title, p.description, p.category, p.attributes, p.status, p.created_at, \
             p.updated_at, (SELECT ",
            $rows,
            "v.sku, v.title, v.options, v.prices, v.tax) ORDER BY v.position",
            $from,
            "stockroom_variants v WHERE v.product_id = p.id) FROM stockroom_products p WHERE p.id ",
            $test
        )
    };
}

macro_rules! cart_sql {
    ($rows:literal, $from:literal, $now:literal, $test:literal) => {
        concat!(
            "SELECT c.id, c.version, c.user_id, c.currency, c.status, c.expires_at, c.created_at, c.updated_at, (SELECT ",
            $rows,
            "l.line_key, l.sku, l.options, l.quantity, l.added_at) ORDER BY l.added_at, l.line_key",
            $from,
            "stockroom_cart_lines l WHERE l.cart_id = c.id) FROM stockroom_carts c WHERE c.expires_at > ",
            $now,
            " AND c.id ",
            $test
        )
    };
}

macro_rules! order_sql {
    ($rows:literal, $from:literal, $test:literal) => {
        concat!(
            "SELECT o.id, o.version, o.customer_id, o.cart_id, o.status, o.fulfilment, o.currency, o.subtotal, o.tax, \
             o.total, o.authorized, o.captured, o.refunded, o.ship_to, o.bill_to, o.email, o.cancel_reason, \
             o.placed_at, o.updated_at, (SELECT ",
            $rows,
            "l.number, l.sku, l.product_id, l.title, l.options, l.quantity, l.unit_price, l.tax_rate, l.tax, l.total, \
             l.location, l.shipped) ORDER BY l.number",
            $from,
            "stockroom_order_lines l WHERE l.order_id = o.id) FROM stockroom_orders o WHERE o.id ",
            $test
        )
    };
}

/// The reads of one engine: the same code over its own pool and row types.
macro_rules! reads {
    ($engine:ident, $pool:ty, $row:ty, $rows:literal, $from:literal, $now:literal, $many:literal, $id:path, $bind:path, $bind_many:path) => {
        mod $engine {
            use super::*;

            pub(super) async fn product(pool: &$pool, id: Uuid) -> Result<Product> {
                let row = sqlx::query(product_sql!($rows, $from, "= $1"))
                    .bind($bind(id))
                    .fetch_one(pool)
                    .await?;
                read_product(&row)
            }

            pub(super) async fn cart(pool: &$pool, id: Uuid) -> Result<Cart> {
                let row = sqlx::query(cart_sql!($rows, $from, $now, "= $1"))
                    .bind($bind(id))
                    .fetch_one(pool)
                    .await?;
                read_cart(&row)
            }

            pub(super) async fn order(pool: &$pool, id: Uuid) -> Result<Order> {
                let row = sqlx::query(order_sql!($rows, $from, "= $1"))
                    .bind($bind(id))
                    .fetch_one(pool)
                    .await?;
                read_order(&row)
            }

            pub(super) async fn products(pool: &$pool, ids: &[Uuid]) -> Result<Vec<Option<Product>>> {
                let query = sqlx::query(product_sql!($rows, $from, $many)).bind($bind_many(ids)?);
                let rows = query.fetch_all(pool).await?;
                in_order(
                    ids,
                    rows.iter()
                        .map(|row| Ok(($id(row, 0)?, read_product(row)?))),
                )
            }

            pub(super) async fn carts(pool: &$pool, ids: &[Uuid]) -> Result<Vec<Option<Cart>>> {
                let query = sqlx::query(cart_sql!($rows, $from, $now, $many)).bind($bind_many(ids)?);
                let rows = query.fetch_all(pool).await?;
                in_order(
                    ids,
                    rows.iter().map(|row| Ok(($id(row, 0)?, read_cart(row)?))),
                )
            }

            pub(super) async fn orders(pool: &$pool, ids: &[Uuid]) -> Result<Vec<Option<Order>>> {
                let query = sqlx::query(order_sql!($rows, $from, $many)).bind($bind_many(ids)?);
                let rows = query.fetch_all(pool).await?;
                in_order(
                    ids,
                    rows.iter().map(|row| Ok(($id(row, 0)?, read_order(row)?))),
                )
            }

            fn opt_id(row: &$row, column: usize) -> Result<Option<Uuid>> {
                use sqlx::ValueRef as _;
                if row.try_get_raw(column)?.is_null() {
                    Ok(None)
                } else {
                    $id(row, column).map(Some)
                }
            }

            fn read_product(row: &$row) -> Result<Product> {
                let variants: Vec<VariantColumns> = parts(row.try_get(10)?)?;
                Ok(Product {
                    id: ProductId::from($id(row, 0)?),
                    version: Version::try_from(row.try_get::<i64, _>(1)?)?,
                    slug: Slug::new(row.try_get::<String, _>(2)?)?,
                    title: row.try_get(3)?,
                    description: row.try_get(4)?,
                    category: row
                        .try_get::<Option<String>, _>(5)?
                        .map(Slug::new)
                        .transpose()?,
                    attributes: serde_json::from_str(row.try_get(6)?)?,
                    status: ProductStatus::parse(row.try_get(7)?)?,
                    variants: variants.into_iter().map(variant).collect::<Result<_>>()?,
                    created_at: from_micros(row.try_get(8)?)?,
                    updated_at: from_micros(row.try_get(9)?)?,
                })
            }

            fn read_cart(row: &$row) -> Result<Cart> {
                let lines: Vec<CartLineColumns> = parts(row.try_get(8)?)?;
                Ok(Cart {
                    id: CartId::from($id(row, 0)?),
                    version: Version::try_from(row.try_get::<i64, _>(1)?)?,
                    owner: Owner::from(opt_id(row, 2)?.map(UserId::from)),
                    currency: Currency::parse(row.try_get(3)?)?,
                    status: CartStatus::parse(row.try_get(4)?)?,
                    lines: lines.into_iter().map(cart_line).collect::<Result<_>>()?,
                    expires_at: Expiry::At(from_micros(row.try_get(5)?)?),
                    created_at: from_micros(row.try_get(6)?)?,
                    updated_at: from_micros(row.try_get(7)?)?,
                })
            }

            fn read_order(row: &$row) -> Result<Order> {
                let currency = Currency::parse(row.try_get(6)?)?;
                let address = |text: Option<&str>| text.map(serde_json::from_str::<Address>).transpose();
                let lines: Vec<OrderLineColumns> = parts(row.try_get(19)?)?;
                Ok(Order {
                    id: OrderId::from($id(row, 0)?),
                    version: Version::try_from(row.try_get::<i64, _>(1)?)?,
                    customer: opt_id(row, 2)?.map(UserId::from),
                    cart: opt_id(row, 3)?.map(CartId::from),
                    status: OrderStatus::parse(row.try_get(4)?)?,
                    fulfilment: FulfilmentStatus::parse(row.try_get(5)?)?,
                    currency,
                    subtotal: Money::new(row.try_get(7)?, currency),
                    tax: Money::new(row.try_get(8)?, currency),
                    total: Money::new(row.try_get(9)?, currency),
                    paid: Settlement {
                        authorized: row.try_get(10)?,
                        captured: row.try_get(11)?,
                        refunded: row.try_get(12)?,
                    },
                    ship_to: address(row.try_get(13)?)?,
                    bill_to: address(row.try_get(14)?)?,
                    email: row.try_get(15)?,
                    cancel_reason: row
                        .try_get::<Option<&str>, _>(16)?
                        .map(CancelReason::parse)
                        .transpose()?,
                    lines: lines
                        .into_iter()
                        .map(|line| order_line(line, currency))
                        .collect::<Result<_>>()?,
                    placed_at: from_micros(row.try_get(17)?)?,
                    updated_at: from_micros(row.try_get(18)?)?,
                })
            }
        }
    };
}

reads!(
    postgres,
    PgPool,
    PgRow,
    "json_agg(json_build_array(",
    ")::text FROM ",
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    "= ANY($1)",
    native_id,
    std::convert::identity,
    native_ids
);

reads!(
    sqlite,
    SqlitePool,
    SqliteRow,
    "json_group_array(json_array(",
    ") FROM ",
    "CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)",
    "IN (SELECT value FROM json_each($1))",
    text_id,
    id_text,
    id_texts
);

fn native_id(row: &PgRow, column: usize) -> Result<Uuid> {
    Ok(row.try_get(column)?)
}

fn native_ids(ids: &[Uuid]) -> Result<&[Uuid]> {
    Ok(ids)
}

fn text_id(row: &SqliteRow, column: usize) -> Result<Uuid> {
    Ok(Uuid::parse_str(row.try_get(column)?)?)
}

fn id_text(id: Uuid) -> String {
    id.to_string()
}

fn id_texts(ids: &[Uuid]) -> Result<String> {
    Ok(serde_json::to_string(ids)?)
}
