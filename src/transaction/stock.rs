//! The stock steps of holds and orders: one a level, whatever number of lines it serves.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Error;
use crate::error::Result;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::HoldLine;
use crate::model::LocationId;
use crate::model::Order;
use crate::model::OrderLine;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::text::check_line;
use crate::spi::store::StockStep;

/// The longest that stock can be held.
const LONGEST_HOLD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Quantities by level: a level that serves two lines is asked once for their sum.
type ByLevel = BTreeMap<(Sku, LocationId), i64>;

/// The steps that promise the lines of an order to it.
pub(crate) fn allocate(order: &Order) -> Result<Vec<StockStep>> {
    let levels = by_level(
        order
            .lines
            .iter()
            .map(|line| (&line.sku, &line.location, line.quantity.get())),
    );
    steps(levels, |sku, location, quantity| {
        StockStep::allocate(sku, location, quantity, order.id)
    })
}

/// The steps that give up what is promised to an order and not sent.
pub(crate) fn release(order: &Order) -> Result<Vec<StockStep>> {
    let left = order.lines.iter().filter(|line| line.outstanding() > 0);
    let levels = by_level(left.map(|line| (&line.sku, &line.location, line.outstanding())));
    steps(levels, |sku, location, quantity| {
        StockStep::release(sku, location, quantity, order.id)
    })
}

/// The steps of sending so many of these lines, by number.
pub(crate) fn ship(order: &Order, lines: &[(u32, Quantity)]) -> Result<Vec<StockStep>> {
    let levels = by_level(numbered(order, lines)?);
    steps(levels, |sku, location, quantity| {
        StockStep::ship(sku, location, quantity, order.id)
    })
}

/// The steps of taking so many of these lines, by number, back to the shelf.
pub(crate) fn restock(order: &Order, lines: &[(u32, Quantity)]) -> Result<Vec<StockStep>> {
    let levels = by_level(numbered(order, lines)?);
    steps(levels, |sku, location, quantity| {
        StockStep::restock(sku, location, quantity, order.id)
    })
}

/// The steps of a new hold.
///
/// # Errors
/// `InvalidInput` without lines, or on a length of nothing or past 30 days.
pub(crate) fn hold(lines: &[HoldLine], id: HoldId, ttl: Duration) -> Result<Vec<StockStep>> {
    if lines.is_empty() {
        return Err(Error::invalid("lines", "must name what is held"));
    }
    if ttl.is_zero() || ttl > LONGEST_HOLD {
        return Err(Error::invalid(
            "ttl",
            "must be more than nothing and at most 30 days",
        ));
    }
    let levels = by_level(
        lines
            .iter()
            .map(|line| (&line.sku, &line.location, line.quantity.get())),
    );
    steps(levels, |sku, location, quantity| {
        StockStep::hold(sku, location, quantity, id, ttl)
    })
}

/// The lines of an order as those of a hold.
pub(crate) fn hold_lines(order: &Order) -> Vec<HoldLine> {
    let line = |line: &OrderLine| HoldLine {
        sku: line.sku.clone(),
        location: line.location.clone(),
        quantity: line.quantity,
    };
    order.lines.iter().map(line).collect()
}

/// The lines that a hold has once it is stored: one a level.
pub(crate) fn merged(lines: &[HoldLine]) -> Result<Vec<HoldLine>> {
    let levels = by_level(
        lines
            .iter()
            .map(|line| (&line.sku, &line.location, line.quantity.get())),
    );
    let line = |((sku, location), quantity)| {
        Ok(HoldLine {
            sku,
            location,
            quantity: Quantity::new(quantity)?,
        })
    };
    levels.into_iter().map(line).collect()
}

/// How many units a hold keeps on a level.
pub(crate) fn held_by(hold: &Hold, sku: &Sku, location: &LocationId) -> i64 {
    let of_level = hold
        .lines
        .iter()
        .filter(|line| line.sku == *sku && line.location == *location);
    of_level.map(|line| line.quantity.get()).sum()
}

/// The step of a stock-take.
///
/// # Errors
/// `InvalidInput` on a difference of nothing or past the greatest quantity, and on a note past 200
/// characters.
pub(crate) fn adjustment(sku: &Sku, location: &LocationId, difference: i64, note: &str) -> Result<StockStep> {
    let most = Quantity::MAX.get();
    if difference == 0 || !(-most..=most).contains(&difference) {
        return Err(Error::invalid(
            "quantity",
            format!("must differ by 1 to {most}, either way"),
        ));
    }
    check_line("note", note, 0..=200)?;
    let note = (!note.is_empty()).then(|| note.to_owned());
    Ok(StockStep::adjust(sku, location, difference, note))
}

fn numbered<'a>(order: &'a Order, lines: &[(u32, Quantity)]) -> Result<Vec<(&'a Sku, &'a LocationId, i64)>> {
    let unknown = |number| {
        let error = Error::invalid("lines", format!("do not include number {number}"));
        error.concerning(format!("order {}", order.id))
    };
    let named = |(number, quantity): &(u32, Quantity)| {
        let line = order.line(*number).ok_or_else(|| unknown(*number))?;
        Ok((&line.sku, &line.location, quantity.get()))
    };
    lines.iter().map(named).collect()
}

fn by_level<'a>(lines: impl IntoIterator<Item = (&'a Sku, &'a LocationId, i64)>) -> ByLevel {
    let mut levels = ByLevel::new();
    for (sku, location, quantity) in lines {
        let sum = levels.entry((sku.clone(), location.clone())).or_default();
        *sum = sum.saturating_add(quantity);
    }
    levels
}

fn steps(levels: ByLevel, step: impl Fn(&Sku, &LocationId, Quantity) -> StockStep) -> Result<Vec<StockStep>> {
    let step = |((sku, location), quantity)| Ok(step(&sku, &location, Quantity::new(quantity)?));
    levels.into_iter().map(step).collect()
}
