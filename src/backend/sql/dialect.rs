//! What differs between the SQL engines when reading: parameters, columns, and a few words of the text.

use std::fmt::Debug;

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;

/// A constant statement in both spellings, tagged with the operation that it serves.
///
/// The tag groups the statement in the server's statistics; it never varies, so that plans are cached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    #[cfg(feature = "postgres")]
    pub(super) postgres: &'static str,
    #[cfg(feature = "sqlite")]
    pub(super) sqlite: &'static str,
}

/// Spells one part of a statement for PostgreSQL.
#[cfg(feature = "postgres")]
macro_rules! postgres_part {
    (ids1) => {
        " = ANY($1)"
    };
    (ids2) => {
        " = ANY($2)"
    };
    (texts1) => {
        " = ANY($1)"
    };
    (texts2) => {
        " = ANY($2)"
    };
    (now) => {
        "($1 + (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
    };
    (rows) => {
        "(SELECT json_agg(json_build_array("
    };
    (by) => {
        ") ORDER BY "
    };
    (from) => {
        ")::text FROM "
    };
    (end) => {
        ")"
    };
    ($text:literal) => {
        $text
    };
}

/// Spells one part of a statement for SQLite.
#[cfg(feature = "sqlite")]
macro_rules! sqlite_part {
    (ids1) => {
        " IN (SELECT value FROM json_each($1))"
    };
    (ids2) => {
        " IN (SELECT value FROM json_each($2))"
    };
    (texts1) => {
        " IN (SELECT value FROM json_each($1))"
    };
    (texts2) => {
        " IN (SELECT value FROM json_each($2))"
    };
    (now) => {
        "($1 + CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER))"
    };
    (rows) => {
        "(SELECT json_group_array(json_array("
    };
    (by) => {
        ") ORDER BY "
    };
    (from) => {
        ") FROM "
    };
    (end) => {
        ")"
    };
    ($text:literal) => {
        $text
    };
}

/// Composes a [`Statement`] from its name, literals, and the words that the dialects spell differently.
macro_rules! statement {
    ($name:literal: $($part:tt)*) => {
        $crate::backend::sql::dialect::Statement {
            #[cfg(feature = "postgres")]
            postgres: concat!("/* stockroom ", $name, " */ ", $($crate::backend::sql::dialect::postgres_part!($part)),*),
            #[cfg(feature = "sqlite")]
            sqlite: concat!("/* stockroom ", $name, " */ ", $($crate::backend::sql::dialect::sqlite_part!($part)),*),
        }
    };
}

#[cfg(feature = "postgres")]
pub(super) use postgres_part;
#[cfg(feature = "sqlite")]
pub(super) use sqlite_part;
pub(super) use statement;

/// A parameter of a read.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Ids(Vec<Uuid>),
    Texts(Vec<String>),
    Id(Uuid),
    Text(String),
    Int(i64),
}

/// A read of rows by their keys, in two statements: PostgreSQL keeps the plan of a test against a value, and makes that of
/// a test against a list anew in each call, which for one row costs as much as reading it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed {
    pub(super) one: Statement,
    pub(super) many: Statement,
}

impl Keyed {
    /// The statement for so many ids, and its parameter.
    pub(super) fn ids(&self, mut ids: impl ExactSizeIterator<Item = Uuid>) -> (Text, Arg) {
        match (ids.len(), ids.next()) {
            (1, Some(id)) => (Text::Constant(self.one), Arg::Id(id)),
            (_, first) => (
                Text::Constant(self.many),
                Arg::Ids(first.into_iter().chain(ids).collect()),
            ),
        }
    }

    /// The statement for so many keys that are text, and its parameter.
    pub(super) fn texts(&self, mut texts: impl ExactSizeIterator<Item = String>) -> (Text, Arg) {
        match (texts.len(), texts.next()) {
            (1, Some(text)) => (Text::Constant(self.one), Arg::Text(text)),
            (_, first) => (
                Text::Constant(self.many),
                Arg::Texts(first.into_iter().chain(texts).collect()),
            ),
        }
    }
}

/// The text of a read: constant, or composed from constant parts.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Constant(Statement),
    /// Composed from constants only; never from a value.
    Composed(String),
}

/// Reads rows of one engine.
///
/// # Cancel safety
/// A read that is dropped leaves no suspect connection in the pool.
#[async_trait]
pub(super) trait Reads: Debug + Send + Sync + 'static {
    type Row: Send;

    /// Runs one statement and returns its rows.
    async fn fetch(&self, text: Text, args: Vec<Arg>, deadline: Deadline) -> Result<Vec<Self::Row>>;

    /// How far the test kit moved the store's clock, in microseconds.
    fn shift(&self) -> i64;

    /// The store's clock in a composed statement, the shift being the parameter of this number.
    fn now(parameter: usize) -> String;

    /// The statement in the words of this engine.
    fn spell(statement: &Statement) -> &'static str;

    fn id(row: &Self::Row, column: usize) -> Result<Uuid>;
    fn opt_id(row: &Self::Row, column: usize) -> Result<Option<Uuid>>;
    fn opt_text(row: &Self::Row, column: usize) -> Result<Option<String>>;
    fn opt_int(row: &Self::Row, column: usize) -> Result<Option<i64>>;

    fn text(row: &Self::Row, column: usize) -> Result<String> {
        Self::opt_text(row, column)?.ok_or_else(|| missing(column))
    }

    fn int(row: &Self::Row, column: usize) -> Result<i64> {
        Self::opt_int(row, column)?.ok_or_else(|| missing(column))
    }
}

fn missing(column: usize) -> Error {
    Error::new(ErrorKind::Corrupt, format!("column {column} is empty"))
}

/// Puts what was found in the order in which it was asked for.
pub(super) fn in_order<K: Ord, T: Clone>(
    asked: impl Iterator<Item = K>,
    found: Vec<(K, T)>,
) -> Vec<Option<T>> {
    let found: std::collections::BTreeMap<K, T> = found.into_iter().collect();
    asked.map(|key| found.get(&key).cloned()).collect()
}

/// Reads a stored document.
pub(super) fn document<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "a stored document cannot be read")
            .concerning(what)
            .caused_by(error)
    })
}

/// The rows of an aggregate's parts, as a statement returns them.
pub(super) fn parts<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: Option<String>,
) -> Result<Vec<T>> {
    text.map_or_else(|| Ok(Vec::new()), |text| document(what, &text))
}
