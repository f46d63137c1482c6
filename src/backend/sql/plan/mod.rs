//! From write sets to the payload of one database transaction.

mod carts;
mod footprint;
mod keys;
mod needs;
mod occupied;
mod stock;

use crate::backend::sql::LIMITS;
use crate::backend::sql::rows::RowWriter;
use crate::backend::sql::rows::Rows;
use crate::backend::sql::tables::Change;
use crate::backend::sql::tables::Root;
use crate::backend::sql::tables::Verb;
use crate::backend::sql::tables::write_key;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::RowKey;
use crate::model::Settlement;
use crate::model::Sku;
use crate::model::Version;
use crate::spi::changes::ChangeAction;
use crate::spi::store::Delta;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use uuid::Uuid;

pub(in crate::backend::sql) use footprint::Footprint;
pub(in crate::backend::sql) use keys::hex;
pub(in crate::backend::sql) use keys::unhex;
pub(in crate::backend::sql) use occupied::Occupied;
pub(in crate::backend::sql) use stock::LevelKey;
pub(in crate::backend::sql) use stock::Running;

/// What the commit program is given: named lists of rows.
#[derive(Debug, Default)]
pub(in crate::backend::sql) struct Payload {
    lists: BTreeMap<String, Rows>,
    /// The holds that the batch releases.
    pub(in crate::backend::sql) released: Vec<Uuid>,
}

impl Payload {
    pub(super) fn list(&mut self, name: impl Into<String>) -> &mut Rows {
        self.lists.entry(name.into()).or_default()
    }

    /// How much text the lists are.
    pub(in crate::backend::sql) fn bytes(&self) -> usize {
        self.lists.values().map(Rows::bytes).sum()
    }

    /// The lists that have rows, as JSON.
    pub(in crate::backend::sql) fn finish(self) -> BTreeMap<String, String> {
        self.lists
            .into_iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(name, rows)| (name, rows.finish()))
            .collect()
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

/// Lays out the write sets of one database transaction; they must not [collide](Footprint).
///
/// # Errors
/// `TooLarge` past the limit of bytes.
pub(in crate::backend::sql) fn lay_out(sets: &[&WriteSet]) -> Result<Plan> {
    let mut plan = Plan {
        epoch: sets.first().map_or(0, |set| set.epoch),
        writes: sets.iter().any(|set| !set.is_read_only()),
        ..Plan::default()
    };
    plan.row_needs(sets)?;
    plan.stock(sets);
    plan.lines(sets);
    plan.claims(sets);
    for (index, set) in sets.iter().enumerate() {
        plan.puts(set)?;
        plan.deletes(set)?;
        plan.record(index, set)?;
    }
    plan.settlements(sets)?;
    if plan.payload.bytes() > LIMITS.bytes {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the write has more than {} bytes", LIMITS.bytes),
        ));
    }
    Ok(plan)
}

impl Plan {
    fn puts(&mut self, set: &WriteSet) -> Result<()> {
        for put in &set.puts {
            let root = Root::of(put.record.aggregate())?;
            let (verb, list, version) = match put.expected {
                None => (Verb::Insert, "insert", Version::FIRST),
                Some(expected) => (Verb::Update, "update", expected.next()),
            };
            let mut row = self.payload.list(format!("{list}_{}", root.table)).row();
            root.write(&put.record, version, verb, &mut row);
            drop(row);
            self.put_parts(root, put);
        }
        Ok(())
    }

    fn put_parts(&mut self, root: &Root, put: &Put) {
        let (Some(part), Parts::Whole) = (root.part, put.parts) else {
            return;
        };
        if let (Some(_), RowKey::Id(owner)) = (put.expected, put.record.key()) {
            self.payload.list(format!("clear_{}", part.table)).row().id(owner);
        }
        (root.parts)(&put.record, self.payload.list(format!("insert_{}", part.table)));
    }

    fn deletes(&mut self, set: &WriteSet) -> Result<()> {
        for delete in &set.deletes {
            let root = Root::of(delete.aggregate)?;
            write_key(
                &delete.key,
                &mut self.payload.list(format!("delete_{}", root.table)).row(),
            );
            if let (Some(part), RowKey::Id(owner)) = (root.part, &delete.key) {
                self.payload
                    .list(format!("clear_{}", part.table))
                    .row()
                    .id(*owner);
            }
        }
        Ok(())
    }

    fn record(&mut self, index: usize, set: &WriteSet) -> Result<()> {
        let (actor, events) = author(set);
        let begin = |row: &mut RowWriter<'_>, action: ChangeAction| {
            row.int(signed(index));
            row.text(action.as_str());
            row.text(&actor);
            row.text(&events);
        };
        let puts = set.puts.iter().map(|put| {
            let version = put.expected.map_or(Version::FIRST, Version::next);
            let place = (put.record.aggregate(), put.record.key());
            (ChangeAction::Put, place, version)
        });
        let deletes = set.deletes.iter().map(|gone| {
            let place = (gone.aggregate, gone.key.clone());
            (ChangeAction::Delete, place, gone.expected.next())
        });
        for (action, (aggregate, key), version) in puts.chain(deletes) {
            let mut row = self.payload.list("record_known").row();
            begin(&mut row, action);
            row.text(aggregate.as_str());
            row.text(&key_text(&key));
            row.int(version.stored());
        }
        let changed: BTreeSet<_> = set.deltas.iter().flat_map(Delta::touched).collect();
        for (aggregate, key) in changed {
            let root = Root::of(aggregate)?;
            let mut row = self.payload.list(format!("record_{}", root.table)).row();
            begin(&mut row, ChangeAction::Delta);
            write_key(&key, &mut row);
        }
        Ok(())
    }

    fn settlements(&mut self, sets: &[&WriteSet]) -> Result<()> {
        let mut sums: BTreeMap<(Aggregate, Uuid), Settlement> = BTreeMap::new();
        for delta in sets.iter().flat_map(|set| &set.deltas) {
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
            let mut row = self.payload.list(format!("delta_{}", root.table)).row();
            row.id(id);
            row.int(sum.authorized);
            row.int(sum.captured);
            row.int(sum.refunded);
        }
        Ok(())
    }
}

fn author(set: &WriteSet) -> (String, String) {
    let names: Vec<&str> = set.events.iter().map(|event| event.name.as_str()).collect();
    (
        set.actor.to_string(),
        serde_json::to_string(&names).unwrap_or_else(|_| "[]".to_owned()),
    )
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
