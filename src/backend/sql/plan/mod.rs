//! From write sets to the payload of one database transaction.

mod carts;
mod footprint;
mod history;
mod keys;
mod needs;
mod occupied;
mod prepared;
mod stock;

use crate::backend::sql::program::List;
use crate::backend::sql::rows::RowWriter;
use crate::backend::sql::rows::Rows;
use crate::backend::sql::tables::Change;
use crate::backend::sql::tables::Root;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cursor;
use crate::model::LocationId;
use crate::model::RowKey;
use crate::model::Settlement;
use crate::model::Sku;
use crate::spi::changes::ChangeAction;
use crate::spi::store::Delta;
use crate::spi::store::Durability;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use uuid::Uuid;

pub(in crate::backend::sql) use footprint::Beside;
pub(in crate::backend::sql) use footprint::Footprint;
pub(in crate::backend::sql) use footprint::Together;
pub(in crate::backend::sql) use history::History;
pub(in crate::backend::sql) use keys::hex;
pub(in crate::backend::sql) use keys::unhex;
pub(in crate::backend::sql) use occupied::Occupied;
pub(in crate::backend::sql) use prepared::Prepared;
pub(in crate::backend::sql) use stock::LevelKey;
pub(in crate::backend::sql) use stock::Running;

/// What the commit program is given: lists of rows.
#[derive(Debug, Default)]
pub(in crate::backend::sql) struct Payload {
    lists: BTreeMap<List, Rows>,
    /// The holds that the batch releases.
    pub(in crate::backend::sql) released: Vec<Uuid>,
}

impl Payload {
    pub(super) fn list(&mut self, list: List) -> &mut Rows {
        self.lists.entry(list).or_default()
    }

    /// A list that has rows.
    pub(in crate::backend::sql) fn get(&self, list: List) -> Option<&Rows> {
        self.lists.get(&list).filter(|rows| rows.count > 0)
    }

    fn bytes(&self) -> usize {
        self.lists.values().map(Rows::bytes).sum()
    }

    fn append(&mut self, other: &Self, set: i32) {
        for (list, rows) in &other.lists {
            self.list(*list).append(rows, set);
        }
        self.released.extend(&other.released);
    }
}

/// The payload of a batch, and where in it the facts that come back belong.
#[derive(Debug, Default)]
pub(in crate::backend::sql) struct Plan {
    pub(in crate::backend::sql) payload: Payload,
    /// The epoch that the sets were made in.
    pub(in crate::backend::sql) epoch: i64,
    /// Whether nobody waits for the disk.
    pub(in crate::backend::sql) relaxed: bool,
    /// How many sets there are.
    #[cfg(feature = "postgres")]
    pub(in crate::backend::sql) sets: i32,
    /// Whether anything is written; a batch that only validates reads leaves no commit row.
    pub(in crate::backend::sql) writes: bool,
    /// Whether each level that is touched is there to be stepped, and the steps' own guards are all that is asked of it.
    pub(in crate::backend::sql) guarded: bool,
    /// The sets that cannot be left out of the batch by themselves: what they do to a row or hold is one with what others do.
    pub(in crate::backend::sql) shared: BTreeSet<i32>,
    /// Position of each row that deltas change in the change list of its aggregate.
    pub(in crate::backend::sql) changed: BTreeMap<(Aggregate, RowKey), usize>,
    /// Position of each row in the check list of its root.
    pub(in crate::backend::sql) rows: BTreeMap<(Aggregate, RowKey), usize>,
    pub(in crate::backend::sql) levels: BTreeMap<LevelKey, usize>,
    pub(in crate::backend::sql) lines: BTreeMap<(Uuid, String), usize>,
    pub(in crate::backend::sql) claims: BTreeMap<(String, String), usize>,
}

/// Lays out the write sets of one database transaction; they must not [collide](Together).
pub(in crate::backend::sql) fn lay_out(sets: &[&Prepared]) -> Result<Plan> {
    let mut plan = Plan {
        #[cfg(feature = "postgres")]
        sets: i32::try_from(sets.len()).unwrap_or(i32::MAX),
        relaxed: sets.iter().all(|one| one.set.durability == Durability::Relaxed),
        epoch: sets.first().map_or(0, |one| one.set.epoch),
        guarded: !sets.iter().any(|one| one.releases_holds()),
        writes: sets.iter().any(|one| !one.set.is_read_only()),
        ..Plan::default()
    };
    plan.row_needs(sets)?;
    plan.stock(sets);
    plan.lines(sets);
    plan.claims(sets);
    plan.settlements(sets)?;
    for (set, one) in numbered(sets) {
        if one.releases_holds() {
            plan.shared.insert(set);
        }
        plan.payload.append(&one.payload, set);
        plan.record(set, one);
    }
    Ok(plan)
}

/// The sets with their numbers in the batch.
fn numbered<'a>(sets: &'a [&'a Prepared]) -> impl Iterator<Item = (i32, &'a Prepared)> {
    (0..).zip(sets.iter().copied())
}

/// Number of the rows that several sets have in common.
const COMMON: i32 = -1;

impl Plan {
    /// One set more has to do with a row.
    fn share(&mut self, of: &mut i32, set: i32) {
        if *of != set {
            self.shared.extend([*of, set]);
            *of = COMMON;
        }
    }

    /// Starts the row of the change list that adds up what deltas do to a row.
    fn change(&mut self, of: i32, aggregate: Aggregate, key: RowKey) -> RowWriter<'_> {
        let rows = self.payload.list(List::Change(aggregate));
        let n = rows.count;
        self.changed.insert((aggregate, key), n);
        let mut row = rows.row_of(of);
        row.int(signed(n));
        row
    }

    fn settlements(&mut self, sets: &[&Prepared]) -> Result<()> {
        let mut sums: BTreeMap<(Aggregate, Uuid), (i32, Settlement)> = BTreeMap::new();
        for (set, one) in numbered(sets) {
            for delta in &one.set.deltas {
                let (place, settled) = match delta {
                    Delta::Order { order, settled } => ((Aggregate::Order, order.uuid()), settled),
                    Delta::Payment { payment, settled } => ((Aggregate::Payment, payment.uuid()), settled),
                    Delta::Stock(_) | Delta::Unhold { .. } | Delta::CartLine(_) => continue,
                };
                let (of, sum) = sums.entry(place).or_insert((set, Settlement::default()));
                self.share(of, set);
                sum.authorized = sum.authorized.saturating_add(settled.authorized);
                sum.captured = sum.captured.saturating_add(settled.captured);
                sum.refunded = sum.refunded.saturating_add(settled.refunded);
            }
        }
        for ((aggregate, id), (of, sum)) in sums {
            let root = Root::of(aggregate)?;
            debug_assert!(matches!(
                root.delta,
                [Change::Add(_), Change::Add(_), Change::Add(_)]
            ));
            let mut row = self.change(of, root.aggregate, RowKey::Id(id));
            row.id(id);
            row.int(sum.authorized);
            row.int(sum.captured);
            row.int(sum.refunded);
        }
        Ok(())
    }
}

/// A key as the history writes it.
pub(in crate::backend::sql) fn key_text(key: &RowKey) -> String {
    match key {
        RowKey::Id(id) => id.to_string(),
        RowKey::Level(sku, location) => format!("{sku}@{location}"),
    }
}

/// Reads a key as the history writes it.
pub(in crate::backend::sql) fn parse_key(text: &str) -> Option<RowKey> {
    if let Some((sku, location)) = text.split_once('@') {
        return Some(RowKey::Level(
            Sku::new(sku).ok()?,
            LocationId::new(location).ok()?,
        ));
    }
    Uuid::parse_str(text).ok().map(RowKey::Id)
}

/// Whose change it is and what was done, as the history writes it.
pub(in crate::backend::sql) fn read_deed(
    aggregate: &str,
    key: &str,
    action: &str,
) -> Result<(Aggregate, RowKey, ChangeAction)> {
    let corrupt = |message| Error::new(ErrorKind::Corrupt, message);
    Ok((
        Aggregate::parse(aggregate)?,
        parse_key(key).ok_or_else(|| corrupt(format!("no row is called {key}")))?,
        ChangeAction::parse(action).ok_or_else(|| corrupt(format!("no change is called {action}")))?,
    ))
}

/// What a cursor of the history of an aggregate belongs to.
pub(in crate::backend::sql) fn history_digest(aggregate: Aggregate, key: &RowKey) -> [u8; 8] {
    Cursor::digest(&format!("history:{}:{}", aggregate.as_str(), key_text(key)))
}

pub(super) fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
