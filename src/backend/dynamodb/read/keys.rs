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
use crate::backend::dynamodb::records::change;
use crate::backend::dynamodb::records::past;
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
            Some([CursorValue::Int(number), CursorValue::Int(least)]) => {
                range.to = keys::change_place(*number);
                Some((*number, *least))
            }
            _ => return Err(bad_cursor()),
        };
        let wanted = page.limit() as usize + 1;
        let mut told = Told::new(after);
        // The root first: what is moved out of it meanwhile is found behind it, and passed over.
        if aggregate != Aggregate::Level {
            let root = Key::root(aggregate, key);
            let found = self.0.get([root.clone()], deadline).await?;
            if let Some(root) = found.get(&root) {
                told.add(past::read(root)?);
            }
        }
        let mut next = None;
        while told.items.len() < wanted {
            let slice = self.0.slice(&range, (wanted, next), deadline).await?;
            for item in &slice.items {
                told.add(match aggregate {
                    Aggregate::Level => vec![change::numbered(item)?],
                    _ => past::read(item)?,
                });
            }
            match slice.next {
                Some(more) => next = Some(more),
                None => break,
            }
        }
        let mut items = told.items;
        items.truncate(wanted);
        let page = Page::cut(items, page, |((number, own), _)| {
            Cursor::encode(digest, &[CursorValue::Int(*number), CursorValue::Int(*own)])
        });
        Ok(page.map(|(_, change)| change))
    }
}

/// Changes from the latest to the first, each told once.
struct Told {
    /// The place of the last one: the number of the change, and its own where several write sets share it.
    last: (i64, i64),
    items: Vec<((i64, i64), Change)>,
}

impl Told {
    fn new(after: Option<(i64, i64)>) -> Self {
        Self {
            last: after.unwrap_or((i64::MAX, i64::MAX)),
            items: Vec::new(),
        }
    }

    /// Adds those that come behind the last one.
    fn add(&mut self, numbered: Vec<(i64, Vec<Change>)>) {
        for (number, changes) in numbered.into_iter().rev() {
            for (own, change) in (0..).zip(changes).collect::<Vec<_>>().into_iter().rev() {
                if (number, own) < self.last {
                    self.last = (number, own);
                    self.items.push((self.last, change));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::model::Version;
    use crate::spi::changes::ChangeAction;

    /// So many changes under each of these numbers, as a root or an item of the past tells them.
    fn told(numbers: std::ops::RangeInclusive<i64>, each: usize) -> Vec<(i64, Vec<Change>)> {
        let change = Change {
            aggregate: Aggregate::Cart,
            key: RowKey::Id(Uuid::nil()),
            version: Version::FIRST,
            action: ChangeAction::Put,
            actor: "ann".to_owned(),
            at: OffsetDateTime::UNIX_EPOCH,
            events: Vec::new(),
        };
        numbers
            .map(|number| (number, vec![change.clone(); each]))
            .collect()
    }

    fn places(told: &Told) -> Vec<(i64, i64)> {
        told.items.iter().map(|(place, _)| *place).collect()
    }

    #[test]
    fn what_is_moved_while_it_is_read_is_told_once() {
        let mut all = Told::new(None);
        all.add(told(3..=5, 1));
        // What the root told was moved since, with what came after it.
        all.add(told(3..=7, 1));
        all.add(told(1..=2, 1));
        assert_eq!(places(&all), [(5, 0), (4, 0), (3, 0), (2, 0), (1, 0)]);
    }

    #[test]
    fn a_page_goes_on_within_what_write_sets_share() {
        let mut page = Told::new(Some((4, 1)));
        page.add(told(3..=5, 2));
        assert_eq!(places(&page), [(4, 0), (3, 1), (3, 0)]);
    }
}
