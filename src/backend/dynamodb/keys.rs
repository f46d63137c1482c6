//! Where everything lies: the table, the partition and the place in it, of each kind of item.
//!
//! | table | partition | place | what |
//! |---|---|---|---|
//! | of the aggregate | `product#ID` | `R` | the root, its parts inside |
//! | inventory | `level#SKU` | `R#LOCATION` | a level, or the first share of one that is spread |
//! | inventory | `share#NUMBER#SKU` | `R#LOCATION` | a further share of a level |
//! | inventory | `level#SKU@LOCATION` | `C#NUMBER` | a change of a level, with its movements |
//! | of the aggregate | `product#ID` | `C#NUMBER` | changes that the root has no place for |
//! | inventory | `hold#ID` | `SKU@LOCATION` | a line of a hold |
//! | orders | `order-payments#ORDER` | `PAYMENT` | tells the payments of an order |
//! | keys | `claim#SPACE#KEY` | `R` | a unique key or an idempotency key |
//! | keys | `commit#ID` | `R` | a transaction that happened, or never will |
//! | keys | `meta` | `epoch` | the epoch |
//! | keys | `checkpoint#SINK` | name | a checkpoint |
//! | keys | `letters#SINK` | id | a dead letter |

use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use super::item::Map;
use super::item::Write;
use super::tables::Table;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::RowKey;
use crate::model::Sku;

/// Name of the partition key of every table.
pub(super) const PK: &str = "pk";
/// Name of the sort key of every table.
pub(super) const SK: &str = "sk";

/// The place of what has its partition for itself, or is the head of it.
const ROOT: &str = "R";

/// Partitions of levels, and of their further shares.
const LEVELS: &str = "level#";
const SHARES: &str = "share#";

/// The longest partition key that the service takes, in bytes.
pub(super) const LONGEST: usize = 2_048;

/// The primary key of an item, with its table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) table: Table,
    pub(super) pk: String,
    pub(super) sk: String,
}

impl fmt::Debug for Key {
    /// The table alone: keys may be a customer's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.table)
    }
}

impl Key {
    pub(super) fn new(table: Table, pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            table,
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    /// The root of an aggregate.
    pub(super) fn root(aggregate: Aggregate, key: &RowKey) -> Self {
        let table = Table::of(aggregate);
        match key {
            RowKey::Id(id) => Self::new(table, format!("{aggregate}#{id}"), ROOT),
            RowKey::Level(sku, location) => Self::new(table, levels(sku), format!("{ROOT}#{location}")),
        }
    }

    /// A share of a level; the first is the level's root.
    pub(super) fn share(sku: &Sku, location: &LocationId, number: usize) -> Self {
        match number {
            0 => Self::root(Aggregate::Level, &RowKey::Level(sku.clone(), location.clone())),
            _ => Self::new(
                Table::Inventory,
                format!("{SHARES}{number}#{sku}"),
                format!("{ROOT}#{location}"),
            ),
        }
    }

    /// Whether it is a level, or the first share of one.
    pub(super) fn is_level(&self) -> bool {
        self.table == Table::Inventory && self.pk.starts_with(LEVELS)
    }

    /// Whether it is a further share of a level.
    pub(super) fn is_share(&self) -> bool {
        self.table == Table::Inventory && self.pk.starts_with(SHARES)
    }

    /// A further share of the level whose root this is.
    pub(super) fn share_of(&self, number: usize) -> Option<Self> {
        let (sku, _) = self.level_parts()?;
        Some(Self::new(
            self.table,
            format!("{SHARES}{number}#{sku}"),
            self.sk.as_str(),
        ))
    }

    /// SKU and place of the level that this is a share of.
    pub(super) fn level_parts(&self) -> Option<(&str, &str)> {
        if self.table != Table::Inventory {
            return None;
        }
        let further = || self.pk.strip_prefix(SHARES)?.split_once('#').map(|(_, sku)| sku);
        let sku = self.pk.strip_prefix(LEVELS).or_else(further)?;
        Some((sku, &self.sk))
    }

    /// The location of the level that this is a share of.
    pub(super) fn location(&self) -> Option<&str> {
        let place = self.level_parts()?.1;
        place.strip_prefix(ROOT)?.strip_prefix('#')
    }

    /// Which share it is of its level.
    pub(super) fn share_number(&self) -> usize {
        let number = self
            .pk
            .strip_prefix(SHARES)
            .and_then(|rest| rest.split('#').next());
        number.and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    /// A change of an aggregate; later ones have higher numbers.
    pub(super) fn change(aggregate: Aggregate, key: &RowKey, number: i64) -> Self {
        Self::new(
            Table::of(aggregate),
            history(aggregate, key),
            change_place(number),
        )
    }

    /// A line of a hold.
    pub(super) fn hold(hold: Uuid, sku: &Sku, location: &LocationId) -> Self {
        Self::new(Table::Inventory, holds(hold), level_name(sku, location))
    }

    /// Tells that a payment is of an order.
    pub(super) fn payment_of(order: Uuid, payment: Uuid) -> Self {
        Self::new(Table::Orders, payments(order), payment.to_string())
    }

    /// A unique key.
    pub(super) fn claim(space: &str, key: &str) -> Self {
        Self::new(Table::Keys, format!("claim#{space}#{key}"), ROOT)
    }

    /// A transaction.
    pub(super) fn commit(id: Uuid) -> Self {
        Self::new(Table::Keys, format!("commit#{id}"), ROOT)
    }

    /// The epoch.
    pub(super) fn epoch() -> Self {
        Self::new(Table::Keys, "meta", "epoch")
    }

    /// As attributes, for calls that name an item.
    pub(super) fn attributes(&self) -> Map {
        let mut map = Map::with_capacity(2);
        map.text(PK, &self.pk);
        map.text(SK, &self.sk);
        map
    }

    /// The key of an item that was read.
    pub(super) fn of(table: Table, item: &Map) -> Option<Self> {
        let text = |name: &str| item.get(name).and_then(|value| AttributeValue::as_s(value).ok());
        Some(Self::new(table, text(PK)?, text(SK)?))
    }
}

/// The partition of the levels of a SKU.
pub(super) fn levels(sku: &Sku) -> String {
    format!("{LEVELS}{sku}")
}

/// The partition of the lines of a hold.
pub(super) fn holds(hold: Uuid) -> String {
    format!("hold#{hold}")
}

/// The partition that tells the payments of an order.
pub(super) fn payments(order: Uuid) -> String {
    format!("order-payments#{order}")
}

/// The partition of the changes of an aggregate.
pub(super) fn history(aggregate: Aggregate, key: &RowKey) -> String {
    format!("{aggregate}#{key}")
}

/// Where the changes of an aggregate begin.
pub(super) const CHANGES: &str = "C#";

/// The place of a change.
pub(super) fn change_place(number: i64) -> String {
    format!("{CHANGES}{number:019}")
}

/// A level in the words of keys.
pub(super) fn level_name(sku: &Sku, location: &LocationId) -> String {
    format!("{sku}@{location}")
}

/// A level from the words of keys: neither part can hold an `@`.
pub(super) fn parse_level(name: &str) -> Option<(Sku, LocationId)> {
    let (sku, location) = name.split_once('@')?;
    Some((Sku::new(sku).ok()?, LocationId::new(location).ok()?))
}

/// A row from the words of keys.
pub(super) fn parse_row(name: &str) -> Option<RowKey> {
    match parse_level(name) {
        Some((sku, location)) => Some(RowKey::Level(sku, location)),
        None => Uuid::parse_str(name).ok().map(RowKey::Id),
    }
}

/// A number as a text that sorts as the numbers do, negative ones included.
pub(super) fn sortable(number: i64) -> String {
    // Flipping the sign bit maps the order of signed numbers to that of unsigned ones.
    format!("{:020}", number.cast_unsigned() ^ (1 << 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sortable_numbers_sort() {
        let numbers = [i64::MIN, -10, -9, -1, 0, 1, 9, 10, 11, i64::MAX];
        let texts: Vec<_> = numbers.into_iter().map(sortable).collect();
        assert!(texts.is_sorted());
        assert!(texts.iter().all(|text| text.len() == 20));
    }

    #[test]
    fn rows_survive_their_names() {
        let level = RowKey::Level(Sku::new("MUG/1").unwrap(), LocationId::new("a-b").unwrap());
        for row in [RowKey::Id(Uuid::now_v7()), level] {
            assert_eq!(parse_row(&row.to_string()), Some(row));
        }
        assert_eq!(parse_row("x"), None);
    }

    #[test]
    fn shares_lie_in_partitions_of_their_own() {
        let (sku, main) = (Sku::new("MUG/1").unwrap(), LocationId::new("main").unwrap());
        let shares: Vec<Key> = (0..12).map(|number| Key::share(&sku, &main, number)).collect();
        for (number, share) in shares.iter().enumerate() {
            assert_eq!(share.share_number(), number);
            assert_eq!((share.is_level(), share.is_share()), (number == 0, number > 0));
            assert_eq!(shares.iter().filter(|other| other.pk == share.pk).count(), 1);
        }
    }

    #[test]
    fn a_level_and_its_history_lie_apart() {
        let row = RowKey::Level(Sku::new("MUG").unwrap(), LocationId::new("main").unwrap());
        let (root, change) = (
            Key::root(Aggregate::Level, &row),
            Key::change(Aggregate::Level, &row, 7),
        );
        assert_ne!(root.pk, change.pk);
        assert_eq!(root.table, change.table);
    }
}
