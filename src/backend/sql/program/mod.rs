//! The text of the commit program, composed from the table descriptions for one dialect.
//!
//! PostgreSQL runs the steps inside one function, SQLite one after the other in a transaction; both read their rows
//! from the lists of the [payload](super::plan::Payload). A step whose list has no rows is skipped.
//!
//! Phases: lock and look (`Check`), then write (`Write`), then answer. Everything that could refuse the batch is
//! looked at before the first write, so that a refusal leaves nothing behind.

mod list;
mod look;
mod write;

use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::ROOTS;
use crate::model::Aggregate;

pub(super) use list::List;
#[cfg(feature = "postgres")]
pub(super) use list::all as lists;
pub(super) use look::LINE_LIMIT;
pub(super) use look::LINES_LIMIT;
#[cfg(feature = "postgres")]
pub(super) use write::HOLDS_FOR_SURE;

/// How a dialect spells what differs between the commit programs.
pub(super) trait Spelling {
    /// The rows of a list as a table of typed columns.
    fn rows(&self, list: List, columns: &[Column]) -> String;
    /// The same of the rows that are written: where sets are left out of a batch, without theirs.
    fn admitted(&self, list: List, columns: &[Column]) -> String;
    /// The clock of the store, fixed for the batch.
    fn now(&self) -> &'static str;
    /// Id of the commit.
    fn commit(&self) -> &'static str;
    /// A left join of the list's rows `r` with `t`, the row of the same key in a table, locked; at most one.
    fn look_up(&self, join: &LookUp<'_>) -> String;
    /// A test for being among the holds that are released.
    fn is_released(&self, column: &str) -> String;
    /// The steps that write the history, last of all.
    fn history(&self) -> Vec<Step>;
    /// What keeps a claim from being inserted that its owner has already: a condition on `r`, and what follows the insert.
    fn new_claims(&self) -> (&'static str, &'static str);
    /// A column's value in the payload, as the type that the table has.
    fn id_text(&self, column: &str) -> String;
}

/// What a [`Spelling::look_up`] joins.
#[derive(Debug)]
pub(super) struct LookUp<'a> {
    pub(super) table: &'a str,
    /// Columns of the key, in the list and in the table.
    pub(super) key: &'a [Column],
    /// What is selected from `t`.
    pub(super) select: &'a str,
    /// A further condition on `r`.
    pub(super) only: &'a str,
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "SQLite's transaction holds the one lock")
    )]
    pub(super) lock: Lock,
    /// Name of the join's result.
    pub(super) alias: &'a str,
}

/// How a row is locked while it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    /// Against writers.
    Share,
    /// Against writers and those that lock it.
    Write,
}

/// One step: the list that it works on, what the rows of the list are, and its statement.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) list: List,
    pub(super) columns: Vec<Column>,
    pub(super) phase: Phase,
    pub(super) sql: String,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Locks, and returns a row of facts for each row of the list: `n`, whether it is as the batch needs it (`ok`), `f1`….
    Look(Facts),
    /// Writes.
    Write,
    /// Adds up deltas: raises the version of the aggregate's rows.
    Change(Aggregate),
    /// Writes the history.
    History,
    /// Writes what is only needed where holds of the levels are gone: past their time, or released.
    Sweep,
}

/// What the facts of a look are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facts {
    /// `f1` version or 0, `f2` whether it is live; of a root, by its position in [`ROOTS`].
    Root(usize),
    /// `f1` on hand, `f2` allocated, `f3` held, `f4` available, `f5` units of holds that are gone, `f6` those of them that the
    /// batch releases; of a level.
    Level,
    /// `f1` quantity, `f2` lines in the cart; of a cart line.
    Line,
    /// `f1` owner, `f2` fingerprint; of a claimed key.
    Claim,
}

impl Facts {
    /// How many columns follow `n` and `ok`.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::Root(_) | Self::Line | Self::Claim => 2,
            Self::Level => 6,
        }
    }
}

/// Every step in the order in which they run.
pub(super) fn steps(spelling: &dyn Spelling) -> Vec<Step> {
    let mut steps = Vec::new();
    for (position, root) in ROOTS.iter().enumerate() {
        steps.push(look::root(spelling, position, root));
    }
    steps.push(look::levels(spelling));
    steps.push(look::lines(spelling));
    steps.push(look::claims(spelling));
    steps.extend(write::claims(spelling));
    for root in ROOTS {
        steps.extend(write::root(spelling, root));
    }
    steps.extend(write::stock(spelling));
    steps.extend(spelling.history());
    steps
}

pub(super) const N: Column = Column("n", Kind::Int);

const LEVEL: [Column; 2] = [Column("sku", Kind::Text), Column("location", Kind::Text)];

const CLAIM: [Column; 4] = [
    Column("space", Kind::Text),
    Column("claim_key", Kind::Text),
    Column("owner", Kind::Id),
    Column("fingerprint", Kind::Text),
];

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
    names.join(", ")
}

pub(super) fn on_key(left: &str, right: &str, key: &[Column]) -> String {
    let tests: Vec<String> = key
        .iter()
        .map(|column| format!("{left}.{0} = {right}.{0}", column.0))
        .collect();
    tests.join(" AND ")
}
