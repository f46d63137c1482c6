//! The history of one aggregate of a PostgreSQL shop, latest first, out of rows that hold the changes of many.
//!
//! - **Numbers.** A row is found by a number for each of its changes: where those of the key begin, and past that the bucket
//!   of the version. However often an aggregate changes, a page looks at the rows of a few buckets.
//! - **Buckets** are read downwards from the version that the aggregate has now, one, two, four at a time until the page is full.
//! - **Lives.** A key that was deleted may begin anew at version 1. Deletions have a number of their own, and the buckets are read
//!   life by life.
//! - Different keys may have numbers in common: each entry is compared.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::filter;
use crate::backend::sql::packed;
use crate::backend::sql::plan::history_digest;
use crate::backend::sql::tables::Root;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::store::HistoryReader;

/// The entries of the rows that are found by the numbers `$1`, as far as they begin with `$2`.
const ENTRIES: &str = "(SELECT p.seq, p.at, p.entries, p.versions FROM stockroom_changes AS p WHERE p.keys && $1::text::bigint[] OFFSET 0) \
     AS c CROSS JOIN LATERAL unnest(c.entries, c.versions) WITH ORDINALITY AS e(entry, version, place) \
     WHERE starts_with(e.entry, $2)";

/// A row's number is that of its last change.
const NUMBER: &str = "c.seq - cardinality(c.versions) + e.place";

/// Most buckets that are asked for at once.
const BUCKETS: i64 = 256;

/// What ends a life that goes on.
const STILL: i64 = i64::MAX;

/// Reads the history.
#[derive(Debug)]
pub(super) struct PackedHistory<R>(pub(super) Arc<R>);

/// From one deletion of a key to the next: the number of its last change, and the version that it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    end: i64,
    top: i64,
}

/// What is asked for.
#[derive(Debug)]
struct Asked<'a> {
    aggregate: Aggregate,
    key: &'a RowKey,
    fetch: i64,
    deadline: Deadline,
}

/// The numbers above `floor` and below `before`, in these buckets.
#[derive(Debug, Clone, Copy)]
struct Span {
    floor: i64,
    before: i64,
    low: i64,
    high: i64,
}

/// The statement that tells the lives of a key, the latest first: the version that it has, and its deletions.
pub(super) fn lives_statement(root: &Root) -> String {
    let key: Vec<String> = root
        .key
        .iter()
        .zip(3..)
        .map(|(column, number)| format!("t.{} = ${number}", column.0))
        .collect();
    format!(
        "/* stockroom history.lives */ SELECT {STILL} AS number, t.version FROM stockroom_{} AS t WHERE {} \
         UNION ALL SELECT {NUMBER}, e.version FROM {ENTRIES} ORDER BY number DESC",
        root.table,
        key.join(" AND ")
    )
}

/// The statement that reads the changes of a span.
pub(super) fn entries_statement() -> String {
    format!(
        "/* stockroom history.list */ SELECT {NUMBER} AS number, e.entry, e.version, c.at FROM {ENTRIES} \
         AND {NUMBER} > $3 AND {NUMBER} < $4 AND e.version >> {} BETWEEN $5 AND $6 ORDER BY number DESC LIMIT $7",
        packed::BUCKET_BITS
    )
}

impl<R: Reads> PackedHistory<R> {
    async fn lives(&self, asked: &Asked<'_>) -> Result<Vec<Life>> {
        let deleted = packed::deleted(packed::base(asked.key));
        let prefix = packed::prefix(asked.aggregate, asked.key);
        let mut args = vec![
            Arg::Text(format!("{{{deleted}}}")),
            Arg::Text(format!("{prefix}\"delete\",")),
        ];
        match asked.key {
            RowKey::Id(id) => args.push(Arg::Id(*id)),
            RowKey::Level(sku, location) => args.extend([
                Arg::Text(sku.as_str().to_owned()),
                Arg::Text(location.as_str().to_owned()),
            ]),
        }
        let sql = Text::Composed(lives_statement(Root::of(asked.aggregate)?));
        let rows = self.0.fetch(sql, args, asked.deadline).await?;
        let lives = rows.iter().map(|row| {
            Ok(Life {
                end: R::int(row, 0)?,
                top: R::int(row, 1)?,
            })
        });
        lives.collect()
    }

    async fn span(&self, asked: &Asked<'_>, span: Span, fetch: i64) -> Result<Vec<(i64, Change)>> {
        let base = packed::base(asked.key);
        let mut numbers = vec![packed::deleted(base).to_string()];
        numbers.extend((span.low..=span.high).map(|bucket| (base + bucket).to_string()));
        let args = vec![
            Arg::Text(format!("{{{}}}", numbers.join(","))),
            Arg::Text(packed::prefix(asked.aggregate, asked.key)),
            Arg::Int(span.floor),
            Arg::Int(span.before),
            Arg::Int(span.low),
            Arg::Int(span.high),
            Arg::Int(fetch),
        ];
        let rows = self
            .0
            .fetch(Text::Composed(entries_statement()), args, asked.deadline)
            .await?;
        let changes = rows.iter().map(|row| {
            let change = packed::read(&R::text(row, 1)?, R::int(row, 2)?, R::int(row, 3)?)?;
            Ok((R::int(row, 0)?, change))
        });
        changes.collect()
    }

    /// The changes of one life below a number, from this version down, until there are as many as asked.
    async fn life(
        &self,
        asked: &Asked<'_>,
        (floor, top): (i64, i64),
        mut before: i64,
        found: &mut Vec<(i64, Change)>,
    ) -> Result<()> {
        let (mut high, mut width) = (packed::bucket(top), 1);
        loop {
            let low = (high - width + 1).max(0);
            let span = Span {
                floor,
                before,
                low,
                high,
            };
            let missing = asked.fetch - i64::try_from(found.len()).unwrap_or(i64::MAX);
            let more = self.span(asked, span, missing).await?;
            before = more.last().map_or(before, |(number, _)| *number);
            found.extend(more);
            let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= asked.fetch);
            if is_full || low == 0 {
                return Ok(());
            }
            high = low - 1;
            width = (width * 2).min(BUCKETS);
        }
    }
}

#[async_trait]
impl<R: Reads> HistoryReader for PackedHistory<R> {
    async fn list(
        &self,
        aggregate: Aggregate,
        key: &RowKey,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Change>> {
        let digest = history_digest(aggregate, key);
        // Behind a page: the number of its last change and the version that this led to.
        let after = match page.position(digest)?.as_deref() {
            None => None,
            Some([CursorValue::Int(number), CursorValue::Int(version)]) => Some((*number, *version)),
            // As it was when a change was a row.
            Some([CursorValue::Int(number)]) => Some((*number, i64::MAX)),
            _ => return Err(filter::bad_cursor()),
        };
        let asked = Asked {
            aggregate,
            key,
            fetch: page.fetch(),
            deadline,
        };
        let lives = self.lives(&asked).await?;
        let before = after.map_or(STILL, |(number, _)| number);
        let mut found = Vec::new();
        for (life, floor, top) in remaining(&lives, after) {
            let before = before.min(life.end.saturating_add(1));
            self.life(&asked, (floor, top), before, &mut found).await?;
            if i64::try_from(found.len()).is_ok_and(|count| count >= asked.fetch) {
                break;
            }
        }
        let page = Page::cut(found, page, |(number, change)| {
            let place = [
                CursorValue::Int(*number),
                CursorValue::Int(change.version.stored()),
            ];
            Cursor::encode(digest, &place)
        });
        Ok(page.map(|(_, change)| change))
    }
}

/// The lives that have something below a change that was given, each with the number that it lies above and the version to
/// begin from.
fn remaining(lives: &[Life], after: Option<(i64, i64)>) -> impl Iterator<Item = (Life, i64, i64)> {
    let floors = lives.iter().skip(1).map(|life| life.end).chain([0]);
    let spans = lives.iter().copied().zip(floors);
    let mut after = after;
    spans.filter_map(move |(life, floor)| match after {
        Some((number, _)) if number <= floor => None,
        // It is in this life.
        Some((_, version)) => {
            after = None;
            Some((life, floor, version.min(life.top)))
        }
        None => Some((life, floor, life.top)),
    })
}
