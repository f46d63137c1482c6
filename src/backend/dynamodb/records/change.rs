//! What happened to an aggregate, and the movements of a level.

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::item::entry;
use crate::backend::dynamodb::item::missing;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::Movement;
use crate::model::MovementKind;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::Version;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::store::StockStep;

/// The changes of one version: several where write sets share it.
pub(in crate::backend::dynamodb) const CHANGES: &str = "changes";
/// The number of the last change of an aggregate; it goes on rising when the aggregate is removed and created anew.
pub(in crate::backend::dynamodb) const LAST_CHANGE: &str = "last_change";
const MOVES: &str = "moves";
const NUMBER: &str = "number";

/// How many movements of a level one transaction can have: a movement's place is the number of its change and its own.
pub(in crate::backend::dynamodb) const MOST_MOVES: usize = 1_000;

/// Who did what, as one write set tells it.
#[derive(Clone, Debug)]
pub(in crate::backend::dynamodb) struct Deed {
    pub(in crate::backend::dynamodb) action: ChangeAction,
    pub(in crate::backend::dynamodb) actor: String,
    pub(in crate::backend::dynamodb) events: Vec<String>,
}

/// A step of a level on its way into the ledger.
#[derive(Clone, Debug)]
pub(in crate::backend::dynamodb) struct Move {
    kind: MovementKind,
    on_hand: i64,
    allocated: i64,
    held: i64,
    reference: Option<Uuid>,
    note: Option<String>,
}

impl Move {
    pub(in crate::backend::dynamodb) fn of(step: &StockStep) -> Self {
        Self {
            kind: step.kind,
            on_hand: step.on_hand,
            allocated: step.allocated,
            held: step.held,
            reference: step.reference,
            note: step.note.clone(),
        }
    }

    /// A hold gives back what it held.
    pub(in crate::backend::dynamodb) fn ended(kind: MovementKind, hold: Uuid, quantity: i64) -> Self {
        Self {
            kind,
            on_hand: 0,
            allocated: 0,
            held: -quantity,
            reference: Some(hold),
            note: None,
        }
    }

    fn write(&self) -> AttributeValue {
        let mut item = Map::new();
        item.text("kind", self.kind.as_str());
        for (name, units) in [
            ("on_hand", self.on_hand),
            ("allocated", self.allocated),
            ("held", self.held),
        ] {
            if units != 0 {
                item.int(name, units);
            }
        }
        item.opt_id("reference", self.reference);
        item.opt_text("note", self.note.as_deref());
        AttributeValue::M(item)
    }
}

/// The deeds of a version as an attribute.
pub(in crate::backend::dynamodb) fn write_deeds(deeds: &[Deed]) -> AttributeValue {
    let deeds = deeds.iter().map(|deed| {
        let mut item = Map::new();
        item.text("action", deed.action.as_str());
        item.text("actor", deed.actor.as_str());
        let events = deed.events.iter().cloned().map(AttributeValue::S);
        item.put("events", AttributeValue::L(events.collect()));
        AttributeValue::M(item)
    });
    AttributeValue::L(deeds.collect())
}

/// What every item of changes has: which aggregate came to which version, when, by whom.
pub(in crate::backend::dynamodb) fn write_head(
    item: &mut Map,
    row: (Aggregate, &RowKey),
    version: i64,
    at: i64,
    deeds: &[Deed],
) {
    item.text("aggregate", row.0.as_str());
    item.text("row", row.1.to_string());
    item.int("version", version);
    item.int("at", at);
    item.put(CHANGES, write_deeds(deeds));
}

/// The item of a level's history: one for each version.
pub(in crate::backend::dynamodb) fn write(
    row: (Aggregate, &RowKey),
    (number, version, at): (i64, i64, i64),
    deeds: &[Deed],
    moves: &[Move],
) -> Map {
    let mut item = Map::new();
    write_head(&mut item, row, version, at, deeds);
    item.int(NUMBER, number);
    if !moves.is_empty() {
        item.put(MOVES, AttributeValue::L(moves.iter().map(Move::write).collect()));
    }
    item
}

/// The changes of an item, in the order in which they were made.
pub(in crate::backend::dynamodb) fn read(item: &Map) -> Result<Vec<Change>> {
    let row =
        crate::backend::dynamodb::keys::parse_row(item.get_text("row")?).ok_or_else(|| missing("row"))?;
    let aggregate = Aggregate::parse(item.get_text("aggregate")?)?;
    let version = Version::try_from(item.get_int("version")?).map_err(Error::corrupted)?;
    let at = item.get_time("at")?;
    item.get_list(CHANGES)?
        .iter()
        .map(|deed| {
            let deed = entry(deed)?;
            let action = ChangeAction::parse(deed.get_text("action")?).ok_or_else(|| missing("action"))?;
            let events = deed.get_list("events")?.iter().map(|event| {
                let event = event.as_s().map_err(|_| missing("events"))?;
                Ok(event.clone())
            });
            Ok(Change {
                aggregate,
                key: row.clone(),
                version,
                action,
                actor: deed.get_text("actor")?.to_owned(),
                at,
                events: events.collect::<Result<_>>()?,
            })
        })
        .collect()
}

/// The changes of an item of a level's history, with their number.
pub(in crate::backend::dynamodb) fn numbered(item: &Map) -> Result<(i64, Vec<Change>)> {
    Ok((item.get_int(NUMBER)?, read(item)?))
}

/// The movements of an item of a level's history, in the order in which they were made.
pub(in crate::backend::dynamodb) fn read_moves(
    item: &Map,
    sku: &Sku,
    location: &LocationId,
) -> Result<Vec<Movement>> {
    let at = item.get_time("at")?;
    let first = first_move(item.get_int(NUMBER)?);
    let moves = item.get_list(MOVES)?.iter().zip(first..);
    moves
        .map(|(one, seq)| {
            let one = entry(one)?;
            let units = |name| one.opt_get_int(name).map(Option::unwrap_or_default);
            Ok(Movement {
                seq,
                sku: sku.clone(),
                location: location.clone(),
                kind: MovementKind::parse(one.get_text("kind")?)?,
                on_hand: units("on_hand")?,
                allocated: units("allocated")?,
                held: units("held")?,
                reference: one.opt_get_id("reference")?,
                note: one.opt_get_text("note")?.map(str::to_owned),
                at,
            })
        })
        .collect()
}

/// The place of the first movement of a change.
const fn first_move(number: i64) -> i64 {
    // Numbers begin at the microseconds since 1970: this fits until the year 2258.
    number.saturating_mul(MOST_MOVES as i64)
}

/// The change in which a movement stands.
pub(in crate::backend::dynamodb) const fn change_of(seq: i64) -> i64 {
    seq / MOST_MOVES as i64
}
