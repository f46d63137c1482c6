//! The tables: few, by how long what is in them lives, so that each has its own capacity, backup and access.

use std::fmt;

use crate::model::Aggregate;

/// A table of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Table {
    /// Products.
    Catalogue,
    /// Carts, which end by themselves.
    Carts,
    /// Orders and payments.
    Orders,
    /// Levels, movements and holds.
    Inventory,
    /// Unique keys, commits, checkpoints and letters.
    Keys,
}

impl Table {
    pub(super) const ALL: [Self; 5] = [
        Self::Catalogue,
        Self::Carts,
        Self::Orders,
        Self::Inventory,
        Self::Keys,
    ];

    /// Its name behind the prefix.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Carts => "carts",
            Self::Orders => "orders",
            Self::Inventory => "inventory",
            Self::Keys => "keys",
        }
    }

    /// Where an aggregate lies.
    pub(super) const fn of(aggregate: Aggregate) -> Self {
        match aggregate {
            Aggregate::Product => Self::Catalogue,
            Aggregate::Cart => Self::Carts,
            Aggregate::Order | Aggregate::Payment => Self::Orders,
            Aggregate::Level => Self::Inventory,
        }
    }

    /// Whether its changes are followed. Keys are no change of anything: nobody does.
    pub(super) const fn has_stream(self) -> bool {
        !matches!(self, Self::Keys)
    }

    /// Its secondary indexes; all of keys only, since whoever finds something there reads the item itself.
    pub(super) const fn indexes(self) -> &'static [Index] {
        match self {
            Self::Catalogue => &[
                Index::Status,
                Index::Category,
                Index::StatusPrice,
                Index::CategoryPrice,
            ],
            Self::Orders => &[Index::OrderStatus, Index::Customer, Index::CustomerStatus],
            Self::Inventory => &[Index::HoldsOfLevel, Index::HoldsByEnd],
            Self::Carts | Self::Keys => &[],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A secondary index. Its keys are two attributes that are composed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// Products by status, then id.
    Status,
    /// Products by category and status, then id.
    Category,
    /// Products by status, then price and id.
    StatusPrice,
    /// Products by category and status, then price and id.
    CategoryPrice,
    /// Orders by status, then id.
    OrderStatus,
    /// Orders by customer, then id.
    Customer,
    /// Orders by customer and status, then id.
    CustomerStatus,
    /// Lines of holds by level, then end.
    HoldsOfLevel,
    /// Lines of holds by end.
    HoldsByEnd,
}

impl Index {
    /// Its name, and the names of the attributes that are its keys.
    pub(super) const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Status | Self::OrderStatus | Self::HoldsOfLevel => ("index-1", "i1pk", "i1sk"),
            Self::Category | Self::Customer | Self::HoldsByEnd => ("index-2", "i2pk", "i2sk"),
            Self::StatusPrice | Self::CustomerStatus => ("index-3", "i3pk", "i3sk"),
            Self::CategoryPrice => ("index-4", "i4pk", "i4sk"),
        }
    }

    pub(super) const fn table(self) -> Table {
        match self {
            Self::Status | Self::Category | Self::StatusPrice | Self::CategoryPrice => Table::Catalogue,
            Self::OrderStatus | Self::Customer | Self::CustomerStatus => Table::Orders,
            Self::HoldsOfLevel | Self::HoldsByEnd => Table::Inventory,
        }
    }
}
