//! Where the units of an order come from.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Shortage;
use crate::model::Hold;
use crate::model::Level;
use crate::model::LineAmounts;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::Options;
use crate::model::OrderLine;
use crate::model::ProductId;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::TaxRate;
use crate::transaction::stock;

/// A line of a cart with its price, before it is known where its units come from.
#[derive(Clone, Debug)]
pub(super) struct PricedLine {
    pub(super) sku: Sku,
    pub(super) product: ProductId,
    pub(super) title: String,
    pub(super) options: Options,
    pub(super) quantity: Quantity,
    pub(super) unit_price: Money,
    pub(super) tax_rate: TaxRate,
}

/// Splits lines over locations by what is available there; the lines are numbered from 1.
///
/// - A line comes from one location if one has enough: the one that another line of the SKU comes from, else
///   the one with most. Otherwise it is split, beginning with the location that has most.
/// - A line that is split costs what it would whole: the tax of the parts adds up to the tax of the line.
/// - What `hold` keeps counts as available while it is alive.
///
/// # Errors
/// `InsufficientStock` with every SKU that is short.
pub(super) fn source(lines: &[PricedLine], levels: &[Level], hold: Option<&Hold>) -> Result<Vec<OrderLine>> {
    let mut free = Free::new(levels, hold);
    free.check(lines)?;
    let mut sourced: Vec<OrderLine> = Vec::with_capacity(lines.len());
    let mut last: BTreeMap<&Sku, LocationId> = BTreeMap::new();
    for line in lines {
        let parts = free.take(&line.sku, line.quantity.get(), last.get(&line.sku));
        if let Some((location, _)) = parts.first() {
            last.insert(&line.sku, location.clone());
        }
        let mut before = 0;
        for (location, quantity) in parts {
            sourced.push(part_of(line, location, before, quantity)?);
            before += quantity;
        }
    }
    for (line, number) in sourced.iter_mut().zip(1..) {
        line.number = number;
    }
    Ok(sourced)
}

/// The lines of an order as they were priced, with the parts of a split line put together again.
pub(super) fn priced(lines: &[OrderLine]) -> Result<Vec<PricedLine>> {
    let mut whole: Vec<PricedLine> = Vec::with_capacity(lines.len());
    for line in lines {
        match whole
            .iter_mut()
            .find(|known| known.sku == line.sku && known.options == line.options)
        {
            Some(known) => known.quantity = known.quantity.checked_add(line.quantity)?,
            None => whole.push(PricedLine {
                sku: line.sku.clone(),
                product: line.product,
                title: line.title.clone(),
                options: line.options.clone(),
                quantity: line.quantity,
                unit_price: line.unit_price,
                tax_rate: line.tax_rate,
            }),
        }
    }
    Ok(whole)
}

/// A part of a line, after `before` of its units went elsewhere.
fn part_of(line: &PricedLine, location: LocationId, before: i64, quantity: i64) -> Result<OrderLine> {
    let quantity = Quantity::new(quantity)?;
    let with = LineAmounts::of(
        line.unit_price,
        Quantity::new(before + quantity.get())?,
        line.tax_rate,
    )?;
    let tax = match before {
        0 => with.tax,
        _ => with
            .tax
            .checked_sub(LineAmounts::of(line.unit_price, Quantity::new(before)?, line.tax_rate)?.tax)?,
    };
    Ok(OrderLine {
        number: 0,
        sku: line.sku.clone(),
        product: line.product,
        title: line.title.clone(),
        options: line.options.clone(),
        quantity,
        unit_price: line.unit_price,
        tax_rate: line.tax_rate,
        tax,
        total: line.unit_price.checked_mul(quantity.get())?.checked_add(tax)?,
        location,
        shipped: 0,
    })
}

/// What is available, by SKU and location.
struct Free(BTreeMap<Sku, BTreeMap<LocationId, i64>>);

impl Free {
    fn new(levels: &[Level], hold: Option<&Hold>) -> Self {
        let hold = hold.filter(|hold| hold.alive);
        let mut free: BTreeMap<Sku, BTreeMap<LocationId, i64>> = BTreeMap::new();
        for level in levels {
            let own = hold.map_or(0, |hold| stock::held_by(hold, &level.sku, &level.location));
            let available = level.available().saturating_add(own);
            if available > 0 {
                free.entry(level.sku.clone())
                    .or_default()
                    .insert(level.location.clone(), available);
            }
        }
        Self(free)
    }

    /// Refuses what cannot be served at all; lines of the same SKU count together.
    fn check(&self, lines: &[PricedLine]) -> Result<()> {
        let mut wanted: BTreeMap<&Sku, i64> = BTreeMap::new();
        for line in lines {
            *wanted.entry(&line.sku).or_default() += line.quantity.get();
        }
        let short: Vec<Shortage> = wanted
            .into_iter()
            .map(|(sku, requested)| (sku, requested, self.total(sku)))
            .filter(|(_, requested, available)| requested > available)
            .map(|(sku, requested, available)| Shortage {
                sku: sku.to_string(),
                location: None,
                requested,
                available,
            })
            .collect();
        if short.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InsufficientStock, "not enough is available").short_of(short))
    }

    fn total(&self, sku: &Sku) -> i64 {
        self.0.get(sku).map_or(0, |locations| {
            locations
                .values()
                .fold(0, |sum: i64, free| sum.saturating_add(*free))
        })
    }

    /// Takes so many, which [`check`](Self::check) found to be there.
    fn take(&mut self, sku: &Sku, quantity: i64, near: Option<&LocationId>) -> Vec<(LocationId, i64)> {
        let Some(locations) = self.0.get_mut(sku) else {
            return Vec::new();
        };
        let mut ranked: Vec<(LocationId, i64)> =
            locations.iter().map(|(at, free)| (at.clone(), *free)).collect();
        // Stable: of equal locations the first by name, so that the same stock gives the same answer.
        ranked.sort_by_key(|(at, free)| {
            (
                std::cmp::Reverse(near == Some(at) && *free >= quantity),
                std::cmp::Reverse(*free),
            )
        });
        let mut parts = Vec::new();
        let mut left = quantity;
        for (at, free) in ranked {
            let taken = free.min(left);
            if taken <= 0 {
                continue;
            }
            left -= taken;
            locations.insert(at.clone(), free - taken);
            parts.push((at, taken));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Currency;
    use crate::model::HoldId;
    use crate::model::HoldLine;
    use crate::model::Version;
    use crate::model::from_micros;

    fn level(sku: &str, location: &str, on_hand: i64) -> Level {
        Level {
            sku: Sku::new(sku).unwrap(),
            location: LocationId::new(location).unwrap(),
            version: Version::FIRST,
            on_hand,
            allocated: 0,
            held: 0,
            backorder_limit: 0,
            updated_at: from_micros(0).unwrap(),
        }
    }

    fn line(sku: &str, quantity: i64) -> PricedLine {
        PricedLine {
            sku: Sku::new(sku).unwrap(),
            product: ProductId::new(),
            title: "Mug".into(),
            options: Options::new(),
            quantity: Quantity::new(quantity).unwrap(),
            unit_price: Money::new(1_05, Currency::EUR),
            tax_rate: TaxRate::basis_points(7_00).unwrap(),
        }
    }

    fn places(lines: &[OrderLine]) -> Vec<(String, i64)> {
        lines
            .iter()
            .map(|line| (line.location.to_string(), line.quantity.get()))
            .collect()
    }

    #[test]
    fn a_line_comes_from_the_location_that_has_most() {
        let sourced = source(&[line("A", 2)], &[level("A", "x", 2), level("A", "y", 5)], None).unwrap();
        assert_eq!(places(&sourced), [("y".into(), 2)]);
    }

    #[test]
    fn a_line_is_split_when_no_location_has_enough_and_costs_the_same() {
        let levels = [level("A", "x", 2), level("A", "y", 5), level("A", "z", 3)];
        let split = source(&[line("A", 9)], &levels, None).unwrap();
        assert_eq!(
            places(&split),
            [("y".into(), 5), ("z".into(), 3), ("x".into(), 1)]
        );
        assert_eq!(
            split.iter().map(|line| line.number).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        let whole = source(&[line("A", 9)], &[level("A", "x", 9)], None).unwrap();
        assert_eq!(
            split.iter().map(|line| line.total.minor()).sum::<i64>(),
            whole[0].total.minor()
        );
        let again = source(&priced(&split).unwrap(), &[level("A", "x", 9)], None).unwrap();
        assert_eq!(again[0].total, whole[0].total);
    }

    #[test]
    fn lines_of_one_sku_share_what_there_is() {
        let error = source(&[line("A", 3), line("A", 3)], &[level("A", "x", 5)], None).unwrap_err();
        assert_eq!(
            (error.shortages()[0].requested, error.shortages()[0].available),
            (6, 5)
        );
    }

    #[test]
    fn lines_of_one_sku_stay_together() {
        let levels = [level("A", "x", 5), level("A", "y", 4)];
        let sourced = source(&[line("A", 2), line("A", 3)], &levels, None).unwrap();
        assert_eq!(places(&sourced), [("x".into(), 2), ("x".into(), 3)]);
    }

    #[test]
    fn every_short_sku_is_named() {
        let error = source(&[line("B", 1), line("A", 1)], &[level("C", "x", 1)], None).unwrap_err();
        let skus: Vec<_> = error
            .shortages()
            .iter()
            .map(|shortage| shortage.sku.as_str())
            .collect();
        assert_eq!(skus, ["A", "B"]);
    }

    #[test]
    fn an_own_hold_counts_while_it_is_alive() {
        let mut taken = level("A", "x", 3);
        taken.held = 3;
        let held = HoldLine {
            sku: taken.sku.clone(),
            location: taken.location.clone(),
            quantity: Quantity::new(3).unwrap(),
        };
        let mut hold = Hold {
            id: HoldId::new(),
            lines: vec![held],
            expires_at: taken.updated_at,
            alive: true,
        };
        assert!(source(&[line("A", 3)], &[taken.clone()], Some(&hold)).is_ok());
        hold.alive = false;
        assert!(source(&[line("A", 3)], &[taken], Some(&hold)).is_err());
    }
}
