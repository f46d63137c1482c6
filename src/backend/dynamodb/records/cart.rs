//! Carts, their lines inside by line key.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use super::TTL;
use super::ends;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::item::entry;
use crate::backend::dynamodb::item::missing;
use crate::backend::dynamodb::json::attribute;
use crate::backend::dynamodb::json::document;
use crate::error::Error;
use crate::error::Result;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::CartStatus;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::LineKey;
use crate::model::MAX_LINE_QUANTITY;
use crate::model::MAX_LINES;
use crate::model::Owner;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::Timestamp;
use crate::model::UserId;
use crate::model::micros;
use crate::spi::store::CartLineStep;

pub(super) const LINES: &str = "lines";
const EXPIRES: &str = "expires_at";

/// How long a guest's cart is kept after its end, for whoever wants to know what became of it.
const KEPT: time::Duration = time::Duration::days(7);

pub(super) fn write(cart: &Cart, now: Timestamp) -> Map {
    let mut item = Map::new();
    item.id("id", cart.id.uuid());
    item.opt_id("user_id", cart.owner.user().map(UserId::uuid));
    item.text("currency", cart.currency.code());
    item.text("status", cart.status.as_str());
    set_end(&mut item, ends(cart.expires_at, now));
    item.time("created_at", cart.created_at);
    item.time("updated_at", cart.updated_at);
    let lines = cart
        .lines
        .iter()
        .map(|line| (line.key.to_string(), write_line(line, line.quantity.get())));
    item.put(LINES, AttributeValue::M(lines.collect()));
    item
}

/// A user's cart is not removed by the service: whoever holds the user's unique key must be there to give it up.
fn set_end(item: &mut Map, end: Timestamp) {
    item.time(EXPIRES, end);
    if !item.contains_key("user_id")
        && let Some(kept) = end.checked_add(KEPT)
    {
        item.int(TTL, kept.unix_timestamp());
    }
}

fn write_line(line: &CartLine, quantity: i64) -> AttributeValue {
    let mut item = Map::new();
    item.text("sku", line.sku.as_str());
    item.put("options", attribute(&line.options));
    item.int("quantity", quantity);
    item.time("added_at", line.added_at);
    AttributeValue::M(item)
}

/// Whether the cart can be changed: open, and not past its end.
pub(in crate::backend::dynamodb) fn is_live(item: &Map, now: Timestamp) -> Result<bool> {
    let open = item.get_text("status")? == CartStatus::Open.as_str();
    Ok(open && is_unexpired(item, now)?)
}

/// Whether the cart is not past its end.
pub(in crate::backend::dynamodb) fn is_unexpired(item: &Map, now: Timestamp) -> Result<bool> {
    Ok(item.get_int(EXPIRES)? > micros(now))
}

/// Adds to a line, and lets the cart live longer.
///
/// # Errors
/// `InvalidInput` past the limits of a line or of a cart.
pub(in crate::backend::dynamodb) fn add(item: &mut Map, step: &CartLineStep, now: Timestamp) -> Result<()> {
    let Some(AttributeValue::M(lines)) = item.get_mut(LINES) else {
        return Err(missing(LINES));
    };
    let key = step.line.key.as_str();
    let before = match lines.get(key) {
        Some(line) => entry(line)?.get_int("quantity")?,
        None if lines.len() >= MAX_LINES => {
            return Err(
                Error::invalid("lines", format!("a cart holds at most {MAX_LINES} lines"))
                    .concerning(format!("cart {}", step.cart)),
            );
        }
        None => 0,
    };
    let after = before.saturating_add(step.line.quantity.get());
    if after > MAX_LINE_QUANTITY {
        return Err(Error::invalid(
            "quantity",
            format!("a line holds at most {MAX_LINE_QUANTITY} units"),
        )
        .concerning(format!("cart {} line {}", step.cart, step.line.sku)));
    }
    match lines.get_mut(key) {
        Some(AttributeValue::M(line)) => line.int("quantity", after),
        _ => {
            lines.insert(key.to_owned(), write_line(&step.line, after));
        }
    }
    let end = ends(Expiry::In(step.ttl), now);
    if end > item.get_time(EXPIRES)? {
        set_end(item, end);
    }
    item.time("updated_at", now);
    Ok(())
}

pub(in crate::backend::dynamodb) fn read(item: &Map) -> Result<Arc<Cart>> {
    let Some(AttributeValue::M(lines)) = item.get(LINES) else {
        return Err(missing(LINES));
    };
    let lines = lines.iter().map(|(key, line)| {
        let line = entry(line)?;
        Ok(CartLine {
            key: LineKey::new(key)?,
            sku: Sku::new(line.get_text("sku")?)?,
            options: document("options", line.get("options"))?,
            quantity: Quantity::new(line.get_int("quantity")?)?,
            added_at: line.get_time("added_at")?,
        })
    });
    let mut lines = lines.collect::<Result<Vec<_>>>()?;
    lines.sort_by(|one, other| (one.added_at, &one.key).cmp(&(other.added_at, &other.key)));
    Ok(Arc::new(Cart {
        id: CartId::from(item.get_id("id")?),
        version: super::version(item)?,
        owner: Owner::from(item.opt_get_id("user_id")?.map(UserId::from)),
        currency: Currency::parse(item.get_text("currency")?)?,
        status: CartStatus::parse(item.get_text("status")?)?,
        lines,
        expires_at: Expiry::At(item.get_time(EXPIRES)?),
        created_at: item.get_time("created_at")?,
        updated_at: item.get_time("updated_at")?,
    }))
}
