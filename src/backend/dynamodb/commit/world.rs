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
    pub(super) version: i64,
    pub(super) deeds: Vec<Deed>,
    pub(super) moves: Vec<Move>,
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
    fn items(&self) -> usize {
        let checks = self.checks.keys().filter(|key| !self.items.contains_key(*key));
        self.items.len() + self.logs.len() + checks.count() + 1
    }

    fn bytes(&self) -> usize {
        // A level's changes and movements stand in an item of their own, and the changes in the root once more.
        let logs = self.logs.values().map(|log| {
            let deeds = log.deeds.iter().map(|deed| {
                let events: usize = deed.events.iter().map(String::len).sum();
                2 * (80 + deed.actor.len() + events)
            });
            let notes = log.moves.iter().map(|_| 400);
            400 + deeds.sum::<usize>() + notes.sum::<usize>()
        });
        self.items.values().flatten().map(size).sum::<usize>() + logs.sum::<usize>()
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
    /// What the sets that hold touch.
    touches: HashMap<Key, Touch>,
}

impl<'a> World<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self {
            facts,
            changes: Changes::default(),
            sweep: SWEEP,
            touches: HashMap::new(),
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
                let together = self.with(draft);
                if fits(&together) {
                    self.changes = together;
                    self.touches.extend(one.touches.clone());
                    return Verdict::Admit(committed);
                }
                match (is_first, self.sweep) {
                    (false, _) => Verdict::Later,
                    (true, 0) => Verdict::Stop(Stop::Refuse(too_large())),
                    (true, _) => {
                        // It may fit without the sweeping, which can wait: what is over does not count either way.
                        self.sweep = 0;
                        self.judge_one(one)
                    }
                }
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

    fn with(&self, draft: Changes) -> Changes {
        let mut together = self.changes.clone();
        together.merge(draft);
        together
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

/// Whether a transaction can hold the changes.
fn fits(changes: &Changes) -> bool {
    let few_moves = changes.logs.values().all(|log| log.moves.len() <= MOST_MOVES);
    few_moves && changes.items() <= MOST_ITEMS && changes.bytes() <= LIMITS.bytes
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
