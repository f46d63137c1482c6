//! A level as the items that it is spread over: which of them a step changes. No I/O.
//!
//! - Each share sells what it has by itself: as long as none is short, what is available of the level is never overdrawn, and a
//!   step need not know how the others stand.
//! - Where one is short (more is promised than there is), every step changes all of them, and evens them out. So the sum
//!   decides then, and whoever comes at the same time moves the other's facts.
//! - A level that is not spread is one share.

use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records::level::Counters;
use crate::error::Error;
use crate::error::Result;
use crate::spi::store::StockStep;

/// One item of a level while steps are tried on it.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) key: Key,
    pub(super) item: Map,
    pub(super) counters: Counters,
    /// Units of holds that are over and stay on the books.
    pub(super) left: i64,
    pub(super) touched: bool,
}

/// The items of a level.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub(super) shares: Vec<Share>,
    /// The share that is tried first: another one in each transaction, so that processes seldom meet.
    pub(super) pick: usize,
    /// Whether what arrives is spread.
    pub(super) evenly: bool,
}

/// Changes of the counters.
#[derive(Clone, Copy, Debug, Default)]
struct Units {
    on_hand: i64,
    allocated: i64,
    held: i64,
}

impl Units {
    const fn of(step: &StockStep) -> Self {
        Self {
            on_hand: step.on_hand,
            allocated: step.allocated,
            held: step.held,
        }
    }

    const fn available(self) -> i64 {
        self.on_hand
            .saturating_sub(self.allocated)
            .saturating_sub(self.held)
    }

    /// So many of the units that these change by the same number each, down or up.
    const fn part(self, units: i64) -> Self {
        Self {
            on_hand: self.on_hand.signum() * units,
            allocated: self.allocated.signum() * units,
            held: self.held.signum() * units,
        }
    }

    /// The one number that every changed counter is changed by, if there is one.
    fn size(self) -> Option<i64> {
        let mut sizes = [self.on_hand, self.allocated, self.held]
            .into_iter()
            .filter(|change| *change != 0)
            .map(i64::saturating_abs);
        let first = sizes.next()?;
        sizes.all(|size| size == first).then_some(first)
    }
}

impl Share {
    pub(super) const fn available(&self) -> i64 {
        let held = self.counters.held - self.left;
        self.counters.on_hand - self.counters.allocated - held + self.counters.backorder_limit
    }

    fn add(&mut self, units: Units) {
        self.counters.on_hand = self.counters.on_hand.saturating_add(units.on_hand);
        self.counters.allocated = self.counters.allocated.saturating_add(units.allocated);
        self.counters.held = self.counters.held.saturating_add(units.held);
        self.touched = true;
    }

    /// Whether the share can bear a change by itself: no counter falls below nothing, and no more is promised than there is.
    fn bears(&self, units: Units) -> bool {
        let counters = [
            (self.counters.on_hand, units.on_hand),
            (self.counters.allocated, units.allocated),
            (self.counters.held, units.held),
        ];
        let counts = counters
            .into_iter()
            .all(|(counter, change)| change >= 0 || counter.saturating_add(change) >= 0);
        let change = units.available();
        counts && (change >= 0 || self.available().saturating_add(change) >= 0)
    }

    /// How many of the units a share can bear.
    fn bears_of(&self, units: Units) -> i64 {
        let mut most = i64::MAX;
        for (counter, change) in [
            (self.counters.on_hand, units.on_hand),
            (self.counters.allocated, units.allocated),
            (self.counters.held, units.held),
        ] {
            if change < 0 {
                most = most.min(counter);
            }
        }
        if units.available() < 0 {
            most = most.min(self.available());
        }
        most.max(0)
    }
}

impl Spread {
    pub(super) fn available(&self) -> i64 {
        let all = self.shares.iter().map(Share::available);
        all.fold(0, i64::saturating_add)
    }

    /// Applies a step of which enough is available; gives the shares that hold what it holds.
    ///
    /// # Errors
    /// `InvalidInput` when a counter of the level would be left below zero.
    pub(super) fn apply(&mut self, step: &StockStep) -> Result<Vec<(usize, i64)>> {
        self.check(step)?;
        let units = Units::of(step);
        if self.shares.iter().any(|share| share.available() < 0) {
            return Ok(self.anew(units));
        }
        if self.arrives(units) {
            self.arrive(units.on_hand);
            return Ok(Vec::new());
        }
        let mut order = self.order();
        if let Some(index) = order.find(|index| self.shares[*index].bears(units)) {
            self.shares[index].add(units);
            return Ok(vec![(index, units.held)]);
        }
        Ok(match self.several(units) {
            Some(parts) => {
                for (index, part) in &parts {
                    self.shares[*index].add(units.part(*part));
                }
                parts
            }
            None => self.anew(units),
        })
    }

    fn check(&self, step: &StockStep) -> Result<()> {
        let sum = |counter: fn(&Counters) -> i64, change: i64| {
            let all = self.shares.iter().map(|share| counter(&share.counters));
            change < 0 && all.fold(change, i64::saturating_add) < 0
        };
        let below = [
            ("on_hand", sum(|counters| counters.on_hand, step.on_hand)),
            ("allocated", sum(|counters| counters.allocated, step.allocated)),
            ("held", sum(|counters| counters.held, step.held)),
        ];
        match below.into_iter().find(|(_, below)| *below) {
            None => Ok(()),
            Some((counter, _)) => Err(Error::invalid(counter, "the step would leave less than nothing")
                .concerning(format!("level {} at {}", step.sku, step.location))),
        }
    }

    /// The shares, from the one on that is tried first.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, pick) = (self.shares.len(), self.pick);
        (0..count).map(move |step| (pick + step) % count)
    }

    /// Whether units arrive, and are enough for each share to have one.
    fn arrives(&self, units: Units) -> bool {
        let more = self.shares.len() > 1 && self.evenly;
        let enough = usize::try_from(units.on_hand).is_ok_and(|units| units >= self.shares.len());
        more && enough && units.allocated == 0 && units.held == 0
    }

    fn arrive(&mut self, units: i64) {
        for (index, part) in self.order().zip(even(units, self.shares.len())) {
            self.shares[index].add(Units {
                on_hand: part,
                ..Units::default()
            });
        }
    }

    /// The shares that bear a change together, those that bear most first; `None` if they do not.
    fn several(&self, units: Units) -> Option<Vec<(usize, i64)>> {
        let mut missing = units.size()?;
        let mut able: Vec<(usize, i64)> = self
            .order()
            .map(|index| (index, self.shares[index].bears_of(units)))
            .collect();
        able.sort_by_key(|(_, most)| std::cmp::Reverse(*most));
        let mut parts = Vec::new();
        for (index, most) in able {
            let part = most.min(missing);
            if part > 0 {
                parts.push((index, part));
                missing -= part;
            }
        }
        (missing == 0).then_some(parts)
    }

    /// Changes all shares: what is on hand and allocated is dealt anew, what is held stays where its holds say.
    fn anew(&mut self, units: Units) -> Vec<(usize, i64)> {
        let mut holds = Vec::new();
        if units.held > 0 {
            self.shares[self.pick].counters.held += units.held;
            holds.push((self.pick, units.held));
        }
        let mut gone = units.held.min(0).saturating_neg();
        for share in &mut self.shares {
            let part = gone.min(share.counters.held);
            share.counters.held -= part;
            gone -= part;
        }
        let sum = |counter: fn(&Counters) -> i64| -> i64 {
            let all = self.shares.iter().map(|share| counter(&share.counters));
            all.sum()
        };
        self.deal(
            sum(|counters| counters.on_hand) + units.on_hand,
            sum(|counters| counters.allocated) + units.allocated,
        );
        holds
    }

    /// Deals what is on hand and what is allocated: first as much as each share holds, then what is allocated with as much on
    /// hand, then the rest. What is allocated beyond that is owed by the first share, which has the limit of what may be.
    pub(super) fn deal(&mut self, mut on_hand: i64, mut allocated: i64) {
        let count = self.shares.len();
        for share in &mut self.shares {
            let kept = share.counters.held.min(on_hand);
            share.counters.on_hand = kept;
            share.counters.allocated = 0;
            share.touched = true;
            on_hand -= kept;
        }
        let covered = allocated.min(on_hand);
        for (share, part) in self.shares.iter_mut().zip(even(covered, count)) {
            share.counters.on_hand += part;
            share.counters.allocated += part;
        }
        on_hand -= covered;
        allocated -= covered;
        for (share, part) in self.shares.iter_mut().zip(even(on_hand, count)) {
            share.counters.on_hand += part;
        }
        if let Some(first) = self.shares.first_mut() {
            first.counters.allocated += allocated;
        }
    }
}

/// So many units in so many parts of almost the same size.
fn even(units: i64, parts: usize) -> impl Iterator<Item = i64> {
    let parts = i64::try_from(parts).unwrap_or(1).max(1);
    let (each, more) = (units / parts, units % parts);
    (0..parts).map(move |part| each + i64::from(part < more))
}

#[cfg(test)]
mod tests;
