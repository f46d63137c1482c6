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
            marks.extend(touched.map(|(aggregate, key)| (row(aggregate, &key), Touch::Changes)));
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
        let collides = |(mark, touch): &(u64, Touch)| {
            self.marks
                .get(mark)
                .is_some_and(|found| *found == Touch::Owns || found != touch)
        };
        if self.epoch.is_some_and(|epoch| epoch != own.epoch) || own.marks.iter().any(collides) {
            return false;
        }
        self.epoch = Some(own.epoch);
        for (mark, touch) in &own.marks {
            let found = self.marks.entry(*mark).or_insert(*touch);
            // One set that changes and reads a row shares it with nobody.
            if found != touch {
                *found = Touch::Owns;
            }
        }
        true
    }

    /// Whether a set would have to wait for one of these in another database transaction, as [`Occupied`](super::Occupied) says.
    pub(in crate::backend::sql) fn blocks(&self, own: &Footprint) -> bool {
        own.marks.iter().any(|(mark, touch)| {
            self.marks
                .get(mark)
                .is_some_and(|found| *found != Touch::Reads || *touch != Touch::Reads)
        })
    }
}
