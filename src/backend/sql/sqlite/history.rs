//! The history of one aggregate of a SQLite shop, and how a row of it is read.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;

use super::reads::SqliteReads;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads as _;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::dialect::document;
use crate::backend::sql::filter;
use crate::backend::sql::filter::Filter;
use crate::backend::sql::plan::history_digest;
use crate::backend::sql::plan::key_text;
use crate::backend::sql::plan::read_deed;
use crate::backend::sql::tables::version;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::RowKey;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::store::HistoryReader;

const HISTORY: &str = "/* stockroom history.list */ \
     SELECT h.seq, h.aggregate, h.row_key, h.version, h.action, h.actor, h.at, h.events FROM stockroom_changes h WHERE true";

/// Reads the history.
#[derive(Debug)]
pub(super) struct SqliteHistory(pub(super) Arc<SqliteReads>);

#[async_trait]
impl HistoryReader for SqliteHistory {
    async fn list(
        &self,
        aggregate: Aggregate,
        key: &RowKey,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Change>> {
        let digest = history_digest(aggregate, key);
        let mut filter = Filter::new(HISTORY);
        let place = [Arg::Text(aggregate.as_str().to_owned()), Arg::Text(key_text(key))];
        filter.and("h.aggregate = ? AND h.row_key = ?", place);
        match page.position(digest)?.as_deref() {
            None => {}
            Some([CursorValue::Int(seq)]) => {
                filter.and("h.seq < ?", [Arg::Int(*seq)]);
            }
            _ => return Err(filter::bad_cursor()),
        }
        let (sql, args) = filter.page("h.seq DESC", page);
        let rows = self.0.fetch(Text::Composed(sql), args, deadline).await?;
        let items = rows
            .iter()
            .map(|row| Ok((SqliteReads::int(row, 0)?, read_change(row)?)))
            .collect::<Result<Vec<_>>>()?;
        let page = Page::cut(items, page, |(seq, _)| {
            Cursor::encode(digest, &[CursorValue::Int(*seq)])
        });
        Ok(page.map(|(_, change)| change))
    }
}

/// A change from the columns after `seq`: aggregate, key, version, action, actor, time, events.
pub(super) fn read_change(row: &SqliteRow) -> Result<Change> {
    let text = |column| SqliteReads::text(row, column);
    let (aggregate, key, action) = read_deed(&text(1)?, &text(2)?, &text(4)?)?;
    Ok(Change {
        aggregate,
        key,
        version: version(SqliteReads::int(row, 3)?)?,
        action,
        actor: text(5)?,
        at: from_micros(SqliteReads::int(row, 6)?)?,
        events: document("change.events", &text(7)?)?,
    })
}
