//! Tables for people.

use std::fmt::Display;
use std::sync::Arc;

use comfy_table::Cell;
use comfy_table::CellAlignment;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use stockroom::Cart;
use stockroom::Change;
use stockroom::Level;
use stockroom::Movement;
use stockroom::Order;
use stockroom::Product;
use stockroom::Quote;
use stockroom::Sku;
use stockroom::Timestamp;

use crate::shelf::Pick;

/// Starts a part of the output.
pub(crate) fn heading(text: &str) {
    println!("\n{text}");
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn text(content: impl Display) -> Cell {
    Cell::new(content)
}

fn number(content: impl Display) -> Cell {
    Cell::new(content).set_alignment(CellAlignment::Right)
}

/// A counter's change: its sign shown, nothing as nothing.
fn change(units: i64) -> Cell {
    if units == 0 {
        text("")
    } else {
        number(format!("{units:+}"))
    }
}

fn option(content: Option<impl Display>) -> Cell {
    content.map_or_else(|| text(""), text)
}

/// Hours, minutes and seconds, in UTC.
fn clock(at: Timestamp) -> Cell {
    text(format!(
        "{:02}:{:02}:{:02}.{:03}",
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    ))
}

pub(crate) fn products(products: &[Arc<Product>]) -> Table {
    let mut table = table(["product", "style", "from"]);
    for product in products {
        let style = product.attributes.get("style").and_then(|style| style.as_str());
        let from = product.from_price().map_or_else(|| text(""), number);
        table.add_row([text(&product.title), option(style), from]);
    }
    table
}

pub(crate) fn cart(cart: &Cart, picks: &[Pick]) -> Table {
    let mut table = table(["in the cart", "SKU", "quantity"]);
    for line in &cart.lines {
        table.add_row([
            text(title(&line.sku, picks)),
            text(&line.sku),
            number(line.quantity),
        ]);
    }
    table
}

pub(crate) fn quote(quote: &Quote) -> Table {
    let mut table = table(["quoted", "location", "quantity", "each", "tax", "total"]);
    for line in &quote.lines {
        table.add_row([
            text(&line.title),
            text(&line.location),
            number(line.quantity),
            number(line.unit_price),
            number(line.tax),
            number(line.total),
        ]);
    }
    table.add_row([
        text("together"),
        text(""),
        text(""),
        number(quote.subtotal),
        number(quote.tax),
        number(quote.total),
    ]);
    table
}

/// An order with its three statuses in the heading: where it stands, its payment, its fulfilment.
pub(crate) fn order(order: &Order) {
    let reason = order
        .cancel_reason
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    println!(
        "  order {}: {}{reason}, {}, {}",
        order.id,
        order.status,
        order.payment_status(),
        order.fulfilment
    );
    let mut table = table(["line", "sold as", "quantity", "each", "tax", "total"]);
    for line in &order.lines {
        table.add_row([
            number(line.number),
            text(&line.title),
            number(line.quantity),
            number(line.unit_price),
            number(line.tax),
            number(line.total),
        ]);
    }
    table.add_row([
        text(""),
        text("together"),
        text(""),
        number(order.subtotal),
        number(order.tax),
        number(order.total),
    ]);
    println!("{table}");
}

pub(crate) fn history(changes: &[Change]) -> Table {
    let mut table = table(["version", "who", "what", "events", "at (UTC)"]);
    for change in changes {
        table.add_row([
            number(change.version),
            text(&change.actor),
            text(format!("{:?}", change.action).to_lowercase()),
            text(change.events.join(", ")),
            clock(change.at),
        ]);
    }
    table
}

pub(crate) fn levels<'a>(levels: impl Iterator<Item = &'a Level>, picks: &[Pick]) -> Table {
    let mut table = table(["product", "location", "on hand", "allocated", "held", "available"]);
    for level in levels {
        table.add_row([
            text(title(&level.sku, picks)),
            text(&level.location),
            number(level.on_hand),
            number(level.allocated),
            number(level.held),
            number(level.available()),
        ]);
    }
    table
}

pub(crate) fn movements(movements: &[Movement]) -> Table {
    let mut table = table([
        "movement",
        "on hand",
        "allocated",
        "held",
        "of order or hold",
        "at (UTC)",
    ]);
    for movement in movements {
        table.add_row([
            text(movement.kind),
            change(movement.on_hand),
            change(movement.allocated),
            change(movement.held),
            option(movement.reference),
            clock(movement.at),
        ]);
    }
    table
}

fn title<'a>(sku: &'a Sku, picks: &'a [Pick]) -> &'a str {
    picks
        .iter()
        .find(|pick| pick.sku == *sku)
        .map_or(sku.as_str(), |pick| pick.title.as_str())
}
