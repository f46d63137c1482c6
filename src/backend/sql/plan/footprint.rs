//! Which write sets can share a database transaction.

use crate::model::Aggregate;
use crate::model::HoldId;
use crate::model::RowKey;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::WriteSet;
use std::collections::BTreeSet;

/// The rows and keys of one set, or of the sets in a batch: what collides waits for the next batch.
#[derive(Debug, Clone, Default)]
pub(in crate::backend::sql) struct Footprint {
    epoch: Option<i64>,
    pub(super) owned: BTreeSet<(Aggregate, RowKey)>,
    pub(super) changed: BTreeSet<(Aggregate, RowKey)>,
    pub(super) read: BTreeSet<(Aggregate, RowKey)>,
    pub(super) keys: BTreeSet<(String, String)>,
    pub(super) holds: BTreeSet<HoldId>,
}

impl Footprint {
    /// What one set touches.
    pub(in crate::backend::sql) fn of(set: &WriteSet) -> Self {
        let mut own = Self {
            epoch: Some(set.epoch),
            ..Self::default()
        };
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
        own
    }

    /// Takes another set in, unless it collides with one that is in already.
    ///
    /// A row has one put, or many deltas, or many reads; a unique key and a hold have one set. All sets are of one epoch.
    pub(in crate::backend::sql) fn admit(&mut self, mut own: Self) -> bool {
        let free = (self.epoch.is_none() || self.epoch == own.epoch)
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
            self.epoch = own.epoch;
            self.owned.append(&mut own.owned);
            self.changed.append(&mut own.changed);
            self.read.append(&mut own.read);
            self.keys.append(&mut own.keys);
            self.holds.append(&mut own.holds);
        }
        free
    }
}
