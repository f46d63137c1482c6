//! Orders, their lines inside.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::item::entry;
use crate::backend::dynamodb::json::attribute;
use crate::backend::dynamodb::json::document;
use crate::backend::dynamodb::tables::Index;
use crate::error::Error;
use crate::error::Result;
use crate::model::Address;
use crate::model::CancelReason;
use crate::model::CartId;
use crate::model::Currency;
use crate::model::FulfilmentStatus;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderLine;
use crate::model::OrderStatus;
use crate::model::ProductId;
use crate::model::Quantity;
use crate::model::Settlement;
use crate::model::Sku;
use crate::model::TaxRate;
use crate::model::Timestamp;
use crate::model::UserId;

pub(super) const PARTS: &str = "lines";

pub(super) fn write(order: &Order) -> Map {
    let mut item = Map::new();
    item.id("id", order.id.uuid());
    item.opt_id("customer_id", order.customer.map(UserId::uuid));
    item.opt_id("cart_id", order.cart.map(CartId::uuid));
    item.text("status", order.status.as_str());
    item.text("fulfilment", order.fulfilment.as_str());
    item.text("currency", order.currency.code());
    item.int("subtotal", order.subtotal.minor());
    item.int("tax", order.tax.minor());
    item.int("total", order.total.minor());
    write_settlement(&mut item, order.paid);
    for (name, address) in [("ship_to", &order.ship_to), ("bill_to", &order.bill_to)] {
        if let Some(address) = address {
            item.put(name, attribute(address));
        }
    }
    item.opt_text("email", order.email.as_deref());
    item.opt_text("cancel_reason", order.cancel_reason.map(CancelReason::as_str));
    item.time("placed_at", order.placed_at);
    item.time("updated_at", order.updated_at);
    item.put(
        PARTS,
        AttributeValue::L(order.lines.iter().map(write_line).collect()),
    );
    write_index(order, &mut item);
    item
}

fn write_line(line: &OrderLine) -> AttributeValue {
    let mut item = Map::new();
    item.int("number", i64::from(line.number));
    item.text("sku", line.sku.as_str());
    item.id("product_id", line.product.uuid());
    item.text("title", line.title.as_str());
    item.put("options", attribute(&line.options));
    item.int("quantity", line.quantity.get());
    item.int("unit_price", line.unit_price.minor());
    item.int("tax_rate", i64::from(line.tax_rate.get()));
    item.int("tax", line.tax.minor());
    item.int("total", line.total.minor());
    item.text("location", line.location.as_str());
    item.int("shipped", line.shipped);
    AttributeValue::M(item)
}

fn write_index(order: &Order, item: &mut Map) {
    let id = order.id.to_string();
    let mut enter = |index: Index, partition: String| {
        let (_, pk, sk) = index.names();
        item.text(pk, partition);
        item.text(sk, id.as_str());
    };
    enter(Index::OrderStatus, partition(None, Some(order.status)));
    if let Some(customer) = order.customer {
        enter(Index::Customer, partition(Some(customer), None));
        enter(
            Index::CustomerStatus,
            partition(Some(customer), Some(order.status)),
        );
    }
}

/// The partition of orders of a customer, of a status, or of both.
pub(in crate::backend::dynamodb) fn partition(
    customer: Option<UserId>,
    status: Option<OrderStatus>,
) -> String {
    let customer = customer.map_or_else(String::new, |customer| format!("customer#{customer}#"));
    format!("{customer}{}", status.map_or("", OrderStatus::as_str))
}

/// The counters of money of an order or a payment.
pub(super) fn write_settlement(item: &mut Map, settled: Settlement) {
    item.int("authorized", settled.authorized);
    item.int("captured", settled.captured);
    item.int("refunded", settled.refunded);
}

pub(super) fn read_settlement(item: &Map) -> Result<Settlement> {
    Ok(Settlement {
        authorized: item.get_int("authorized")?,
        captured: item.get_int("captured")?,
        refunded: item.get_int("refunded")?,
    })
}

/// Adds to the counters of money of an order or a payment.
///
/// # Errors
/// `InvalidInput`, field `amount`, where a counter would overflow.
pub(in crate::backend::dynamodb) fn settle(item: &mut Map, more: Settlement, now: Timestamp) -> Result<()> {
    let had = read_settlement(item)?;
    let sum = |had: i64, more: i64| {
        had.checked_add(more)
            .ok_or_else(|| Error::invalid("amount", "is out of range"))
    };
    let sums = Settlement {
        authorized: sum(had.authorized, more.authorized)?,
        captured: sum(had.captured, more.captured)?,
        refunded: sum(had.refunded, more.refunded)?,
    };
    write_settlement(item, sums);
    item.time("updated_at", now);
    Ok(())
}

pub(in crate::backend::dynamodb) fn read(item: &Map) -> Result<Arc<Order>> {
    let currency = Currency::parse(item.get_text("currency")?)?;
    let money = |name| Ok::<_, Error>(Money::new(item.get_int(name)?, currency));
    let address = |name: &'static str| match item.get(name) {
        Some(value) => document::<Address>(name, Some(value)).map(Some),
        None => Ok(None),
    };
    let lines = item
        .get_list(PARTS)?
        .iter()
        .map(|line| read_line(entry(line)?, currency));
    Ok(Arc::new(Order {
        id: OrderId::from(item.get_id("id")?),
        version: super::version(item)?,
        customer: item.opt_get_id("customer_id")?.map(UserId::from),
        cart: item.opt_get_id("cart_id")?.map(CartId::from),
        status: OrderStatus::parse(item.get_text("status")?)?,
        fulfilment: FulfilmentStatus::parse(item.get_text("fulfilment")?)?,
        currency,
        subtotal: money("subtotal")?,
        tax: money("tax")?,
        total: money("total")?,
        paid: read_settlement(item)?,
        ship_to: address("ship_to")?,
        bill_to: address("bill_to")?,
        email: item.opt_get_text("email")?.map(str::to_owned),
        cancel_reason: item
            .opt_get_text("cancel_reason")?
            .map(CancelReason::parse)
            .transpose()?,
        lines: lines.collect::<Result<_>>()?,
        placed_at: item.get_time("placed_at")?,
        updated_at: item.get_time("updated_at")?,
    }))
}

fn read_line(line: &Map, currency: Currency) -> Result<OrderLine> {
    let small = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(OrderLine {
        number: small(line.get_int("number")?),
        sku: Sku::new(line.get_text("sku")?)?,
        product: ProductId::from(line.get_id("product_id")?),
        title: line.get_text("title")?.to_owned(),
        options: document("options", line.get("options"))?,
        quantity: Quantity::new(line.get_int("quantity")?)?,
        unit_price: Money::new(line.get_int("unit_price")?, currency),
        tax_rate: TaxRate::basis_points(small(line.get_int("tax_rate")?))?,
        tax: Money::new(line.get_int("tax")?, currency),
        total: Money::new(line.get_int("total")?, currency),
        location: LocationId::new(line.get_text("location")?)?,
        shipped: line.get_int("shipped")?,
    })
}
