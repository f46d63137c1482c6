//! Unique keys, and the history of every aggregate.

use std::sync::Arc;

use async_trait::async_trait;

use super::bad_cursor;
use crate::backend::dynamodb::commit::FINGERPRINT;
use crate::backend::dynamodb::commit::OWNER;
use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::missing;
use crate::backend::dynamodb::keys;
use crate::backend::dynamodb::keys::CHANGES;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::SK;
use crate::backend::dynamodb::records::change;
use crate::backend::dynamodb::tables::Table;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::store::ClaimFound;
use crate::spi::store::ClaimReader;
use crate::spi::store::HistoryReader;

#[derive(Debug)]
pub(super) struct Claims(pub(super) Arc<Wire>);

#[async_trait]
impl ClaimReader for Claims {
    async fn find(&self, keys: &[(String, String)], deadline: Deadline) -> Result<Vec<Option<ClaimFound>>> {
        let asked = keys.iter().map(|(space, key)| Key::claim(space, key));
        let found = self.0.owners(asked.collect(), deadline).await?;
        let one = |(space, key): &(String, String)| {
            let Some(item) = found.get(&Key::claim(space, key)) else {
                return Ok(None);
            };
            let fingerprint = item.opt_get_bytes(FINGERPRINT)?;
            let fingerprint = fingerprint.map(|bytes| bytes.try_into().map_err(|_| missing(FINGERPRINT)));
            Ok(Some(ClaimFound {
                owner: item.get_id(OWNER)?,
                fingerprint: fingerprint.transpose()?,
            }))
        };
        keys.iter().map(one).collect()
    }
}

#[derive(Debug)]
pub(super) struct History(pub(super) Arc<Wire>);

#[async_trait]
impl HistoryReader for History {
    async fn list(
        &self,
        aggregate: Aggregate,
        key: &RowKey,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Change>> {
        let partition = keys::history(aggregate, key);
        let digest = Cursor::digest(&format!("history:{partition}"));
        let mut range = Range::beginning(Table::of(aggregate), partition, CHANGES).latest_first();
        let after = match page.position(digest)?.as_deref() {
            None => None,
            Some([CursorValue::Text(place), CursorValue::Int(number)]) => {
                range.to.clone_from(place);
                Some((place.clone(), *number))
            }
            _ => return Err(bad_cursor()),
        };
        let wanted = page.limit() as usize + 1;
        let (mut items, mut next): (Vec<(String, i64, Change)>, _) = (Vec::new(), None);
        while items.len() < wanted {
            let slice = self.0.slice(&range, (wanted, next), deadline).await?;
            for item in &slice.items {
                let place = item.get_text(SK)?.to_owned();
                // Several write sets may share a version: the latest of them first.
                let changes = (0..).zip(change::read(item)?).collect::<Vec<_>>();
                for (number, one) in changes.into_iter().rev() {
                    let seen = after
                        .as_ref()
                        .is_some_and(|(last, least)| place == *last && number >= *least);
                    if !seen {
                        items.push((place.clone(), number, one));
                    }
                }
            }
            match slice.next {
                Some(more) => next = Some(more),
                None => break,
            }
        }
        items.truncate(wanted);
        let page = Page::cut(items, page, |(place, number, _)| {
            Cursor::encode(
                digest,
                &[CursorValue::Text(place.clone()), CursorValue::Int(*number)],
            )
        });
        Ok(page.map(|(_, _, change)| change))
    }
}
