//! Dead letters as items: the change inside, as native attributes.

use super::item::Map;
use super::item::Read as _;
use super::item::Write as _;
use super::item::entry;
use super::item::missing;
use super::keys::Key;
use super::keys::SK;
use super::keys::parse_row;
use super::tables::Table;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Version;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::changes::DeadLetter;
use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

/// The partition of the letters of a sink.
pub(super) fn letters(sink: &str) -> String {
    format!("letters#{sink}")
}

/// The place of a letter: ids sort by the time of their making.
pub(super) fn place(sink: &str, letter: Uuid) -> Key {
    Key::new(Table::Keys, letters(sink), letter.to_string())
}

pub(super) fn write(letter: &DeadLetter) -> Map {
    let mut item = place(&letter.sink, letter.id).attributes();
    item.text("sink", letter.sink.as_str());
    item.put("change", AttributeValue::M(write_change(&letter.change)));
    item.text("reason", letter.reason.as_str());
    item.int("attempts", i64::from(letter.attempts));
    item.time("at", letter.at);
    item
}

fn write_change(change: &Change) -> Map {
    let mut item = Map::new();
    item.text("aggregate", change.aggregate.as_str());
    item.text("row", change.key.to_string());
    item.int("version", change.version.stored());
    item.text("action", change.action.as_str());
    item.text("actor", change.actor.as_str());
    item.time("at", change.at);
    let events = change.events.iter().cloned().map(AttributeValue::S);
    item.put("events", AttributeValue::L(events.collect()));
    item
}

pub(super) fn read(item: &Map) -> Result<DeadLetter> {
    let change = item.get("change").ok_or_else(|| missing("change"))?;
    Ok(DeadLetter {
        id: Uuid::parse_str(item.get_text(SK)?).map_err(|_| missing("id"))?,
        sink: item.get_text("sink")?.to_owned(),
        change: read_change(entry(change)?)?,
        reason: item.get_text("reason")?.to_owned(),
        attempts: u32::try_from(item.get_int("attempts")?).unwrap_or(u32::MAX),
        at: item.get_time("at")?,
    })
}

fn read_change(item: &Map) -> Result<Change> {
    let events = item
        .get_list("events")?
        .iter()
        .map(|event| event.as_s().cloned().map_err(|_| missing("events")));
    Ok(Change {
        aggregate: Aggregate::parse(item.get_text("aggregate")?)?,
        key: parse_row(item.get_text("row")?).ok_or_else(|| missing("row"))?,
        version: Version::try_from(item.get_int("version")?).map_err(Error::corrupted)?,
        action: ChangeAction::parse(item.get_text("action")?).ok_or_else(|| missing("action"))?,
        actor: item.get_text("actor")?.to_owned(),
        at: item.get_time("at")?,
        events: events.collect::<Result<_>>()?,
    })
}
