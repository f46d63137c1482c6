//! Records of a stream as changes: the roots of aggregates tell what happened to them, everything else is passed over.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::AttributeValue as Streamed;
use aws_sdk_dynamodbstreams::types::Record;

use super::SKEW;
use super::place::Place;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::keys::SK;
use crate::backend::dynamodb::records::change;
use crate::error::Result;
use crate::model::micros;
use crate::spi::changes::Change;

/// What a page of records tells.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) changes: Vec<Change>,
    /// The place behind them.
    pub(super) place: Place,
    /// Whether records are left for the next page.
    pub(super) cut: bool,
}

impl Told {
    /// Nothing yet, from a place on.
    pub(super) fn nothing(place: &Place) -> Self {
        Self {
            changes: Vec::new(),
            place: place.clone(),
            cut: false,
        }
    }
}

/// The changes behind a place, at most so many; records come in the order of their numbers.
pub(super) fn tell(records: &[Record], from: &Place, limit: usize) -> Result<Told> {
    let mut told = Told::nothing(from);
    let (Place::After(_, mut skip) | Place::Since(_, mut skip)) = *from;
    for record in records {
        let Some(number) = record.dynamodb().and_then(|record| record.sequence_number()) else {
            continue;
        };
        let all = changes(record)?;
        let fresh = all.iter().skip(skip).filter(|change| match from {
            // A place that is told by time comes before whatever a clock that is behind has stamped.
            Place::Since(at, _) => micros(change.at) >= at - SKEW,
            Place::After(..) => true,
        });
        let room = limit - told.changes.len();
        let fresh: Vec<Change> = fresh.cloned().collect();
        if fresh.len() > room {
            told.changes.extend(fresh.into_iter().take(room));
            told.place = within(&told.place, skip + room);
            told.cut = true;
            return Ok(told);
        }
        told.changes.extend(fresh);
        told.place = Place::After(Some(number.to_owned()), 0);
        skip = 0;
    }
    Ok(told)
}

/// Behind so many changes of the record that follows a place.
fn within(place: &Place, changes: usize) -> Place {
    match place {
        Place::After(record, _) => Place::After(record.clone(), changes),
        Place::Since(at, _) => Place::Since(*at, changes),
    }
}

fn changes(record: &Record) -> Result<Vec<Change>> {
    let image = record.dynamodb().and_then(|record| record.new_image());
    let Some(image) = image else {
        return Ok(Vec::new());
    };
    let is_root = |place: &Streamed| {
        place
            .as_s()
            .is_ok_and(|place| place == "R" || place.starts_with("R#"))
    };
    if !image.get(SK).is_some_and(is_root) || !image.contains_key(change::CHANGES) {
        return Ok(Vec::new());
    }
    let wanted = ["aggregate", "row", "version", "at", change::CHANGES];
    let item: Map = image
        .iter()
        .filter(|(name, _)| wanted.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
        .collect();
    item.get_text("aggregate")?;
    change::read(&item)
}

/// The same value in the words of the other client.
fn plain(value: &Streamed) -> Option<AttributeValue> {
    Some(match value {
        Streamed::S(text) => AttributeValue::S(text.clone()),
        Streamed::N(digits) => AttributeValue::N(digits.clone()),
        Streamed::L(values) => AttributeValue::L(values.iter().filter_map(plain).collect()),
        Streamed::M(values) => {
            let values = values
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), plain(value)?)));
            AttributeValue::M(values.collect())
        }
        _ => return None,
    })
}
