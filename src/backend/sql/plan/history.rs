//! What the history is given of each change: rows of columns, or entries of packed rows.

use super::Payload;
use super::Plan;
use super::Prepared;
#[cfg(feature = "sqlite")]
use super::key_text;
use super::signed;
#[cfg(feature = "postgres")]
use crate::backend::sql::packed;
use crate::backend::sql::program::List;
#[cfg(feature = "sqlite")]
use crate::backend::sql::rows::RowWriter;
#[cfg(feature = "postgres")]
use crate::backend::sql::tables::ROOTS;
#[cfg(feature = "sqlite")]
use crate::backend::sql::tables::write_key;
#[cfg(feature = "postgres")]
use crate::model::Aggregate;
#[cfg(feature = "postgres")]
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::changes::ChangeAction;

/// How an engine keeps its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::sql) enum History {
    /// A row for each change.
    #[cfg(feature = "sqlite")]
    Rows,
    /// A row for many changes.
    #[cfg(feature = "postgres")]
    Packed,
}

impl Prepared {
    /// The history of what the set puts and deletes.
    pub(super) fn record(&self, payload: &mut Payload) {
        let puts = self.set.puts.iter().map(|put| {
            let version = put.expected.map_or(Version::FIRST, Version::next);
            (
                ChangeAction::Put,
                (put.record.aggregate(), put.record.key()),
                version,
            )
        });
        let deletes = self.set.deletes.iter().map(|gone| {
            let version = gone.expected.next();
            (ChangeAction::Delete, (gone.aggregate, gone.key.clone()), version)
        });
        for (action, place, version) in puts.chain(deletes) {
            match self.history {
                #[cfg(feature = "sqlite")]
                History::Rows => {
                    let mut row = payload.list(List::RecordKnown).row();
                    self.author(&mut row, action);
                    row.text(place.0.as_str());
                    row.text(&key_text(&place.1));
                    row.int(version.stored());
                }
                #[cfg(feature = "postgres")]
                History::Packed => {
                    let base = packed::base(&place.1);
                    let number = match action {
                        ChangeAction::Delete => packed::deleted(base),
                        _ => base + packed::bucket(version.stored()),
                    };
                    let mut row = payload.list(List::Pack).row();
                    row.text(&self.entry(&place, action));
                    row.int(number);
                    row.int(version.stored());
                    row.int(0);
                    row.int(0);
                }
            }
        }
    }

    /// Begins a row of the history.
    #[cfg(feature = "sqlite")]
    fn author(&self, row: &mut RowWriter<'_>, action: ChangeAction) {
        row.text(action.as_str());
        row.text(&self.actor);
        row.text(&self.events);
    }

    #[cfg(feature = "postgres")]
    fn entry(&self, (aggregate, key): &(Aggregate, RowKey), action: ChangeAction) -> String {
        packed::entry(*aggregate, key, action, &self.actor, &self.events)
    }
}

impl Plan {
    /// The history of what the deltas of a set change.
    pub(super) fn record(&mut self, set: i32, one: &Prepared) {
        for place in &one.changed {
            let n = signed(self.changed.get(place).copied().unwrap_or_default());
            match one.history {
                #[cfg(feature = "sqlite")]
                History::Rows => {
                    let mut row = self.payload.list(List::Record(place.0)).row_of(set);
                    one.author(&mut row, ChangeAction::Delta);
                    row.text(&key_text(&place.1));
                    row.int(n);
                    write_key(&place.1, &mut row);
                }
                #[cfg(feature = "postgres")]
                History::Packed => {
                    let root = ROOTS.iter().position(|root| root.aggregate == place.0);
                    let mut row = self.payload.list(List::Pack).row_of(set);
                    row.text(&one.entry(place, ChangeAction::Delta));
                    row.int(packed::base(&place.1));
                    row.opt_int(None);
                    row.int(root.map_or(-1, signed));
                    row.int(n);
                }
            }
        }
    }
}
