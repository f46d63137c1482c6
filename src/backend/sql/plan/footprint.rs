//! Which write sets can share a database transaction.

use crate::model::Aggregate;
use crate::model::HoldId;
use crate::model::RowKey;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::WriteSet;
use std::collections::BTreeSet;

/// The rows and keys of the sets in a batch: what collides waits for the next batch.
#[derive(Debug, Default)]
pub(in crate::backend::sql) struct Footprint {
    epoch: Option<i64>,
    owned: BTreeSet<(Aggregate, RowKey)>,
    changed: BTreeSet<(Aggregate, RowKey)>,
    read: BTreeSet<(Aggregate, RowKey)>,
    keys: BTreeSet<(String, String)>,
    holds: BTreeSet<HoldId>,
}

impl Footprint {
    /// Takes the set in, unless it collides with one that is in already.
    ///
    /// A row has one put, or many deltas, or many reads; a unique key and a hold have one set. All sets are of one epoch.
    pub(in crate::backend::sql) fn admit(&mut self, set: &WriteSet) -> bool {
        let mut own = Self::default();
        own.owned.extend(
            set.puts
                .iter()
                .map(|put| (put.record.aggregate(), put.record.key())),
        );
        own.owned
            .extend(set.deletes.iter().map(|gone| (gone.aggregate, gone.key.clone())));
        own.changed.extend(set.deltas.iter().flat_map(Delta::touched));
        own.read
            .extend(set.reads.iter().map(|read| (read.aggregate, read.key.clone())));
        own.keys.extend(
            set.all_claims()
                .into_iter()
                .map(|claim| (claim.key.space.to_owned(), claim.key.key)),
        );
        own.keys.extend(
            set.all_releases()
                .into_iter()
                .map(|(key, _)| (key.space.to_owned(), key.key)),
        );
        own.keys.extend(
            set.idempotency
                .iter()
                .map(|key| (Idempotency::space(&key.scope), key.key.as_str().to_owned())),
        );
        own.holds
            .extend(set.deltas.iter().filter_map(|delta| match delta {
                Delta::Unhold { hold, .. } => Some(*hold),
                _ => None,
            }));
        let free = self.epoch.is_none_or(|epoch| epoch == set.epoch)
            && own.owned.is_disjoint(&self.owned)
            && own.owned.is_disjoint(&self.changed)
            && own.owned.is_disjoint(&self.read)
            && own.changed.is_disjoint(&self.owned)
            && own.changed.is_disjoint(&self.read)
            && own.read.is_disjoint(&self.owned)
            && own.read.is_disjoint(&self.changed)
            && own.keys.is_disjoint(&self.keys)
            && own.holds.is_disjoint(&self.holds);
        if free {
            self.epoch = Some(set.epoch);
            self.owned.append(&mut own.owned);
            self.changed.append(&mut own.changed);
            self.read.append(&mut own.read);
            self.keys.append(&mut own.keys);
            self.holds.append(&mut own.holds);
        }
        free
    }
}
