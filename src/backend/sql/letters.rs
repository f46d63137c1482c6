//! Letters as they are stored: the change in a document of its own, since a change has no form outside of the feed.

use serde::Deserialize;
use serde::Serialize;

use super::dialect::Reads;
use super::dialect::document;
use super::plan::key_text;
use super::plan::parse_key;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Version;
use crate::model::from_micros;
use crate::model::micros;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::changes::DeadLetter;

/// A change as a letter keeps it.
#[derive(Serialize, Deserialize)]
struct Kept {
    aggregate: String,
    key: String,
    version: u64,
    action: String,
    actor: String,
    at: i64,
    events: Vec<String>,
}

/// The letters as a list of rows: id, sink, change, reason, attempts, time.
pub(super) fn write(letters: &[DeadLetter]) -> String {
    let rows: Vec<_> = letters
        .iter()
        .map(|letter| {
            let change = serde_json::to_string(&kept(&letter.change)).ok();
            // What a sink answered may be anything; PostgreSQL keeps no NUL in a text.
            let reason = letter.reason.replace('\0', " ");
            (
                letter.id,
                &letter.sink,
                change,
                reason,
                letter.attempts,
                micros(letter.at),
            )
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_else(|_| "[]".to_owned())
}

/// A letter from the columns id, sink, change, reason, attempts, time.
pub(super) fn read<R: Reads>(row: &R::Row) -> Result<DeadLetter> {
    Ok(DeadLetter {
        id: R::id(row, 0)?,
        sink: R::text(row, 1)?,
        change: change(document("letter.change", &R::text(row, 2)?)?)?,
        reason: R::text(row, 3)?,
        attempts: u32::try_from(R::int(row, 4)?).unwrap_or(u32::MAX),
        at: from_micros(R::int(row, 5)?)?,
    })
}

fn kept(change: &Change) -> Kept {
    Kept {
        aggregate: change.aggregate.as_str().to_owned(),
        key: key_text(&change.key),
        version: change.version.get(),
        action: change.action.as_str().to_owned(),
        actor: change.actor.clone(),
        at: micros(change.at),
        events: change.events.clone(),
    }
}

fn change(kept: Kept) -> Result<Change> {
    let unknown = || Error::new(ErrorKind::Corrupt, "a kept change cannot be read");
    Ok(Change {
        aggregate: Aggregate::parse(&kept.aggregate)?,
        key: parse_key(&kept.key).ok_or_else(unknown)?,
        version: Version::from(kept.version),
        action: ChangeAction::parse(&kept.action).ok_or_else(unknown)?,
        actor: kept.actor,
        at: from_micros(kept.at)?,
        events: kept.events,
    })
}
