//! The items that a transaction rests on, as they become: each write set in its turn is tried on them, and counts for those
//! behind it if it holds.

use std::collections::BTreeMap;
use std::collections::HashMap;

use uuid::Uuid;

use super::facts::Facts;
use super::prepared::MOST_ITEMS;
use super::prepared::Prepared;
use super::prepared::Touch;
use crate::backend::dynamodb::LIMITS;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::size;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records;
use crate::backend::dynamodb::records::change::Deed;
use crate::backend::dynamodb::records::change::MOST_MOVES;
use crate::backend::dynamodb::records::change::Move;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::Committed;

/// Holds that are over and swept with one transaction of a level, at most.
const SWEEP: usize = 16;

/// What happens to an aggregate in the transaction.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) row: (Aggregate, RowKey),
    /// The item that tells it, where it is not the root: a share of a level that is spread.
    pub(super) home: Option<Key>,
    pub(super) version: i64,
    pub(super) deeds: Vec<Deed>,
    pub(super) moves: Vec<Move>,
    /// Whether an item of its own tells it, or what happened before: see `records::past`.
    pub(super) apart: bool,
}

impl Log {
    /// About how large it is: it stands in an item of its own, and what happened in the root once more.
    fn bytes(&self) -> usize {
        let deeds = self.deeds.iter().map(|deed| {
            let events: usize = deed.events.iter().map(String::len).sum();
            2 * (80 + deed.actor.len() + events)
        });
        400 + deeds.sum::<usize>() + 400 * self.moves.len()
    }
}

/// Why a set is not applied.
#[derive(Debug)]
pub(super) enum Stop {
    /// Its idempotency key was used before, for this owner.
    Replay(Uuid),
    /// It does not hold.
    Refuse(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refuse(error)
    }
}

/// What is decided about a set.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It holds, and is answered so once the transaction is through.
    Admit(Committed),
    /// It is not applied, whatever becomes of the others.
    Stop(Stop),
    /// It does not hold beside those before it, or does not fit: it is decided when they are through.
    Later,
}

/// Changes on top of facts.
#[derive(Debug, Default, Clone)]
pub(super) struct Changes {
    /// Items as they become; `None` is gone.
    pub(super) items: HashMap<Key, Option<Map>>,
    pub(super) logs: BTreeMap<Key, Log>,
    /// Versions of what is only read.
    pub(super) checks: BTreeMap<Key, i64>,
    /// Units of holds that are over and stay on the books, by level.
    pub(super) left: HashMap<Key, i64>,
}

impl Changes {
    fn bytes(&self) -> usize {
        let items = self.items.values().flatten().map(size);
        items.sum::<usize>() + self.logs.values().map(Log::bytes).sum::<usize>()
    }

    /// What of it more changes take the place of, in bytes.
    fn bytes_replaced_by(&self, more: &Self) -> usize {
        let items = more.items.keys().filter_map(|key| self.items.get(key)?.as_ref());
        let logs = more.logs.keys().filter_map(|key| self.logs.get(key));
        items.map(size).sum::<usize>() + logs.map(Log::bytes).sum::<usize>()
    }

    /// How many items a transaction has with more changes.
    fn items_with(&self, more: &Self) -> usize {
        let items = more.items.keys().filter(|key| !self.items.contains_key(*key));
        let apart = |log: &&Log| log.apart;
        let kept = self.logs.iter().filter(|(key, _)| !more.logs.contains_key(*key));
        let logs = kept.map(|(_, log)| log).chain(more.logs.values()).filter(apart);
        let own = self.checks.keys().filter(|key| !more.items.contains_key(*key));
        let others = more.checks.keys().filter(|key| !self.checks.contains_key(*key));
        let checks = own.chain(others.filter(|key| !more.items.contains_key(*key)));
        let checks = checks.filter(|key| !self.items.contains_key(*key));
        self.items.len() + items.count() + logs.count() + checks.count() + 1
    }

    fn merge(&mut self, more: Self) {
        self.items.extend(more.items);
        self.logs.extend(more.logs);
        self.checks.extend(more.checks);
        self.left.extend(more.left);
    }
}

/// Facts, and what the sets that hold make of them.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) facts: &'a Facts,
    pub(super) changes: Changes,
    /// How many holds that are over are swept with a level.
    pub(super) sweep: usize,
    /// Whether what arrives is spread over the shares of a level.
    pub(super) evenly: bool,
    /// What the sets that hold touch.
    touches: HashMap<Key, Touch>,
    /// What they write, in bytes.
    bytes: usize,
}

impl<'a> World<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self {
            facts,
            changes: Changes::default(),
            sweep: SWEEP,
            evenly: true,
            touches: HashMap::new(),
            bytes: 0,
        }
    }

    /// Decides about each set in its turn.
    pub(super) fn judge(&mut self, sets: &[&Prepared]) -> Vec<Verdict> {
        let verdicts = sets.iter().map(|one| self.judge_one(one));
        verdicts.collect()
    }

    fn judge_one(&mut self, one: &Prepared) -> Verdict {
        let is_first = self.changes.items.is_empty() && self.changes.checks.is_empty();
        let clashes = one.touches.iter().any(|(key, touch)| {
            let known = self.touches.get(key);
            known.is_some_and(|known| known != touch || *touch == Touch::Owns)
        });
        if clashes {
            return self.judge_alone(one);
        }
        match super::trial::run(self, one) {
            Ok((draft, committed)) => {
                if let Some(bytes) = self.weigh_with(&draft) {
                    self.bytes = bytes;
                    self.changes.merge(draft);
                    self.touches.extend(one.touches.clone());
                    return Verdict::Admit(committed);
                }
                if !is_first {
                    return Verdict::Later;
                }
                // It may fit without the sweeping, which can wait: what is over does not count either way. And what arrives
                // need not be spread.
                if self.sweep > 0 {
                    self.sweep = 0;
                } else if self.evenly {
                    self.evenly = false;
                } else {
                    return Verdict::Stop(Stop::Refuse(too_large()));
                }
                self.judge_one(one)
            }
            Err(stop) if is_first => Verdict::Stop(stop),
            Err(_) => self.judge_alone(one),
        }
    }

    /// A refusal rests on what is committed, and on nothing else.
    fn judge_alone(&self, one: &Prepared) -> Verdict {
        match super::trial::run(&World::new(self.facts), one) {
            Ok(_) => Verdict::Later,
            Err(stop) => Verdict::Stop(stop),
        }
    }

    /// The bytes of the transaction with a draft, if it can hold both.
    fn weigh_with(&self, draft: &Changes) -> Option<usize> {
        let bytes = self.bytes + draft.bytes() - self.changes.bytes_replaced_by(draft);
        let few_moves = draft.logs.values().all(|log| log.moves.len() <= MOST_MOVES);
        let few_items = self.changes.items_with(draft) <= MOST_ITEMS;
        (few_moves && few_items && bytes <= LIMITS.bytes).then_some(bytes)
    }

    /// An item as it is by now.
    pub(super) fn item(&self, key: &Key) -> Option<&Map> {
        match self.changes.items.get(key) {
            Some(item) => item.as_ref(),
            None => self.facts.items.get(key),
        }
    }

    /// The version that an aggregate has in the store: one that was removed has none.
    pub(super) fn stored_version(&self, key: &Key) -> Result<i64> {
        self.facts.version(key)
    }
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::TooLarge,
        "the write does not fit into one transaction: make it smaller",
    )
}

/// The version after the one in the store.
pub(super) fn next(stored: i64) -> Version {
    Version::from(u64::try_from(stored).unwrap_or_default()).next()
}

/// Whether an item is an aggregate that is there.
pub(super) fn is_there(item: Option<&Map>) -> bool {
    item.is_some_and(|item| item.contains_key(records::VERSION))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::facts::Over;
    use super::*;
    use crate::backend::dynamodb::item::Write as _;
    use crate::backend::dynamodb::records::level::Counters;
    use crate::backend::dynamodb::records::level::Line;
    use crate::backend::dynamodb::records::level::blank;
    use crate::error::ErrorKind;
    use crate::model::Actor;
    use crate::model::HoldId;
    use crate::model::LocationId;
    use crate::model::OrderId;
    use crate::model::Quantity;
    use crate::model::Sku;
    use crate::model::from_micros;
    use crate::spi::store::Delta;
    use crate::spi::store::StockStep;
    use crate::spi::store::WriteSet;

    fn place() -> (Sku, LocationId) {
        (Sku::new("MUG").unwrap(), LocationId::new("berlin").unwrap())
    }

    fn level() -> Key {
        let (sku, berlin) = place();
        Key::root(Aggregate::Level, &RowKey::Level(sku, berlin))
    }

    /// A level of five units, of which holds that are over keep `over` each.
    fn facts(over: &[i64]) -> Facts {
        let ((sku, berlin), now) = (place(), from_micros(1_000_000).unwrap());
        let lines = over.iter().map(|quantity| Line {
            hold: HoldId::new().uuid(),
            sku: sku.clone(),
            location: berlin.clone(),
            quantity: *quantity,
            until: 1,
            shares: vec![(0, *quantity)],
        });
        let lines: Vec<_> = lines.collect();
        let mut item = blank(&sku, &berlin);
        item.int(records::VERSION, 7);
        let counters = Counters {
            on_hand: 5,
            held: over.iter().sum(),
            next_end: Some(1),
            ..Counters::default()
        };
        counters.write(&mut item);
        Facts {
            now,
            epoch: 0,
            items: HashMap::from([(level(), item)]),
            over: HashMap::from([(level(), Over { lines, next: None })]),
            pick: 0,
            new_shares: 1,
        }
    }

    fn taking(units: i64) -> Prepared {
        let (sku, berlin) = place();
        let mut set = WriteSet::new(Actor::system());
        let quantity = Quantity::new(units).unwrap();
        set.delta(Delta::Stock(StockStep::allocate(
            &sku,
            &berlin,
            quantity,
            OrderId::new(),
        )));
        Prepared::new(set, from_micros(0).unwrap()).unwrap()
    }

    fn counters(world: &World<'_>) -> (i64, i64, i64) {
        let counters = Counters::read(world.item(&level()).unwrap()).unwrap();
        (counters.on_hand, counters.allocated, counters.held)
    }

    #[test]
    fn a_refusal_rests_on_what_is_stored_and_on_nothing_else() {
        let facts = facts(&[]);
        let mut world = World::new(&facts);
        let sets = [taking(3), taking(3), taking(6), taking(2)];
        let verdicts = world.judge(&sets.iter().collect::<Vec<_>>());
        // Three and two of five; three more are decided when those are through, six were never there.
        assert!(matches!(
            verdicts.as_slice(),
            [
                Verdict::Admit(_),
                Verdict::Later,
                Verdict::Stop(Stop::Refuse(short)),
                Verdict::Admit(_)
            ] if short.is(ErrorKind::InsufficientStock)
        ));
        assert_eq!(counters(&world), (5, 5, 0));
        let log = world.changes.logs.get(&level()).unwrap();
        assert_eq!((log.version, log.deeds.len(), log.moves.len()), (8, 2, 2));
    }

    #[test]
    fn what_is_over_is_swept_once_and_its_units_are_free() {
        let facts = facts(&[2, 3]);
        let mut world = World::new(&facts);
        let sets = [taking(4), taking(1)];
        let verdicts = world.judge(&sets.iter().collect::<Vec<_>>());
        assert!(
            verdicts
                .iter()
                .all(|verdict| matches!(verdict, Verdict::Admit(_)))
        );
        assert_eq!(counters(&world), (5, 5, 0));
        assert_eq!(
            world.changes.items.values().filter(|item| item.is_none()).count(),
            2
        );
    }

    #[test]
    fn what_is_over_and_stays_on_the_books_does_not_count() {
        let facts = facts(&[1, 1, 1, 1, 1]);
        let mut world = World::new(&facts);
        world.sweep = 2;
        let sets = [taking(3), taking(2), taking(1)];
        let verdicts = world.judge(&sets.iter().collect::<Vec<_>>());
        assert!(matches!(
            verdicts.as_slice(),
            [Verdict::Admit(_), Verdict::Admit(_), Verdict::Later]
        ));
        assert_eq!(counters(&world), (5, 5, 3));
    }

    #[test]
    fn a_hold_that_ends_at_once_lasts_a_moment() {
        let (sku, berlin) = place();
        let mut set = WriteSet::new(Actor::system());
        let hold = StockStep::hold(&sku, &berlin, Quantity::ONE, HoldId::new(), Duration::ZERO);
        set.delta(Delta::Stock(hold));
        let one = Prepared::new(set, from_micros(0).unwrap()).unwrap();
        let facts = facts(&[]);
        let mut world = World::new(&facts);
        assert!(matches!(world.judge(&[&one]).as_slice(), [Verdict::Admit(_)]));
        let end = Counters::read(world.item(&level()).unwrap()).unwrap().next_end;
        assert_eq!(end, Some(1_000_001));
    }
}
