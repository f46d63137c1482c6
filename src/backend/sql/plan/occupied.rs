//! The rows and keys of write sets that are on their way elsewhere: what touches them has to wait behind.

use super::Footprint;
use super::footprint::Touch;
use std::collections::HashMap;

/// Rows and keys with the number of sets that touch them.
///
/// Stricter than a [batch](super::Together): two deltas of one row share a batch, but not two database transactions, where
/// the second would wait for the first one's lock. Only readers of a row do not wait for each other.
#[derive(Debug, Default)]
pub(in crate::backend::sql) struct Occupied {
    sets: usize,
    marks: HashMap<u64, Counts>,
}

/// How many touches of a row or key are counted.
#[derive(Debug, Default)]
struct Counts {
    written: usize,
    read: usize,
}

impl Occupied {
    /// How many sets are counted.
    pub(in crate::backend::sql) fn sets(&self) -> usize {
        self.sets
    }

    /// Whether a set would have to wait for one that is counted.
    pub(in crate::backend::sql) fn collides(&self, own: &Footprint) -> bool {
        own.marks.iter().any(|(mark, touch)| {
            self.marks
                .get(mark)
                .is_some_and(|counts| counts.written > 0 || *touch != Touch::Reads)
        })
    }

    /// Counts a set.
    pub(in crate::backend::sql) fn add(&mut self, own: &Footprint) {
        self.sets += 1;
        for (mark, touch) in &own.marks {
            *self.marks.entry(*mark).or_default().of(*touch) += 1;
        }
    }

    /// Counts a set no more; it was counted before.
    pub(in crate::backend::sql) fn remove(&mut self, own: &Footprint) {
        self.sets = self.sets.saturating_sub(1);
        for (mark, touch) in &own.marks {
            let Some(counts) = self.marks.get_mut(mark) else {
                continue;
            };
            *counts.of(*touch) -= 1;
            if counts.written + counts.read == 0 {
                self.marks.remove(mark);
            }
        }
    }
}

impl Counts {
    fn of(&mut self, touch: Touch) -> &mut usize {
        match touch {
            Touch::Owns | Touch::Changes | Touch::Steps => &mut self.written,
            Touch::Reads => &mut self.read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Occupied;
    use crate::backend::sql::plan::Beside;
    use crate::backend::sql::plan::Footprint;
    use crate::backend::sql::plan::History;
    use crate::backend::sql::plan::Prepared;
    use crate::backend::sql::plan::Together;
    use crate::model::Actor;
    use crate::model::Aggregate;
    use crate::model::ClaimKey;
    use crate::model::HoldId;
    use crate::model::LocationId;
    use crate::model::OrderId;
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

    #[cfg(feature = "sqlite")]
    const HISTORY: History = History::Rows;
    #[cfg(not(feature = "sqlite"))]
    const HISTORY: History = History::Packed;

    fn set(fill: impl FnOnce(&mut WriteSet)) -> Footprint {
        let mut set = WriteSet::new(Actor::system());
        fill(&mut set);
        Prepared::new(set, HISTORY).unwrap().footprint
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

    fn unhold_here(hold: HoldId) -> Footprint {
        set(|set| {
            set.delta(Delta::Unhold {
                hold,
                levels: vec![level()],
            });
        })
    }

    #[test]
    fn deltas_of_one_row_share_a_batch_and_not_two_transactions() {
        let mut batch = Together::default();
        assert!(batch.admit(&step()) && batch.admit(&step()));
        let mut elsewhere = Occupied::default();
        elsewhere.add(&step());
        assert!(elsewhere.collides(&step()));
    }

    #[test]
    fn who_takes_units_follows_who_takes_units_of_the_same_level() {
        let (sku, berlin) = level();
        let one = Quantity::new(1).unwrap();
        let take = || {
            let step = StockStep::allocate(&sku, &berlin, one, OrderId::new());
            set(|set| {
                set.delta(Delta::Stock(step));
            })
        };
        let hold = HoldId::new();
        let with_hold = set(|set| {
            set.delta(Delta::Unhold {
                hold,
                levels: vec![level()],
            });
            set.delta(Delta::Stock(StockStep::allocate(
                &sku,
                &berlin,
                one,
                OrderId::new(),
            )));
        });
        let mut under_way = Together::default();
        assert!(under_way.admit(&take()) && under_way.admit(&claim("mug")));
        assert_eq!(under_way.beside(&take()), Beside::Follows);
        assert_eq!(under_way.beside(&claim("cup")), Beside::Free);
        for waits in [step(), look(), claim("mug"), unhold_here(hold), with_hold.clone()] {
            assert_eq!(under_way.beside(&waits), Beside::Waits, "{waits:?}");
        }
        // They share a batch all the same, and then nobody follows it there.
        assert!(under_way.admit(&with_hold));
        assert_eq!(under_way.beside(&take()), Beside::Waits);
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
