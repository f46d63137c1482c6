//! Carts and their lines.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use uuid::Uuid;

use super::Change;
use super::Column;
use super::Kind;
use super::Part;
use super::Root;
use super::Verb;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Keyed;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::dialect::document;
use crate::backend::sql::dialect::in_order;
use crate::backend::sql::dialect::parts;
use crate::backend::sql::dialect::statement;
use crate::backend::sql::rows::RowWriter;
use crate::backend::sql::rows::Rows;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::CartStatus;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::LineKey;
use crate::model::Options;
use crate::model::Owner;
use crate::model::Quantity;
use crate::model::Record;
use crate::model::Sku;
use crate::model::UserId;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::spi::store::CartReader;

pub(in crate::backend::sql) static ROOT: Root = Root {
    aggregate: Aggregate::Cart,
    table: "carts",
    key: &[Column("id", Kind::Id)],
    insert: &COLUMNS,
    update: &COLUMNS,
    delta: &[Change::Expire("expires_at")],
    live: Some("t.status = 'open' AND t.expires_at > {now}"),
    part: Some(&LINES),
    columns: write_columns,
    parts: write_lines,
};

const COLUMNS: [Column; 6] = [
    Column("user_id", Kind::Id),
    Column("currency", Kind::Text),
    Column("status", Kind::Text),
    Column("expires_at", Kind::Expiry),
    Column("created_at", Kind::Int),
    Column("updated_at", Kind::Int),
];

static LINES: Part = Part {
    table: "cart_lines",
    owner: "cart_id",
    columns: &[
        Column("cart_id", Kind::Id),
        Column("line_key", Kind::Text),
        Column("sku", Kind::Text),
        Column("options", Kind::Text),
        Column("quantity", Kind::Int),
        Column("added_at", Kind::Int),
    ],
};

fn write_columns(record: &Record, row: &mut RowWriter<'_>, _: Verb) {
    let Record::Cart(cart) = record else { return };
    row.opt_id(match cart.owner {
        Owner::User(user) => Some(user.uuid()),
        _ => None,
    });
    row.text(cart.currency.code());
    row.text(cart.status.as_str());
    row.expiry(cart.expires_at);
    row.time(cart.created_at);
    row.time(cart.updated_at);
}

fn write_lines(record: &Record, rows: &mut Rows) {
    let Record::Cart(cart) = record else { return };
    for line in &cart.lines {
        write_line(cart.id.uuid(), line, line.quantity.get(), &mut rows.row());
    }
}

/// One line of a cart, or what is added to it.
pub(in crate::backend::sql) fn write_line(
    cart: Uuid,
    line: &CartLine,
    quantity: i64,
    row: &mut RowWriter<'_>,
) {
    row.id(cart);
    row.text(line.key.as_str());
    row.text(line.sku.as_str());
    row.json(&line.options);
    row.int(quantity);
    row.time(line.added_at);
}

macro_rules! select {
    ($name:literal: $($rest:tt)*) => {
        statement!($name:
            "SELECT c.id, c.version, c.user_id, c.currency, c.status, c.expires_at, c.created_at, c.updated_at, "
            rows "l.line_key, l.sku, l.options, l.quantity, l.added_at" by "l.added_at, l.line_key" from
            "stockroom_cart_lines l WHERE l.cart_id = c.id" end
            $($rest)*
        )
    };
}

pub(in crate::backend::sql) const GET: Keyed = Keyed {
    one: select!("cart.get": " FROM stockroom_carts c WHERE c.expires_at > " now " AND c.id = $2"),
    many: select!("cart.get_many": " FROM stockroom_carts c WHERE c.expires_at > " now " AND c.id" ids2),
};

pub(in crate::backend::sql) const ACTIVE: Statement = select!("cart.find_active":
    " FROM stockroom_claims k JOIN stockroom_carts c ON c.id = k.owner \
      WHERE c.expires_at > " now " AND c.status = 'open' AND k.space = 'cart.owner' AND k.claim_key = $2");

#[derive(Deserialize)]
struct LineRow(String, String, String, i64, i64);

fn read<R: Reads>(row: &R::Row) -> Result<Arc<Cart>> {
    let lines: Vec<LineRow> = parts("cart lines", R::opt_text(row, 8)?)?;
    let lines = lines
        .into_iter()
        .map(|LineRow(key, sku, options, quantity, added_at)| {
            let options: Options = document("line.options", &options)?;
            Ok(CartLine {
                key: LineKey::new(key)?,
                sku: Sku::new(sku)?,
                options,
                quantity: Quantity::new(quantity)?,
                added_at: from_micros(added_at)?,
            })
        });
    Ok(Arc::new(Cart {
        id: CartId::from(R::id(row, 0)?),
        version: super::version(R::int(row, 1)?)?,
        owner: R::opt_id(row, 2)?.map_or(Owner::Guest, |user| Owner::User(UserId::from(user))),
        currency: Currency::parse(&R::text(row, 3)?)?,
        status: CartStatus::parse(&R::text(row, 4)?)?,
        lines: lines.collect::<Result<_>>()?,
        expires_at: Expiry::At(from_micros(R::int(row, 5)?)?),
        created_at: from_micros(R::int(row, 6)?)?,
        updated_at: from_micros(R::int(row, 7)?)?,
    }))
}

/// Reads carts of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlCarts<R>(pub(in crate::backend::sql) Arc<R>);

#[async_trait]
impl<R: Reads> CartReader for SqlCarts<R> {
    async fn get_many(&self, ids: &[CartId], deadline: Deadline) -> Result<Vec<Option<Arc<Cart>>>> {
        let (text, arg) = GET.ids(ids.iter().map(|id| id.uuid()));
        let args = vec![Arg::Int(self.0.shift()), arg];
        let rows = self.0.fetch(text, args, deadline).await?;
        let found = rows.iter().map(read::<R>).collect::<Result<Vec<_>>>()?;
        Ok(in_order(
            ids.iter().copied(),
            found.into_iter().map(|cart| (cart.id, cart)).collect(),
        ))
    }

    async fn find_active(&self, user: UserId, deadline: Deadline) -> Result<Option<Arc<Cart>>> {
        let args = vec![Arg::Int(self.0.shift()), Arg::Text(user.to_string())];
        let rows = self.0.fetch(Text::Constant(ACTIVE), args, deadline).await?;
        rows.first().map(read::<R>).transpose()
    }
}
