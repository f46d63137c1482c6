//! What there was of a SKU a moment ago, for pages that are looked at. Nothing is decided by it, and nobody is told when it
//! changes: it is kept for its time alone, in this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

use super::clock::CoarseClock;
use super::clock::millis;
use super::stats::Counters;
use crate::model::Sku;

/// SKUs whose hints are kept: some megabytes.
const SKUS: usize = 16_384;

/// How many units of a SKU were available a moment ago, at all locations together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StockHint {
    /// The SKU.
    pub sku: Sku,
    /// How many could be promised to someone; less than none when more was promised than is there.
    pub available: i64,
}

impl StockHint {
    pub(crate) const fn new(sku: Sku, available: i64) -> Self {
        Self { sku, available }
    }
}

/// The hints of this process; clones share them.
#[derive(Clone)]
pub(crate) struct StockHints {
    kept: Arc<Cache<Sku, (i64, u64)>>,
    keep: Duration,
    clock: Arc<CoarseClock>,
    counters: Arc<Counters>,
}

impl fmt::Debug for StockHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StockHints")
            .field("entries", &self.kept.len())
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl StockHints {
    pub(super) fn new(keep: Duration, clock: Arc<CoarseClock>, counters: Arc<Counters>) -> Self {
        Self {
            kept: Arc::new(Cache::new(SKUS)),
            keep,
            clock,
            counters,
        }
    }

    /// How many were available, where that is known and not too long ago.
    pub(crate) fn get(&self, sku: &Sku) -> Option<i64> {
        let (available, until) = self.kept.get(sku)?;
        if self.clock.now() >= until {
            return None;
        }
        self.counters.hints.count();
        Some(available)
    }

    /// So many are available as of now.
    pub(crate) fn learn(&self, hint: &StockHint) {
        let until = self.clock.move_on().saturating_add(millis(self.keep));
        self.kept.insert(hint.sku.clone(), (hint.available, until));
    }
}
