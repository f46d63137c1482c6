//! What the rows of a batch must be like.

use super::Plan;
use super::Prepared;
use super::numbered;
use super::signed;
use crate::backend::sql::program::List;
use crate::backend::sql::tables::Root;
use crate::backend::sql::tables::write_key;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::Delta;
use crate::spi::store::WriteSet;
use std::collections::BTreeMap;

/// What a row of an aggregate must be like for the batch to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowNeed {
    writes: bool,
    low: i64,
    high: i64,
    live: bool,
}

impl RowNeed {
    /// Of a row that is stepped, and need not be there before.
    const STEPS: Self = Self {
        writes: true,
        low: 0,
        high: i64::MAX,
        live: false,
    };
}

impl Plan {
    pub(super) fn row_needs(&mut self, sets: &[&Prepared]) -> Result<()> {
        let mut needs: BTreeMap<&(Aggregate, RowKey), (i32, RowNeed)> = BTreeMap::new();
        for (set, one) in numbered(sets) {
            for (place, need) in &one.needs {
                let (of, known) = needs.entry(place).or_insert((set, *need));
                self.share(of, set);
                known.writes |= need.writes;
                known.low = known.low.max(need.low);
                known.high = known.high.min(need.high);
                known.live |= need.live;
            }
        }
        let mut counts: BTreeMap<Aggregate, usize> = BTreeMap::new();
        for (place, (of, need)) in needs {
            let root = Root::of(place.0)?;
            let n = counts.entry(root.aggregate).or_default();
            self.guarded &= root.aggregate != Aggregate::Level || need == RowNeed::STEPS;
            let mut row = self.payload.list(List::Check(root.aggregate)).row_of(of);
            row.int(signed(*n));
            write_key(&place.1, &mut row);
            row.int(i64::from(need.writes));
            row.int(need.low);
            row.int(need.high);
            row.int(i64::from(need.live));
            self.rows.insert(place.clone(), *n);
            *n += 1;
        }
        Ok(())
    }
}

pub(super) fn needs_of(set: &WriteSet) -> Vec<((Aggregate, RowKey), RowNeed)> {
    let exact = |version: Option<Version>| version.map_or(0, Version::stored);
    let mut needs = Vec::new();
    for put in &set.puts {
        let version = exact(put.expected);
        let need = RowNeed {
            writes: true,
            low: version,
            high: version,
            live: put.live,
        };
        needs.push(((put.record.aggregate(), put.record.key()), need));
    }
    for delete in &set.deletes {
        let version = exact(Some(delete.expected));
        let need = RowNeed {
            writes: true,
            low: version,
            high: version,
            live: false,
        };
        needs.push(((delete.aggregate, delete.key.clone()), need));
    }
    for read in &set.reads {
        let version = exact(read.version);
        let need = RowNeed {
            writes: false,
            low: version,
            high: version,
            live: false,
        };
        needs.push(((read.aggregate, read.key.clone()), need));
    }
    for delta in &set.deltas {
        let (low, live) = match delta {
            Delta::Stock(_) | Delta::Unhold { .. } => (0, false),
            Delta::CartLine(_) => (1, true),
            Delta::Order { .. } | Delta::Payment { .. } => (1, false),
        };
        let need = RowNeed {
            writes: true,
            low,
            high: i64::MAX,
            live,
        };
        needs.extend(delta.touched().into_iter().map(|place| (place, need)));
    }
    needs
}
