//! Steps of stock: what each level must have before the batch, and what becomes of it.

use super::Plan;
use super::Prepared;
use super::numbered;
use crate::backend::sql::program::List;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::RowKey;
use crate::model::Sku;
use crate::spi::store::Delta;
use crate::spi::store::StockStep;
use std::collections::BTreeMap;

/// A bound that every stored counter is above.
const UNBOUNDED: i64 = -(1 << 62);

/// How much of each counter must be there before the batch, so that each step finds what it needs in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::sql) struct Needs {
    pub(in crate::backend::sql) on_hand: i64,
    pub(in crate::backend::sql) allocated: i64,
    pub(in crate::backend::sql) held: i64,
    pub(in crate::backend::sql) available: i64,
}

/// The changes of a level so far, in the order of admission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::backend::sql) struct Running {
    pub(in crate::backend::sql) on_hand: i64,
    pub(in crate::backend::sql) allocated: i64,
    pub(in crate::backend::sql) held: i64,
    pub(in crate::backend::sql) available: i64,
}

impl Running {
    pub(in crate::backend::sql) fn add(&mut self, step: &StockStep) {
        self.on_hand = self.on_hand.saturating_add(step.on_hand);
        self.allocated = self.allocated.saturating_add(step.allocated);
        self.held = self.held.saturating_add(step.held);
        self.available = self.available.saturating_add(step.available());
    }
}

impl Needs {
    const NONE: Self = Self {
        on_hand: UNBOUNDED,
        allocated: UNBOUNDED,
        held: UNBOUNDED,
        available: UNBOUNDED,
    };

    /// Raises the bounds so that `step`, coming after what is `running`, finds what it takes and leaves no counter
    /// below zero.
    fn admit(&mut self, step: &StockStep, running: &Running) {
        if step.takes > 0 {
            self.available = self.available.max(step.takes - running.available);
        }
        let mut after = *running;
        after.add(step);
        let below = |change: i64, after: i64| if change < 0 { -after } else { UNBOUNDED };
        self.on_hand = self.on_hand.max(below(step.on_hand, after.on_hand));
        self.allocated = self.allocated.max(below(step.allocated, after.allocated));
        self.held = self.held.max(below(step.held, after.held));
    }
}

/// A level's key, borrowed from its write set.
pub(in crate::backend::sql) type LevelKey = (Sku, LocationId);

/// What the batch does to a level altogether.
#[derive(Debug)]
struct LevelWork {
    of: i32,
    needs: Needs,
    running: Running,
    creates: bool,
}

impl Plan {
    pub(super) fn stock(&mut self, sets: &[&Prepared]) {
        let mut work: BTreeMap<LevelKey, LevelWork> = BTreeMap::new();
        let blank = |of| LevelWork {
            of,
            needs: Needs::NONE,
            running: Running::default(),
            creates: false,
        };
        for (set, one) in numbered(sets) {
            for delta in &one.set.deltas {
                match delta {
                    Delta::Stock(step) => {
                        let place = (step.sku.clone(), step.location.clone());
                        let level = work.entry(place).or_insert_with(|| blank(set));
                        self.share(&mut level.of, set);
                        level.needs.admit(step, &level.running);
                        level.running.add(step);
                        level.creates |= step.on_hand > 0;
                    }
                    Delta::Unhold { levels, .. } => {
                        for place in levels {
                            let level = work.entry(place.clone()).or_insert_with(|| blank(set));
                            self.share(&mut level.of, set);
                        }
                    }
                    Delta::CartLine(_) | Delta::Order { .. } | Delta::Payment { .. } => {}
                }
            }
        }
        for (n, ((sku, location), level)) in work.into_iter().enumerate() {
            if level.creates {
                self.guarded = false;
                let mut row = self.payload.list(List::CreateLevels).row_of(level.of);
                row.text(sku.as_str());
                row.text(location.as_str());
            }
            let key = RowKey::Level(sku.clone(), location.clone());
            let mut row = self.change(level.of, Aggregate::Level, key);
            row.text(sku.as_str());
            row.text(location.as_str());
            row.int(level.running.on_hand);
            row.int(level.running.allocated);
            row.int(level.running.held);
            row.int(level.needs.on_hand);
            row.int(level.needs.allocated);
            row.int(level.needs.held);
            row.int(level.needs.available);
            self.levels.insert((sku, location), n);
        }
    }
}
