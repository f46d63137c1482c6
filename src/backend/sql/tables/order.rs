//! Orders and their lines.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

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
use crate::backend::sql::filter;
use crate::backend::sql::filter::Filter;
use crate::backend::sql::rows::RowWriter;
use crate::backend::sql::rows::Rows;
use crate::error::Result;
use crate::model::Address;
use crate::model::Aggregate;
use crate::model::CancelReason;
use crate::model::CartId;
use crate::model::Currency;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::FulfilmentStatus;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::Options;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderLine;
use crate::model::OrderStatus;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::ProductId;
use crate::model::Quantity;
use crate::model::Record;
use crate::model::Settlement;
use crate::model::Sku;
use crate::model::TaxRate;
use crate::model::UserId;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::spi::store::OrderQuery;
use crate::spi::store::OrderReader;

pub(in crate::backend::sql) static ROOT: Root = Root {
    aggregate: Aggregate::Order,
    table: "orders",
    key: &[Column("id", Kind::Id)],
    insert: &COLUMNS,
    update: &COLUMNS,
    delta: &[
        Change::Add("authorized"),
        Change::Add("captured"),
        Change::Add("refunded"),
    ],
    live: None,
    part: Some(&LINES),
    columns: write_columns,
    parts: write_lines,
};

const COLUMNS: [Column; 17] = [
    Column("customer_id", Kind::Id),
    Column("cart_id", Kind::Id),
    Column("status", Kind::Text),
    Column("fulfilment", Kind::Text),
    Column("currency", Kind::Text),
    Column("subtotal", Kind::Int),
    Column("tax", Kind::Int),
    Column("total", Kind::Int),
    Column("authorized", Kind::Int),
    Column("captured", Kind::Int),
    Column("refunded", Kind::Int),
    Column("ship_to", Kind::Text),
    Column("bill_to", Kind::Text),
    Column("email", Kind::Text),
    Column("cancel_reason", Kind::Text),
    Column("placed_at", Kind::Int),
    Column("updated_at", Kind::Int),
];

static LINES: Part = Part {
    table: "order_lines",
    owner: "order_id",
    columns: &[
        Column("order_id", Kind::Id),
        Column("number", Kind::Int),
        Column("sku", Kind::Text),
        Column("product_id", Kind::Id),
        Column("title", Kind::Text),
        Column("options", Kind::Text),
        Column("quantity", Kind::Int),
        Column("unit_price", Kind::Int),
        Column("tax_rate", Kind::Int),
        Column("tax", Kind::Int),
        Column("total", Kind::Int),
        Column("location", Kind::Text),
        Column("shipped", Kind::Int),
    ],
};

fn write_columns(record: &Record, row: &mut RowWriter<'_>, _: Verb) {
    let Record::Order(order) = record else { return };
    row.opt_id(order.customer.map(UserId::uuid));
    row.opt_id(order.cart.map(CartId::uuid));
    row.text(order.status.as_str());
    row.text(order.fulfilment.as_str());
    row.text(order.currency.code());
    row.int(order.subtotal.minor());
    row.int(order.tax.minor());
    row.int(order.total.minor());
    row.int(order.paid.authorized);
    row.int(order.paid.captured);
    row.int(order.paid.refunded);
    opt_json(row, order.ship_to.as_ref());
    opt_json(row, order.bill_to.as_ref());
    row.opt_text(order.email.as_deref());
    row.opt_text(order.cancel_reason.map(CancelReason::as_str));
    row.time(order.placed_at);
    row.time(order.updated_at);
}

fn opt_json(row: &mut RowWriter<'_>, address: Option<&Address>) {
    match address {
        Some(address) => row.json(address),
        None => row.opt_text(None),
    }
}

fn write_lines(record: &Record, rows: &mut Rows) {
    let Record::Order(order) = record else { return };
    for line in &order.lines {
        let mut row = rows.row();
        row.id(order.id.uuid());
        row.int(i64::from(line.number));
        row.text(line.sku.as_str());
        row.id(line.product.uuid());
        row.text(&line.title);
        row.json(&line.options);
        row.int(line.quantity.get());
        row.int(line.unit_price.minor());
        row.int(i64::from(line.tax_rate.get()));
        row.int(line.tax.minor());
        row.int(line.total.minor());
        row.text(line.location.as_str());
        row.int(line.shipped);
    }
}

macro_rules! select {
    ($name:literal: $($rest:tt)*) => {
        statement!($name:
            "SELECT o.id, o.version, o.customer_id, o.cart_id, o.status, o.fulfilment, o.currency, o.subtotal, o.tax, \
             o.total, o.authorized, o.captured, o.refunded, o.ship_to, o.bill_to, o.email, o.cancel_reason, \
             o.placed_at, o.updated_at, "
            rows "l.number, l.sku, l.product_id, l.title, l.options, l.quantity, l.unit_price, l.tax_rate, l.tax, \
                  l.total, l.location, l.shipped" by "l.number" from
            "stockroom_order_lines l WHERE l.order_id = o.id" end
            $($rest)*
        )
    };
}

pub(in crate::backend::sql) const GET: Keyed = Keyed {
    one: select!("order.get": " FROM stockroom_orders o WHERE o.id = $1"),
    many: select!("order.get_many": " FROM stockroom_orders o WHERE o.id" ids1),
};

/// The head of a list; what follows is composed from constants.
const LIST: Statement = select!("order.list": " FROM stockroom_orders o WHERE true");

#[derive(Deserialize)]
struct LineRow(
    u32,
    String,
    uuid::Uuid,
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

fn read<R: Reads>(row: &R::Row) -> Result<Arc<Order>> {
    let currency = Currency::parse(&R::text(row, 6)?)?;
    let lines: Vec<LineRow> = parts("order lines", R::opt_text(row, 19)?)?;
    let address = |text: Option<String>| {
        text.map(|text| document::<Address>("order address", &text))
            .transpose()
    };
    Ok(Arc::new(Order {
        id: OrderId::from(R::id(row, 0)?),
        version: super::version(R::int(row, 1)?)?,
        customer: R::opt_id(row, 2)?.map(UserId::from),
        cart: R::opt_id(row, 3)?.map(CartId::from),
        status: OrderStatus::parse(&R::text(row, 4)?)?,
        fulfilment: FulfilmentStatus::parse(&R::text(row, 5)?)?,
        currency,
        subtotal: Money::new(R::int(row, 7)?, currency),
        tax: Money::new(R::int(row, 8)?, currency),
        total: Money::new(R::int(row, 9)?, currency),
        paid: Settlement {
            authorized: R::int(row, 10)?,
            captured: R::int(row, 11)?,
            refunded: R::int(row, 12)?,
        },
        ship_to: address(R::opt_text(row, 13)?)?,
        bill_to: address(R::opt_text(row, 14)?)?,
        email: R::opt_text(row, 15)?,
        cancel_reason: R::opt_text(row, 16)?
            .map(|text| CancelReason::parse(&text))
            .transpose()?,
        lines: lines
            .into_iter()
            .map(|line| read_line(line, currency))
            .collect::<Result<_>>()?,
        placed_at: from_micros(R::int(row, 17)?)?,
        updated_at: from_micros(R::int(row, 18)?)?,
    }))
}

fn read_line(line: LineRow, currency: Currency) -> Result<OrderLine> {
    let LineRow(
        number,
        sku,
        product,
        title,
        options,
        quantity,
        unit_price,
        tax_rate,
        tax,
        total,
        location,
        shipped,
    ) = line;
    let options: Options = document("line.options", &options)?;
    Ok(OrderLine {
        number,
        sku: Sku::new(sku)?,
        product: ProductId::from(product),
        title,
        options,
        quantity: Quantity::new(quantity)?,
        unit_price: Money::new(unit_price, currency),
        tax_rate: TaxRate::basis_points(tax_rate)?,
        tax: Money::new(tax, currency),
        total: Money::new(total, currency),
        location: LocationId::new(location)?,
        shipped,
    })
}

/// Reads orders of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlOrders<R>(pub(in crate::backend::sql) Arc<R>);

#[async_trait]
impl<R: Reads> OrderReader for SqlOrders<R> {
    async fn get_many(&self, ids: &[OrderId], deadline: Deadline) -> Result<Vec<Option<Arc<Order>>>> {
        let (text, arg) = GET.ids(ids.iter().map(|id| id.uuid()));
        let rows = self.0.fetch(text, vec![arg], deadline).await?;
        let found = rows.iter().map(read::<R>).collect::<Result<Vec<_>>>()?;
        Ok(in_order(
            ids.iter().copied(),
            found.into_iter().map(|order| (order.id, order)).collect(),
        ))
    }

    async fn list(
        &self,
        query: &OrderQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Order>>> {
        let mut filter = Filter::new(R::spell(&LIST));
        if let Some(customer) = query.customer {
            filter.and("o.customer_id = ?", [Arg::Id(customer.uuid())]);
        }
        if let Some(status) = query.status {
            filter.and("o.status = ?", [Arg::Text(status.as_str().to_owned())]);
        }
        match page.position(query.digest())?.as_deref() {
            None => {}
            Some([CursorValue::Text(id)]) => {
                filter.and("o.id < ?", [Arg::Id(filter::id(id)?)]);
            }
            _ => return Err(filter::bad_cursor()),
        }
        let (sql, args) = filter.page("o.id DESC", page);
        let rows = self.0.fetch(Text::Composed(sql), args, deadline).await?;
        let items = rows.iter().map(read::<R>).collect::<Result<Vec<_>>>()?;
        let after =
            |last: &Arc<Order>| Cursor::encode(query.digest(), &[CursorValue::Text(last.id.to_string())]);
        Ok(Page::cut(items, page, after))
    }
}
