//! The tables of each aggregate, as data: the commit programs are composed from these descriptions and know no
//! aggregate by name. A new aggregate adds one file here and one line to [`ROOTS`].
//!
//! The order of [`ROOTS`] is the lock order between kinds. It may only be appended to: every version of the commit
//! program that runs at the same time must agree on it.

pub(super) mod cart;
pub(super) mod keys;
pub(super) mod level;
pub(super) mod order;
pub(super) mod payment;
pub(super) mod product;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Version;

use super::rows::RowWriter;

/// The aggregates' tables in lock order.
pub(super) static ROOTS: [&Root; 5] = [
    &product::ROOT,
    &cart::ROOT,
    &order::ROOT,
    &payment::ROOT,
    &level::ROOT,
];

/// The table that holds an aggregate's version, and what hangs on it.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) aggregate: Aggregate,
    /// Table name without the prefix.
    pub(super) table: &'static str,
    /// Columns that identify a row.
    pub(super) key: &'static [Column],
    /// Columns that an insert writes after key and version.
    pub(super) insert: &'static [Column],
    /// Columns that an update writes after key and version.
    pub(super) update: &'static [Column],
    /// Columns that a delta changes, and how.
    pub(super) delta: &'static [Change],
    /// When a row that must be live is live; `{now}` is the store's clock.
    pub(super) live: Option<&'static str>,
    pub(super) part: Option<&'static Part>,
    /// Writes the columns of an insert or of an update.
    pub(super) columns: fn(&Record, &mut RowWriter<'_>, Verb),
    /// Writes one row for each part.
    pub(super) parts: fn(&Record, &mut super::rows::Rows),
}

/// The rows that belong to a root: lines, variants.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) table: &'static str,
    /// Column that names the root.
    pub(super) owner: &'static str,
    /// Every column, the owner first.
    pub(super) columns: &'static [Column],
}

/// A column and how its value travels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(pub(super) &'static str, pub(super) Kind);

/// How a value travels in the commit's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A UUID.
    Id,
    /// Text, or a JSON document as text.
    Text,
    /// A 64-bit integer; times are microseconds since 1970 in UTC.
    Int,
    /// Microseconds since 1970, or, where negative, the distance from the store's clock.
    Expiry,
}

/// What a delta does to a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// Adds to a counter.
    Add(&'static str),
    /// Sets an expiry, which only lengthens a life.
    Expire(&'static str),
}

/// Whether a row is written for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Insert,
    Update,
}

impl Root {
    /// The description of an aggregate's tables.
    pub(super) fn of(aggregate: Aggregate) -> Result<&'static Self> {
        ROOTS
            .iter()
            .copied()
            .find(|root| root.aggregate == aggregate)
            .ok_or_else(|| {
                Error::new(ErrorKind::Unsupported, "this store does not hold the aggregate")
                    .concerning(aggregate.as_str())
            })
    }

    /// Writes the key, the new version and the columns of a record.
    pub(super) fn write(&self, record: &Record, version: Version, verb: Verb, row: &mut RowWriter<'_>) {
        write_key(&record.key(), row);
        row.int(version.stored());
        (self.columns)(record, row, verb);
    }
}

/// Writes a key as its columns.
pub(super) fn write_key(key: &RowKey, row: &mut RowWriter<'_>) {
    match key {
        RowKey::Id(id) => row.id(*id),
        RowKey::Level(sku, location) => {
            row.text(sku.as_str());
            row.text(location.as_str());
        }
    }
}

/// No parts to write.
pub(super) fn no_parts(_: &Record, _: &mut super::rows::Rows) {}

/// A version as the databases hold it.
pub(super) fn version(stored: i64) -> Result<Version> {
    Version::try_from(stored).map_err(Error::corrupted)
}
