//! The rows and keys of write sets that are on their way elsewhere: what touches them has to wait behind.

use super::Footprint;
use crate::model::Aggregate;
use crate::model::HoldId;
use crate::model::RowKey;
use std::collections::BTreeMap;

/// Rows and keys with the number of sets that touch them.
///
/// Stricter than a batch's [`Footprint`]: two deltas of one row share a batch, but not two database transactions, where
/// the second would wait for the first one's lock. Only readers of a row do not wait for each other.
#[derive(Debug, Default)]
pub(in crate::backend::sql) struct Occupied {
    sets: usize,
    written: BTreeMap<(Aggregate, RowKey), usize>,
    read: BTreeMap<(Aggregate, RowKey), usize>,
    keys: BTreeMap<(String, String), usize>,
    holds: BTreeMap<HoldId, usize>,
}

impl Occupied {
    /// How many sets are counted.
    pub(in crate::backend::sql) fn sets(&self) -> usize {
        self.sets
    }

    /// Whether a set would have to wait for one that is counted.
    pub(in crate::backend::sql) fn collides(&self, own: &Footprint) -> bool {
        let touched =
            |row: &(Aggregate, RowKey)| self.written.contains_key(row) || self.read.contains_key(row);
        own.owned.iter().any(touched)
            || own.changed.iter().any(touched)
            || own.read.iter().any(|row| self.written.contains_key(row))
            || own.keys.iter().any(|key| self.keys.contains_key(key))
            || own.holds.iter().any(|hold| self.holds.contains_key(hold))
    }

    /// Counts a set.
    pub(in crate::backend::sql) fn add(&mut self, own: &Footprint) {
        self.sets += 1;
        raise(&mut self.written, own.owned.iter().chain(&own.changed));
        raise(&mut self.read, &own.read);
        raise(&mut self.keys, &own.keys);
        raise(&mut self.holds, &own.holds);
    }

    /// Counts a set no more; it was counted before.
    pub(in crate::backend::sql) fn remove(&mut self, own: &Footprint) {
        self.sets = self.sets.saturating_sub(1);
        lower(&mut self.written, own.owned.iter().chain(&own.changed));
        lower(&mut self.read, &own.read);
        lower(&mut self.keys, &own.keys);
        lower(&mut self.holds, &own.holds);
    }
}

fn raise<'a, K: Ord + Clone + 'a>(counts: &mut BTreeMap<K, usize>, keys: impl IntoIterator<Item = &'a K>) {
    for key in keys {
        *counts.entry(key.clone()).or_default() += 1;
    }
}

fn lower<'a, K: Ord + Clone + 'a>(counts: &mut BTreeMap<K, usize>, keys: impl IntoIterator<Item = &'a K>) {
    for key in keys {
        if let Some(count) = counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Occupied;
    use crate::backend::sql::plan::Footprint;
    use crate::model::Actor;
    use crate::model::Aggregate;
    use crate::model::ClaimKey;
    use crate::model::HoldId;
    use crate::model::LocationId;
    use crate::model::Quantity;
    use crate::model::RowKey;
    use crate::model::Sku;
    use crate::spi::store::Delta;
    use crate::spi::store::ReadCheck;
    use crate::spi::store::StockStep;
    use crate::spi::store::WriteSet;
    use uuid::Uuid;

    fn level() -> (Sku, LocationId) {
        (Sku::new("MUG").unwrap(), LocationId::new("berlin").unwrap())
    }

    fn set(fill: impl FnOnce(&mut WriteSet)) -> Footprint {
        let mut set = WriteSet::new(Actor::system());
        fill(&mut set);
        Footprint::of(&set)
    }

    fn step() -> Footprint {
        let (sku, berlin) = level();
        set(|set| {
            let step = StockStep::receive(&sku, &berlin, Quantity::new(1).unwrap());
            set.delta(Delta::Stock(step));
        })
    }

    fn look() -> Footprint {
        let (sku, berlin) = level();
        set(|set| {
            set.read(ReadCheck {
                aggregate: Aggregate::Level,
                key: RowKey::Level(sku, berlin),
                version: None,
            });
        })
    }

    fn claim(key: &str) -> Footprint {
        set(|set| {
            let key = ClaimKey {
                space: "slug",
                key: key.to_owned(),
            };
            set.claim(key, Uuid::now_v7());
        })
    }

    fn unhold(hold: HoldId) -> Footprint {
        set(|set| {
            set.delta(Delta::Unhold {
                hold,
                levels: Vec::new(),
            });
        })
    }

    #[test]
    fn deltas_of_one_row_share_a_batch_and_not_two_transactions() {
        let mut batch = Footprint::default();
        assert!(batch.admit(step()) && batch.admit(step()));
        let mut elsewhere = Occupied::default();
        elsewhere.add(&step());
        assert!(elsewhere.collides(&step()));
    }

    #[test]
    fn readers_wait_for_writers_only() {
        let mut elsewhere = Occupied::default();
        elsewhere.add(&look());
        assert!(!elsewhere.collides(&look()));
        assert!(elsewhere.collides(&step()));
        elsewhere.add(&step());
        assert!(elsewhere.collides(&look()));
    }

    #[test]
    fn keys_and_holds_are_for_one() {
        let hold = HoldId::new();
        let mut elsewhere = Occupied::default();
        elsewhere.add(&claim("mug"));
        elsewhere.add(&unhold(hold));
        assert!(elsewhere.collides(&claim("mug")) && elsewhere.collides(&unhold(hold)));
        assert!(!elsewhere.collides(&claim("cup")) && !elsewhere.collides(&unhold(HoldId::new())));
    }

    #[test]
    fn a_row_is_free_when_the_last_of_its_sets_is_gone() {
        let mut elsewhere = Occupied::default();
        elsewhere.add(&step());
        elsewhere.add(&step());
        elsewhere.remove(&step());
        assert!(elsewhere.collides(&step()));
        elsewhere.remove(&step());
        assert!(!elsewhere.collides(&step()));
        assert_eq!(elsewhere.sets(), 0);
    }
}
