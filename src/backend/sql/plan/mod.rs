//! From write sets to the payload of one database transaction.

mod carts;
mod footprint;
mod keys;
mod needs;
mod occupied;
mod prepared;
mod stock;

use crate::backend::sql::program::List;
use crate::backend::sql::rows::Rows;
use crate::backend::sql::tables::Change;
use crate::backend::sql::tables::Root;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::RowKey;
use crate::model::Settlement;
use crate::model::Sku;
use crate::spi::store::Delta;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(in crate::backend::sql) use footprint::Footprint;
pub(in crate::backend::sql) use footprint::Together;
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

    fn append(&mut self, other: &Self) {
        for (list, rows) in &other.lists {
            self.list(*list).append(rows);
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
    /// Whether anything is written; a batch that only validates reads leaves no commit row.
    pub(in crate::backend::sql) writes: bool,
    /// Position of each row in the check list of its root.
    pub(in crate::backend::sql) rows: BTreeMap<(Aggregate, RowKey), usize>,
    pub(in crate::backend::sql) levels: BTreeMap<LevelKey, usize>,
    pub(in crate::backend::sql) lines: BTreeMap<(Uuid, String), usize>,
    pub(in crate::backend::sql) claims: BTreeMap<(String, String), usize>,
}

/// Lays out the write sets of one database transaction; they must not [collide](Together).
pub(in crate::backend::sql) fn lay_out(sets: &[&Prepared]) -> Result<Plan> {
    let mut plan = Plan {
        epoch: sets.first().map_or(0, |one| one.set.epoch),
        writes: sets.iter().any(|one| !one.set.is_read_only()),
        ..Plan::default()
    };
    plan.row_needs(sets)?;
    plan.stock(sets);
    plan.lines(sets);
    plan.claims(sets);
    plan.settlements(sets)?;
    for one in sets {
        plan.payload.append(&one.payload);
    }
    Ok(plan)
}

impl Plan {
    fn settlements(&mut self, sets: &[&Prepared]) -> Result<()> {
        let mut sums: BTreeMap<(Aggregate, Uuid), Settlement> = BTreeMap::new();
        for delta in sets.iter().flat_map(|one| &one.set.deltas) {
            let (place, settled) = match delta {
                Delta::Order { order, settled } => ((Aggregate::Order, order.uuid()), settled),
                Delta::Payment { payment, settled } => ((Aggregate::Payment, payment.uuid()), settled),
                Delta::Stock(_) | Delta::Unhold { .. } | Delta::CartLine(_) => continue,
            };
            let sum = sums.entry(place).or_default();
            sum.authorized = sum.authorized.saturating_add(settled.authorized);
            sum.captured = sum.captured.saturating_add(settled.captured);
            sum.refunded = sum.refunded.saturating_add(settled.refunded);
        }
        for ((aggregate, id), sum) in sums {
            let root = Root::of(aggregate)?;
            debug_assert!(matches!(
                root.delta,
                [Change::Add(_), Change::Add(_), Change::Add(_)]
            ));
            let mut row = self.payload.list(List::Change(root.aggregate)).row();
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

pub(super) fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
