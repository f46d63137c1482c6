//! The rows of a list as parameters of a step's statement: `VALUES (?, ?), (?, ?)`.
//!
//! A statement is prepared for powers of two of rows; the rows that are too many are NULL, and left out by the statement.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::OnceLock;

use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use super::commit::STEPS;
use crate::backend::sql::program::Step;
use crate::backend::sql::rows::Rows;
use crate::backend::sql::rows::Value;

/// Most rows of one statement; a longer list takes several.
const ROWS: usize = 256;

/// Powers of two up to [`ROWS`].
const SIZES: usize = ROWS.ilog2() as usize + 1;

/// SQLite's own limit of parameters is 32,766.
const PARAMETERS: usize = 16_384;

/// What every step is given beside its rows.
pub(super) struct Given {
    pub(super) now: i64,
    pub(super) commit: String,
    /// Identities of the holds that are released, as JSON.
    pub(super) released: String,
}

/// The texts of each step, by the power of two of rows.
static TEXTS: LazyLock<Vec<[OnceLock<String>; SIZES]>> = LazyLock::new(|| {
    STEPS
        .iter()
        .map(|_| std::array::from_fn(|_| OnceLock::new()))
        .collect()
});

/// The statements that a step takes for a list, one after the other.
pub(super) fn statements<'a>(
    number: usize,
    step: &'a Step,
    rows: &'a Rows,
    given: &'a Given,
) -> impl Iterator<Item = Query<'a, Sqlite, SqliteArguments>> {
    let width = step.columns.len();
    let most = ROWS.min(1 << (PARAMETERS / width.max(1)).max(1).ilog2());
    let mut values = rows.values(&step.columns);
    (0..rows.count).step_by(most).map(move |begin| {
        let count = most.min(rows.count - begin);
        let size = count.next_power_of_two();
        let mut query = sqlx::query(text(number, step, size))
            .bind(given.now)
            .bind(given.commit.as_str())
            .bind(given.released.as_str());
        for value in values.by_ref().take(count * width) {
            query = match value {
                Some(Value::Int(value)) => query.bind(value),
                Some(Value::Text(value)) => query.bind(value),
                Some(Value::Id(value)) => query.bind(value.hyphenated().to_string()),
                None => query.bind(None::<i64>),
            };
        }
        for _ in count * width..size * width {
            query = query.bind(None::<i64>);
        }
        query
    })
}

fn text(number: usize, step: &Step, size: usize) -> &'static str {
    let place = TEXTS
        .get(number)
        .and_then(|sizes| sizes.get(size.ilog2() as usize));
    place.map_or("", |place| place.get_or_init(|| compose(step, size)))
}

/// The statement of a step for so many rows.
pub(super) fn compose(step: &Step, size: usize) -> String {
    let names: Vec<&str> = step.columns.iter().map(|column| column.0).collect();
    let row = format!("({})", vec!["?"; names.len()].join(", "));
    let mut text = format!(
        "WITH given(now, commit_id, released) AS (VALUES (?, ?, ?)), listed({}) AS (VALUES ",
        names.join(", ")
    );
    for index in 0..size {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{row}", if index == 0 { "" } else { ", " });
    }
    text.push_str(") ");
    text.push_str(&step.sql);
    text
}
