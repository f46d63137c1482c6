//! Stock in a unit of work.

use std::sync::Arc;
use std::time::Duration;

use super::Tx;
use super::work::Work;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::HoldLine;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Order;
use crate::model::Quantity;
use crate::model::Sku;
use crate::spi::store::Delta;
use crate::spi::store::StockStep;
use crate::transaction::stock;

/// Stock in a unit of work.
///
/// - Steps are deltas behind their own guard: stock need not be read to be taken, and reading a level makes
///   every other sale of it a conflict.
#[derive(Clone, Debug)]
pub struct TxInventory(pub(super) Tx);

impl TxInventory {
    /// The level of a SKU at a location, with the steps staged so far.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn level(&self, sku: &Sku, location: &LocationId) -> Result<Option<Level>> {
        Ok(self
            .levels(sku)
            .await?
            .into_iter()
            .find(|level| level.location == *location))
    }

    /// The levels of a SKU at all locations, with the steps staged so far.
    ///
    /// - Each level found is remembered; that there are no others is not.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn levels(&self, sku: &Sku) -> Result<Vec<Level>> {
        let tx = &self.0;
        let found = tx
            .context
            .inventory()?
            .levels(std::slice::from_ref(sku), tx.deadline)
            .await?;
        let mut levels = Vec::with_capacity(found.len());
        for level in found {
            let seen = tx.remember((Aggregate::Level, level.key()), Some(Arc::new(level)))?;
            levels.extend(seen.map(Arc::unwrap_or_clone));
        }
        let work = tx.open()?;
        for level in &mut levels {
            apply_staged(&work, level);
        }
        Ok(levels)
    }

    /// Stages that units arrive.
    ///
    /// # Errors
    /// `InvalidInput` once the unit of work has ended.
    pub fn receive(&self, sku: &Sku, location: &LocationId, quantity: Quantity) -> Result<()> {
        self.step(StockStep::receive(sku, location, quantity))
    }

    /// Stages that a count differs from the books.
    ///
    /// # Errors
    /// `InvalidInput` on a difference of nothing or past a million, and on a note of more than 200
    /// characters.
    pub fn adjust(&self, sku: &Sku, location: &LocationId, difference: i64, note: &str) -> Result<()> {
        self.step(stock::adjustment(sku, location, difference, note)?)
    }

    /// Stages that the lines of an order are promised to it.
    ///
    /// # Errors
    /// `InvalidInput` once the unit of work has ended.
    pub fn allocate(&self, order: &Order) -> Result<()> {
        self.steps(stock::allocate(order)?)
    }

    /// Stages that what is promised to an order and not sent becomes available again.
    ///
    /// # Errors
    /// `InvalidInput` once the unit of work has ended.
    pub fn release(&self, order: &Order) -> Result<()> {
        self.steps(stock::release(order)?)
    }

    /// Stages that so many of these lines, by number, leave the building.
    ///
    /// # Errors
    /// `InvalidInput` on an unknown line.
    pub fn ship(&self, order: &Order, lines: &[(u32, Quantity)]) -> Result<()> {
        self.steps(stock::ship(order, lines)?)
    }

    /// Stages that so many of these lines, by number, come back to the shelf.
    ///
    /// # Errors
    /// `InvalidInput` on an unknown line.
    pub fn restock(&self, order: &Order, lines: &[(u32, Quantity)]) -> Result<()> {
        self.steps(stock::restock(order, lines)?)
    }

    /// Stages a hold until `ttl` has passed by the store's clock.
    ///
    /// # Errors
    /// `InvalidInput` without lines, or on `ttl` of nothing or past 30 days.
    pub fn hold(&self, lines: &[HoldLine], ttl: Duration) -> Result<HoldId> {
        let hold = HoldId::new();
        self.steps(stock::hold(lines, hold, ttl)?)?;
        Ok(hold)
    }

    /// Stages the end of a hold.
    ///
    /// # Errors
    /// `InvalidInput` once the unit of work has ended.
    pub fn release_hold(&self, hold: &Hold) -> Result<()> {
        self.0.open()?.stock(Delta::unhold(hold.id, &hold.lines));
        Ok(())
    }

    fn steps(&self, steps: Vec<StockStep>) -> Result<()> {
        steps.into_iter().try_for_each(|step| self.step(step))
    }

    fn step(&self, step: StockStep) -> Result<()> {
        self.0.open()?.stock(Delta::Stock(step));
        Ok(())
    }
}

fn apply_staged(work: &Work, level: &mut Level) {
    for delta in work.deltas() {
        if let Delta::Stock(step) = delta
            && step.sku == level.sku
            && step.location == level.location
        {
            level.on_hand = level.on_hand.saturating_add(step.on_hand);
            level.allocated = level.allocated.saturating_add(step.allocated);
            level.held = level.held.saturating_add(step.held);
        }
    }
}
