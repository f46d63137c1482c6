//! Which write sets can share a database transaction.

use crate::model::Aggregate;
use crate::model::RowKey;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::WriteSet;
use std::collections::HashMap;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher as _;

/// The rows and keys that one set touches: as digests, since all that two equal ones cost is a wait.
#[derive(Debug, Clone)]
pub(in crate::backend::sql) struct Footprint {
    epoch: i64,
    pub(super) marks: Vec<(u64, Touch)>,
}

/// What a set does to a row or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// Puts or deletes the row, takes or gives up the key, releases the hold: one set of a batch.
    Owns,
    /// Changes the row by a delta: as do others.
    Changes,
    /// Takes units of a level, or gives back what it allocated: a delta that its own guard decides, wherever the others are.
    Steps,
    /// Reads the row: as do others.
    Reads,
}

impl Footprint {
    /// What one set touches, with the unique keys that it takes and gives up.
    pub(in crate::backend::sql) fn of<'a>(
        set: &WriteSet,
        keys: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut marks = Vec::with_capacity(8);
        let row = |aggregate: Aggregate, key: &RowKey| digest(&(0_u8, aggregate, key));
        for put in &set.puts {
            marks.push((row(put.record.aggregate(), &put.record.key()), Touch::Owns));
        }
        for gone in &set.deletes {
            marks.push((row(gone.aggregate, &gone.key), Touch::Owns));
        }
        for delta in &set.deltas {
            let touched = delta.touched().into_iter();
            let touch = match delta {
                // Units that arrive may be the first ones of their level.
                Delta::Stock(step) if step.on_hand <= 0 => Touch::Steps,
                _ => Touch::Changes,
            };
            marks.extend(touched.map(|(aggregate, key)| (row(aggregate, &key), touch)));
            if let Delta::Unhold { hold, .. } = delta {
                marks.push((digest(&(1_u8, hold)), Touch::Owns));
            }
        }
        for read in &set.reads {
            marks.push((row(read.aggregate, &read.key), Touch::Reads));
        }
        marks.extend(keys.map(|(space, key)| (claimed(space, key), Touch::Owns)));
        if let Some(key) = &set.idempotency {
            let space = Idempotency::space(&key.scope);
            marks.push((claimed(&space, key.key.as_str()), Touch::Owns));
        }
        Self {
            epoch: set.epoch,
            marks,
        }
    }
}

impl Touch {
    /// Whether sets that touch a row in these ways can share a batch.
    fn shares(self, other: Self) -> bool {
        match (self, other) {
            (Self::Owns, _) | (_, Self::Owns) => false,
            (Self::Reads, other) | (other, Self::Reads) => other == Self::Reads,
            (Self::Changes | Self::Steps, Self::Changes | Self::Steps) => true,
        }
    }

    /// What sets that touch a row in these ways do to it together.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, same) if one == same => one,
            (Self::Changes | Self::Steps, Self::Changes | Self::Steps) => Self::Changes,
            // One set that changes and reads a row shares it with nobody.
            _ => Self::Owns,
        }
    }
}

fn claimed(space: &str, key: &str) -> u64 {
    digest(&(2_u8, space, key))
}

fn digest(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// What the sets of a batch touch together.
#[derive(Debug, Default)]
pub(in crate::backend::sql) struct Together {
    epoch: Option<i64>,
    marks: HashMap<u64, Touch>,
}

impl Together {
    /// Takes a set in, unless it collides with one that is in already.
    ///
    /// A row has one put, or many deltas, or many reads; a unique key and a hold have one set. All sets are of one epoch.
    pub(in crate::backend::sql) fn admit(&mut self, own: &Footprint) -> bool {
        let collides =
            |(mark, touch): &(u64, Touch)| self.marks.get(mark).is_some_and(|found| !found.shares(*touch));
        if self.epoch.is_some_and(|epoch| epoch != own.epoch) || own.marks.iter().any(collides) {
            return false;
        }
        self.epoch = Some(own.epoch);
        for (mark, touch) in &own.marks {
            let found = self.marks.entry(*mark).or_insert(*touch);
            *found = found.and(*touch);
        }
        true
    }

    /// How a set gets on with these, in a database transaction of its own that is under way at the same time.
    pub(in crate::backend::sql) fn beside(&self, own: &Footprint) -> Beside {
        own.marks
            .iter()
            .filter_map(|(mark, touch)| Some((self.marks.get(mark)?, touch)))
            .map(|pair| match pair {
                (Touch::Reads, Touch::Reads) => Beside::Free,
                (Touch::Steps, Touch::Steps) => Beside::Follows,
                _ => Beside::Waits,
            })
            .max()
            .unwrap_or(Beside::Free)
    }
}

/// How a set gets on with a batch that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::backend::sql) enum Beside {
    /// They have nothing to do with each other.
    Free,
    /// It can be on its way, as long as it comes second: the database has it wait for the levels that both step.
    Follows,
    /// It has to wait until the batch has ended.
    Waits,
}
