//! What happened to an aggregate before: kept in its root while that is little, then moved to an item of its own.
//!
//! A transaction holds a hundred items, and each costs as much as a KB of another: an order and its cart are two items so, not
//! four. docs/decisions/0016-past-in-the-root.md tells why. Levels keep theirs apart: they change often, and their movements
//! stand there.

use aws_sdk_dynamodb::types::AttributeValue;

use super::VERSION;
use super::change;
use super::change::CHANGES;
use super::change::LAST_CHANGE;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::item::entry;
use crate::backend::dynamodb::item::missing;
use crate::backend::dynamodb::item::size;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::spi::changes::Change;

/// What happened before the last time, the oldest first.
const PAST: &str = "past";

/// What of it stays in the root, in bytes: the size that a write is charged for by one unit more.
const MOST_BYTES: usize = 1_024;

/// What every entry and every item tells of a change, whose it is left out.
const TOLD: [&str; 4] = [LAST_CHANGE, "version", "at", CHANGES];

/// The past of an aggregate that is written once more.
#[derive(Clone, Debug, Default)]
pub(in crate::backend::dynamodb) struct Past(Vec<Map>);

impl Past {
    /// What happened until now, by the root as it is stored. What was removed has told its past before.
    pub(in crate::backend::dynamodb) fn of(root: Option<&Map>) -> Result<Self> {
        let Some(root) = root.filter(|root| root.contains_key(VERSION)) else {
            return Ok(Self::default());
        };
        let mut past = Self(kept(root)?);
        past.0.extend(head(root));
        Ok(past)
    }

    /// With what the root tells of the change that it is written with.
    #[must_use]
    pub(in crate::backend::dynamodb) fn and_now(mut self, root: &Map) -> Self {
        self.0.extend(head(root));
        self
    }

    /// Whether it has to be moved out of the root.
    pub(in crate::backend::dynamodb) fn is_long(&self) -> bool {
        self.0.iter().map(size).sum::<usize>() > MOST_BYTES
    }

    /// Keeps it in the root.
    pub(in crate::backend::dynamodb) fn keep(self, root: &mut Map) {
        if self.0.is_empty() {
            root.remove(PAST);
        } else {
            root.put(PAST, self.list());
        }
    }

    /// The item that it is moved to, with the number of its oldest change; nothing where nothing has happened.
    pub(in crate::backend::dynamodb) fn apart(
        self,
        (aggregate, key): (Aggregate, &RowKey),
        root: &mut Map,
    ) -> Result<Option<(i64, Map)>> {
        root.remove(PAST);
        let Some(oldest) = self.0.first() else {
            return Ok(None);
        };
        let number = oldest.get_int(LAST_CHANGE)?;
        let mut item = Map::new();
        item.text("aggregate", aggregate.as_str());
        item.text("row", key.to_string());
        item.put(PAST, self.list());
        Ok(Some((number, item)))
    }

    fn list(self) -> AttributeValue {
        AttributeValue::L(self.0.into_iter().map(AttributeValue::M).collect())
    }
}

fn kept(item: &Map) -> Result<Vec<Map>> {
    let entries = item.get_list(PAST)?.iter();
    entries.map(|one| entry(one).cloned()).collect()
}

/// What a root tells of the last change.
fn head(root: &Map) -> Option<Map> {
    let told = TOLD
        .iter()
        .map(|name| Some(((*name).to_owned(), root.get(*name)?.clone())));
    told.collect()
}

/// Everything that a root or an item of the past tells, by the numbers of the changes, the oldest first.
pub(in crate::backend::dynamodb) fn read(item: &Map) -> Result<Vec<(i64, Vec<Change>)>> {
    let mut entries = kept(item)?;
    entries.extend(head(item));
    let whose = ["aggregate", "row"].map(|name| (name, item.get(name)));
    let read = entries.into_iter().map(|mut one| {
        let number = one.get_int(LAST_CHANGE)?;
        for (name, value) in whose {
            one.put(name, value.cloned().ok_or_else(|| missing(name))?);
        }
        Ok((number, change::read(&one)?))
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::backend::dynamodb::records::change::Deed;
    use crate::spi::changes::ChangeAction;

    fn row() -> RowKey {
        RowKey::Id(Uuid::nil())
    }

    fn deed(actor: &str) -> Deed {
        Deed {
            action: ChangeAction::Put,
            actor: actor.to_owned(),
            events: Vec::new(),
        }
    }

    /// The root as it is written with a change.
    fn root(number: i64) -> Map {
        let mut root = Map::new();
        root.int(VERSION, number);
        root.int(LAST_CHANGE, number);
        change::write_head(
            &mut root,
            (Aggregate::Order, &row()),
            number,
            number,
            &[deed("ann")],
        );
        root
    }

    fn numbers(item: &Map) -> Vec<i64> {
        read(item)
            .unwrap()
            .into_iter()
            .map(|(number, _)| number)
            .collect()
    }

    #[test]
    fn nothing_is_told_twice_or_lost_between_root_and_items() {
        let (mut stored, mut apart) = (None, Vec::new());
        for number in 1..=40 {
            let past = Past::of(stored.as_ref()).unwrap();
            let mut next = root(number);
            if past.is_long() {
                let (first, item) = past
                    .apart((Aggregate::Order, &row()), &mut next)
                    .unwrap()
                    .unwrap();
                assert_eq!(numbers(&item).first(), Some(&first));
                apart.extend(numbers(&item));
            } else {
                past.keep(&mut next);
            }
            stored = Some(next);
        }
        assert!(apart.len() > 20);
        apart.extend(numbers(&stored.unwrap()));
        assert_eq!(apart, (1..=40).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_removed_has_no_past_left_to_tell() {
        let mut gone = root(3);
        gone.remove(VERSION);
        assert!(
            Past::of(Some(&gone))
                .unwrap()
                .apart((Aggregate::Order, &row()), &mut root(4))
                .unwrap()
                .is_none()
        );
        assert!(Past::of(None).unwrap().0.is_empty());
    }
}
