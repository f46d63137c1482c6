//! Lists: conditions composed from constants, values as numbered parameters, keyset pages.

use std::fmt::Write as _;

use uuid::Uuid;

use super::dialect::Arg;
use crate::error::Error;
use crate::error::Result;
use crate::model::PageRequest;

/// A list statement under composition. The text depends on which filters are set, never on their values, so that
/// there are few texts and each is planned once.
#[derive(Debug)]
pub(super) struct Filter {
    sql: String,
    args: Vec<Arg>,
}

impl Filter {
    /// Starts with a head that ends in a `WHERE` clause.
    pub(super) fn new(head: &str) -> Self {
        Self {
            sql: head.to_owned(),
            args: Vec::new(),
        }
    }

    /// Adds `AND text`, in which each `?` is the next of the values.
    pub(super) fn and(&mut self, text: &str, values: impl IntoIterator<Item = Arg>) -> &mut Self {
        self.sql.push_str(" AND ");
        let mut values = values.into_iter();
        for (index, part) in text.split('?').enumerate() {
            if index > 0 {
                self.args.extend(values.next());
                // Writing to a String cannot fail.
                let _ = write!(self.sql, "${}", self.args.len());
            }
            self.sql.push_str(part);
        }
        self
    }

    /// Adds `AND text`, in which `{now}` is the store's clock.
    pub(super) fn and_at(&mut self, text: &str, now: fn(usize) -> String, shift: i64) -> &mut Self {
        self.args.push(Arg::Int(shift));
        let now = now(self.args.len());
        self.sql.push_str(" AND ");
        self.sql.push_str(&text.replace("{now}", &now));
        self
    }

    /// Ends the statement; one row more than the page holds tells whether there is another page.
    pub(super) fn page(mut self, order: &str, page: &PageRequest) -> (String, Vec<Arg>) {
        self.args.push(Arg::Int(page.fetch()));
        let _ = write!(self.sql, " ORDER BY {order} LIMIT ${}", self.args.len());
        (self.sql, self.args)
    }
}

/// An id inside a position.
pub(super) fn id(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| bad_cursor())
}

/// The cursor does not belong to this list.
pub(super) fn bad_cursor() -> Error {
    Error::invalid(
        "after",
        "the cursor does not belong to this list: start from its first page",
    )
}
