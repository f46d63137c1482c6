//! One write set with all that can be worked out before the service is asked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::backend::dynamodb::LIMITS;
use crate::backend::dynamodb::item::size;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::LONGEST;
use crate::backend::dynamodb::records;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::ClaimKey;
use crate::model::Timestamp;
use crate::spi::store::Claim;
use crate::spi::store::Delta;
use crate::spi::store::Durability;
use crate::spi::store::Idempotency;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use uuid::Uuid;

/// Most units that one step may add or take off, so that no sum of counters overflows.
const MOST_UNITS: u64 = 1_000_000_000_000;

/// The largest item that the service takes, less what is added to a record: keys, indexes, what happened last.
const LARGEST_RECORD: usize = 390 * 1024;

/// Items that a transaction takes.
pub(super) const MOST_ITEMS: usize = 100;

/// What a set does to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// Writes it as it shall be: no other set of the transaction may touch it.
    Owns,
    /// Changes it by deltas, as others may.
    Changes,
    /// Reads it, as others may.
    Reads,
}

/// A write set, the items that it touches, and what of it counts against the limits.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) set: WriteSet,
    /// Unique keys that the set takes and gives up, but for the idempotency key.
    pub(super) claims: Vec<Claim>,
    pub(super) releases: Vec<(ClaimKey, Uuid)>,
    pub(super) touches: BTreeMap<Key, Touch>,
    /// Items that the set usually writes by itself, those left out that sets can share. Where the past of an aggregate has to be
    /// moved it is one more, which is found out when the set is tried.
    pub(super) own_items: usize,
}

impl Prepared {
    /// # Errors
    /// - `TooLarge` past the limits: nothing is sent then.
    /// - `InvalidInput` for a step of too many units, a key that is too long, and what is not a hold in a relaxed set.
    pub(super) fn new(set: WriteSet, now: Timestamp) -> Result<Self> {
        check(&set)?;
        let mut prepared = Self {
            claims: set.all_claims(),
            releases: set.all_releases(),
            touches: BTreeMap::new(),
            own_items: 0,
            set,
        };
        prepared.touch()?;
        prepared.count(now)?;
        Ok(prepared)
    }

    /// The items that the set rests on.
    pub(super) fn looks(&self) -> impl Iterator<Item = Key> {
        self.touches.keys().cloned()
    }

    fn touch(&mut self) -> Result<()> {
        let mut touches = BTreeMap::new();
        for put in &self.set.puts {
            touches.insert(Key::root(put.record.aggregate(), &put.record.key()), Touch::Owns);
        }
        for gone in &self.set.deletes {
            touches.insert(Key::root(gone.aggregate, &gone.key), Touch::Owns);
        }
        for read in &self.set.reads {
            touches.insert(Key::root(read.aggregate, &read.key), Touch::Reads);
        }
        for delta in &self.set.deltas {
            for (aggregate, key) in delta.touched() {
                touches.insert(Key::root(aggregate, &key), Touch::Changes);
            }
            touches.extend(lines(delta).map(|line| (line, Touch::Owns)));
        }
        let taken = self.claims.iter().map(|claim| &claim.key);
        for key in taken.chain(self.releases.iter().map(|(key, _)| key)) {
            touches.insert(claim_key(key.space, &key.key)?, Touch::Owns);
        }
        if let Some(key) = &self.set.idempotency {
            let place = claim_key(&Idempotency::space(&key.scope), key.key.as_str())?;
            touches.insert(place, Touch::Owns);
        }
        self.touches = touches;
        Ok(())
    }

    fn count(&mut self, now: Timestamp) -> Result<()> {
        let set = &self.set;
        let rows: BTreeSet<_> = set.deltas.iter().flat_map(Delta::touched).collect();
        let lines: BTreeSet<_> = set.deltas.iter().flat_map(lines).collect();
        // What its owner held before and keeps is not written.
        let previous = set.puts.iter().flat_map(|put| &put.previous);
        let kept: BTreeSet<&ClaimKey> = previous.collect();
        let taken = self.claims.iter().map(|claim| &claim.key);
        let taken = taken.filter(|key| !kept.contains(key));
        let keys: BTreeSet<&ClaimKey> = taken.chain(self.releases.iter().map(|(key, _)| key)).collect();
        let payments = set
            .puts
            .iter()
            .filter(|put| put.record.aggregate() == Aggregate::Payment);
        let apart = |put: &&Put| put.record.aggregate() == Aggregate::Level;
        self.own_items = set.puts.len()
            + set.puts.iter().filter(apart).count()
            + 2 * set.deletes.len()
            + payments.count()
            + set.reads.len()
            + lines.len()
            + keys.len()
            + usize::from(set.idempotency.is_some());
        // At its largest: what is not new may have a past that has to be moved.
        let moved = |put: &&Put| put.expected.is_some() && !apart(put);
        let items = self.own_items + set.puts.iter().filter(moved).count() + 2 * rows.len() + 1;
        if items > MOST_ITEMS {
            return Err(too_large(format!(
                "the write needs {items} items, DynamoDB takes {MOST_ITEMS} in one transaction: make it smaller"
            )));
        }
        self.weigh(now)
    }

    fn weigh(&self, now: Timestamp) -> Result<()> {
        let mut sum = 0;
        for put in &self.set.puts {
            let bytes = size(&records::write(&put.record, now));
            if bytes > LARGEST_RECORD {
                let name = put.record.aggregate().name(&put.record.key());
                return Err(too_large(format!(
                    "an item has at most {LARGEST_RECORD} bytes, this one {bytes}"
                ))
                .concerning(name));
            }
            sum += bytes;
        }
        if sum > LIMITS.bytes {
            return Err(too_large(format!(
                "the write has more than {} bytes",
                LIMITS.bytes
            )));
        }
        Ok(())
    }
}

/// The lines of holds that a delta opens or ends.
fn lines(delta: &Delta) -> impl Iterator<Item = Key> {
    let found = match delta {
        Delta::Stock(step) => step
            .hold
            .iter()
            .map(|(hold, _)| Key::hold(hold.uuid(), &step.sku, &step.location))
            .collect(),
        Delta::Unhold { hold, levels } => levels
            .iter()
            .map(|(sku, location)| Key::hold(hold.uuid(), sku, location))
            .collect(),
        _ => Vec::new(),
    };
    found.into_iter()
}

fn claim_key(space: &str, key: &str) -> Result<Key> {
    let place = Key::claim(space, key);
    if place.pk.len() > LONGEST {
        return Err(Error::invalid(
            "key",
            format!("a unique key and its space have at most {LONGEST} bytes together"),
        ));
    }
    Ok(place)
}

fn check(set: &WriteSet) -> Result<()> {
    let (operations, most) = (set.operations(), LIMITS.operations);
    if operations > most {
        return Err(too_large(format!(
            "the write has {operations} operations, DynamoDB takes {most} at once"
        )));
    }
    if set.durability == Durability::Relaxed && !set.only_holds() {
        return Err(Error::invalid("durability", "only holds may be relaxed"));
    }
    for delta in &set.deltas {
        let Delta::Stock(step) = delta else { continue };
        let units = [step.on_hand, step.allocated, step.held, step.takes];
        if units.iter().any(|units| units.unsigned_abs() > MOST_UNITS) {
            return Err(
                Error::invalid("quantity", format!("a step moves at most {MOST_UNITS} units"))
                    .concerning(format!("level {} at {}", step.sku, step.location)),
            );
        }
    }
    Ok(())
}

fn too_large(message: String) -> Error {
    Error::new(ErrorKind::TooLarge, message)
}
