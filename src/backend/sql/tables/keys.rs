//! Unique keys and the history: what every aggregate has.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::dialect::document;
use crate::backend::sql::dialect::in_order;
use crate::backend::sql::dialect::statement;
use crate::backend::sql::filter;
use crate::backend::sql::filter::Filter;
use crate::backend::sql::plan::key_text;
use crate::backend::sql::plan::parse_key;
use crate::backend::sql::plan::unhex;
use crate::error::Error;
use crate::error::ErrorKind;
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
use crate::spi::changes::ChangeAction;
use crate::spi::store::ClaimFound;
use crate::spi::store::ClaimReader;
use crate::spi::store::HistoryReader;

/// Finds more than was asked where spaces and keys mix; the answer is narrowed to the pairs.
pub(in crate::backend::sql) const CLAIMS: Statement = statement!("claim.find":
    "SELECT k.space, k.claim_key, k.owner, k.fingerprint FROM stockroom_claims k \
     WHERE k.space" texts1 " AND k.claim_key" texts2);

const HISTORY: Statement = statement!("history.list":
    "SELECT h.seq, h.aggregate, h.row_key, h.version, h.action, h.actor, h.at, h.events FROM stockroom_changes h WHERE true");

/// Reads unique keys of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlClaims<R>(pub(in crate::backend::sql) Arc<R>);

#[async_trait]
impl<R: Reads> ClaimReader for SqlClaims<R> {
    async fn find(&self, keys: &[(String, String)], deadline: Deadline) -> Result<Vec<Option<ClaimFound>>> {
        let (spaces, names) = keys.iter().cloned().unzip();
        let rows = self
            .0
            .fetch(
                Text::Constant(CLAIMS),
                vec![Arg::Texts(spaces), Arg::Texts(names)],
                deadline,
            )
            .await?;
        let found = rows.iter().map(|row| {
            let fingerprint = R::opt_text(row, 3)?.map(|text| fingerprint(&text)).transpose()?;
            Ok((
                (R::text(row, 0)?, R::text(row, 1)?),
                ClaimFound {
                    owner: R::id(row, 2)?,
                    fingerprint,
                },
            ))
        });
        Ok(in_order(keys.iter().cloned(), found.collect::<Result<_>>()?))
    }
}

fn fingerprint(text: &str) -> Result<[u8; 32]> {
    let bytes: Option<[u8; 32]> = unhex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Error::new(ErrorKind::Corrupt, "a fingerprint cannot be read"))
}

/// Reads the history of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlHistory<R>(pub(in crate::backend::sql) Arc<R>);

#[async_trait]
impl<R: Reads> HistoryReader for SqlHistory<R> {
    async fn list(
        &self,
        aggregate: Aggregate,
        key: &RowKey,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Change>> {
        let key = key_text(key);
        let digest = digest(aggregate, &key);
        let mut filter = Filter::new(R::spell(&HISTORY));
        let place = [Arg::Text(aggregate.as_str().to_owned()), Arg::Text(key)];
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
            .map(|row| Ok((R::int(row, 0)?, read_change::<R>(row)?)))
            .collect::<Result<Vec<_>>>()?;
        let page = Page::cut(items, page, |(seq, _)| {
            Cursor::encode(digest, &[CursorValue::Int(*seq)])
        });
        Ok(page.map(|(_, change)| change))
    }
}

/// A change from the columns after `seq`: aggregate, key, version, action, actor, time, events.
pub(in crate::backend::sql) fn read_change<R: Reads>(row: &R::Row) -> Result<Change> {
    let action = R::text(row, 4)?;
    let key = R::text(row, 2)?;
    Ok(Change {
        aggregate: Aggregate::parse(&R::text(row, 1)?)?,
        key: parse_key(&key)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("no row is called {key}")))?,
        version: super::version(R::int(row, 3)?)?,
        action: ChangeAction::parse(&action)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("no change is called {action}")))?,
        actor: R::text(row, 5)?,
        at: from_micros(R::int(row, 6)?)?,
        events: document("change.events", &R::text(row, 7)?)?,
    })
}

fn digest(aggregate: Aggregate, key: &str) -> [u8; 8] {
    Cursor::digest(&format!("history:{}:{key}", aggregate.as_str()))
}
