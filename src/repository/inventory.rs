//! Inventory: what there is, where it lies, and for whom it is kept.

use std::collections::BTreeMap;

use super::parsed;
use super::version_of;
use super::written;
use crate::cache::StockHint;
use crate::cache::StockHints;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::LedgerReport;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Movement;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::Version;
use crate::spi::store::Delta;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::transaction::Attempts;
use crate::transaction::Context;
use crate::transaction::stock;

/// Most units that may be sold beyond what lies there.
const MAX_BACKORDER: i64 = Quantity::MAX.get();

/// Stock by SKU and location, with the ledger of its movements.
///
/// - A change is a step behind its own guard, decided by the store: what is taken was available then.
/// - Each step appends its movement; [`verify_ledger`](Self::verify_ledger) compares every level with its
///   movements.
/// - Units are available when they lie there (or may be backordered) and neither belong to an order nor are
///   held.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use std::time::Duration;
/// use stockroom::{ErrorKind, HoldLine, LocationId, Quantity, Sku, Stockroom};
///
/// let shop = Stockroom::open("sqlite::memory:").await?;
/// let berlin = LocationId::new("berlin")?;
/// shop.inventory().receive("MUG", &berlin, 10).await?;
///
/// let line = HoldLine { sku: Sku::new("MUG")?, location: berlin, quantity: Quantity::new(8)? };
/// let hold = shop.inventory().hold(&[line.clone()], Duration::from_secs(600)).await?;
/// let short = shop.inventory().hold(&[line], Duration::from_secs(600)).await.unwrap_err();
/// assert!(short.is(ErrorKind::InsufficientStock));
/// assert_eq!(short.shortages()[0].available, 2);
///
/// shop.inventory().release_hold(hold.id).await?;
/// assert!(shop.inventory().verify_ledger().await?.is_consistent());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(super) context: Context,
    hints: Option<StockHints>,
}

impl Inventory {
    pub(crate) fn new(context: Context) -> Self {
        Self { context, hints: None }
    }

    pub(crate) fn with_hints(self, hints: Option<StockHints>) -> Self {
        Self { hints, ..self }
    }

    /// Records that units arrived, and gives the level's new version.
    ///
    /// - The first receipt at a location creates the level.
    /// - It has no idempotency key: after `OutcomeUnknown`, look at [`movements`](Self::movements) before
    ///   repeating it.
    ///
    /// # Errors
    /// - `InvalidInput`: field `sku` or `quantity`.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the units received or not.
    pub async fn receive(
        &self,
        sku: impl TryInto<Sku, Error: Into<Error>> + Send,
        location: &LocationId,
        quantity: impl TryInto<Quantity, Error: Into<Error>> + Send,
    ) -> Result<Version> {
        let named = |error: Error| error.operation("inventory.receive");
        let (sku, quantity): (Sku, Quantity) =
            (parsed(sku).map_err(named)?, parsed(quantity).map_err(named)?);
        self.step(StockStep::receive(&sku, location, quantity))
            .await
            .map_err(named)
    }

    /// Records a delivery of many SKUs at one location, as a whole or not at all.
    ///
    /// # Errors
    /// - `InvalidInput` without lines; `TooLarge` past the store's limit of one commit: nothing is split
    ///   silently.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the whole delivery received or none of it.
    pub async fn receive_many(&self, location: &LocationId, lines: &[(Sku, Quantity)]) -> Result<()> {
        let receive = async {
            if lines.is_empty() {
                return Err(Error::invalid("lines", "must name what arrived"));
            }
            let mut set = self.context.write_set();
            for (sku, quantity) in lines {
                set.delta(Delta::Stock(StockStep::receive(sku, location, *quantity)));
            }
            self.context.commit(set, self.context.deadline()).await.map(drop)
        };
        receive
            .await
            .map_err(|error| error.operation("inventory.receive_many"))
    }

    /// Records that a count differs from the books by `difference`, and gives the level's new version.
    ///
    /// - What is available may become negative: what was promised stays promised.
    /// - The note goes into the ledger; an empty one is none.
    ///
    /// # Errors
    /// - `InvalidInput`: field `sku`; `quantity` for a difference of nothing or past a million; `on_hand` where
    ///   less than nothing would be left; `note` past 200 characters.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the difference booked or not.
    pub async fn adjust(
        &self,
        sku: impl TryInto<Sku, Error: Into<Error>> + Send,
        location: &LocationId,
        difference: i64,
        note: &str,
    ) -> Result<Version> {
        let named = |error: Error| error.operation("inventory.adjust");
        let sku = parsed(sku).map_err(named)?;
        let step = stock::adjustment(&sku, location, difference, note).map_err(named)?;
        self.step(step).await.map_err(named)
    }

    async fn step(&self, step: StockStep) -> Result<Version> {
        let key = step.key();
        let mut set = self.context.write_set();
        set.delta(Delta::Stock(step));
        let committed = self.context.commit(set, self.context.deadline()).await?;
        version_of(&committed, Aggregate::Level, &key)
    }

    /// The level of a SKU at a location; `None` where it never was.
    ///
    /// # Errors
    /// `InvalidInput` on `sku`; `Timeout`, `Unavailable`.
    pub async fn level(
        &self,
        sku: impl TryInto<Sku, Error: Into<Error>> + Send,
        location: &LocationId,
    ) -> Result<Option<Level>> {
        let levels = self
            .levels(sku)
            .await
            .map_err(|error| error.operation("inventory.level"))?;
        Ok(levels.into_iter().find(|level| level.location == *location))
    }

    /// The levels of a SKU, by location.
    ///
    /// - Holds that are over do not count, whether they were swept or not.
    ///
    /// # Errors
    /// `InvalidInput` on `sku`; `Timeout`, `Unavailable`.
    pub async fn levels(&self, sku: impl TryInto<Sku, Error: Into<Error>> + Send) -> Result<Vec<Level>> {
        let named = |error: Error| error.operation("inventory.levels");
        let sku = parsed(sku).map_err(named)?;
        self.levels_many(&[sku]).await.map_err(named)
    }

    /// The levels of many SKUs, by SKU and location, in one round trip.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn levels_many(&self, skus: &[Sku]) -> Result<Vec<Level>> {
        let found = self
            .context
            .shown(Aggregate::Level)
            .inventory()?
            .levels(skus, self.context.deadline())
            .await;
        found.map_err(|error| error.operation("inventory.levels_many"))
    }

    /// How many units of each SKU were available a moment ago, at all locations together, in the order asked.
    ///
    /// - For pages that are looked at. With a [`Cache`](crate::Cache) it is up to two seconds old, or as old as
    ///   [`Cache::hints`](crate::Cache::hints) says; without one it is read. Nothing is decided by it: holds and orders read
    ///   what there is.
    /// - A SKU that never was anywhere has none.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn hints(&self, skus: &[Sku]) -> Result<Vec<StockHint>> {
        let known = |sku: &Sku| self.hints.as_ref().and_then(|hints| hints.get(sku));
        let mut found: BTreeMap<&Sku, Option<i64>> = skus.iter().map(|sku| (sku, known(sku))).collect();
        let missing: Vec<Sku> = found
            .iter()
            .filter(|(_, available)| available.is_none())
            .map(|(sku, _)| (*sku).clone())
            .collect();
        if !missing.is_empty() {
            let levels = self
                .levels_many(&missing)
                .await
                .map_err(|error| error.operation("inventory.hints"))?;
            for sku in &missing {
                let here = levels
                    .iter()
                    .filter(|level| level.sku == *sku)
                    .map(Level::available);
                let available = here.fold(0, i64::saturating_add);
                if let Some(hints) = &self.hints {
                    hints.learn(&StockHint::new(sku.clone(), available));
                }
                found.insert(sku, Some(available));
            }
        }
        let hint = |sku: &Sku| StockHint::new(sku.clone(), found.get(sku).copied().flatten().unwrap_or(0));
        Ok(skus.iter().map(hint).collect())
    }

    /// The movements of a level, latest first.
    ///
    /// # Errors
    /// `InvalidInput`: field `sku`, or `after` for a damaged cursor; `Timeout`, `Unavailable`.
    pub async fn movements(
        &self,
        sku: impl TryInto<Sku, Error: Into<Error>> + Send,
        location: &LocationId,
        page: PageRequest,
    ) -> Result<Page<Movement>> {
        let named = |error: Error| error.operation("inventory.movements");
        let sku = parsed(sku).map_err(named)?;
        let reader = self.context.shown(Aggregate::Level).inventory().map_err(named)?;
        reader
            .movements(&sku, location, &page, self.context.deadline())
            .await
            .map_err(named)
    }

    /// Sets how many units may be sold beyond what lies at a location.
    ///
    /// - A level that is not there yet is created, for goods that are sold before they arrive.
    /// - Lowering it takes nothing back: what was promised stays promised.
    ///
    /// # Errors
    /// - `InvalidInput`: field `sku`, or `backorder_limit` unless it is 0 to 1,000,000.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the limit set or as it was.
    pub async fn set_backorder_limit(
        &self,
        sku: impl TryInto<Sku, Error: Into<Error>> + Send,
        location: &LocationId,
        limit: i64,
    ) -> Result<Level> {
        let named = |error: Error| error.operation("inventory.set_backorder_limit");
        let sku: Sku = parsed(sku).map_err(named)?;
        if !(0..=MAX_BACKORDER).contains(&limit) {
            let error = Error::invalid("backorder_limit", format!("must be 0 to {MAX_BACKORDER}"));
            return Err(named(error));
        }
        self.put_backorder_limit(sku, location, limit)
            .await
            .map_err(named)
    }

    async fn put_backorder_limit(
        &self,
        sku: Sku,
        location: &LocationId,
        backorder_limit: i64,
    ) -> Result<Level> {
        let deadline = self.context.deadline();
        let mut attempts = Attempts::few(deadline);
        let skus = [sku];
        loop {
            let levels = self.context.inventory()?.levels(&skus, deadline).await?;
            let old = levels.into_iter().find(|level| level.location == *location);
            let updated_at = self.context.now();
            let mut set = self.context.write_set();
            let new = match old {
                Some(old) => {
                    let new = Level {
                        backorder_limit,
                        updated_at,
                        ..old.clone()
                    };
                    set.put(Put::root(&old, new.clone()));
                    new
                }
                None => {
                    let new = Level {
                        backorder_limit,
                        updated_at,
                        ..empty(&skus[0], location, updated_at)
                    };
                    set.put(Put::create(new.clone()));
                    new
                }
            };
            match self.context.commit(set, deadline).await {
                Ok(committed) => return written(&committed, new),
                Err(error) => attempts.after_conflict(error).await?,
            }
        }
    }

    /// Compares every level with the sum of its movements.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn verify_ledger(&self) -> Result<LedgerReport> {
        let report = self.context.inventory()?.verify(self.context.deadline()).await;
        report.map_err(|error| error.operation("inventory.verify_ledger"))
    }
}

/// A level where nothing ever was.
fn empty(sku: &Sku, location: &LocationId, updated_at: crate::model::Timestamp) -> Level {
    Level {
        sku: sku.clone(),
        location: location.clone(),
        version: Version::FIRST,
        on_hand: 0,
        allocated: 0,
        held: 0,
        backorder_limit: 0,
        updated_at,
    }
}
