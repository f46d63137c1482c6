//! What there is, where it lies, and for whom it is kept.

use uuid::Uuid;

use super::stored::stored_enum;
use super::{HoldId, LocationId, Quantity, Sku, Timestamp, Version};

/// How many of one SKU there are at one location.
///
/// - Its counters only change by movements, and each is the sum of its movements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Level {
    /// What it counts.
    pub sku: Sku,
    /// Where it lies.
    pub location: LocationId,
    /// How often it has changed.
    pub version: Version,
    /// How many lie there.
    pub on_hand: i64,
    /// How many of them belong to orders that are not sent yet.
    pub allocated: i64,
    /// How many are kept by holds that are alive.
    pub held: i64,
    /// How many may be sold beyond what lies there.
    pub backorder_limit: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Level {
    /// How many can be promised to someone: negative when a stock-take found less than was promised.
    pub const fn available(&self) -> i64 {
        self.on_hand
            .saturating_sub(self.allocated)
            .saturating_sub(self.held)
            .saturating_add(self.backorder_limit)
    }
}

/// Stock that is kept for someone for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Its identity.
    pub id: HoldId,
    /// What it keeps.
    pub lines: Vec<HoldLine>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Whether it had not ended when it was read, by the store's clock.
    pub alive: bool,
}

/// What a hold keeps of one SKU at one location.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldLine {
    /// What is kept.
    pub sku: Sku,
    /// Where it lies.
    pub location: LocationId,
    /// How many.
    pub quantity: Quantity,
}

stored_enum! {
    /// Why a level changed.
    MovementKind in "movement" {
        /// Units arrived.
        Receive = "receive",
        /// A count differed from the books.
        Adjust = "adjust",
        /// Units were kept for someone.
        Hold = "hold",
        /// A hold was given up.
        Unhold = "unhold",
        /// A hold ended by itself.
        Expire = "expire",
        /// Units were promised to an order.
        Allocate = "allocate",
        /// A promise to an order was given up.
        Release = "release",
        /// Units of an order were sent.
        Ship = "ship",
        /// Units of an order came back to the shelf.
        Restock = "restock",
    }
}

/// One entry of the ledger: it is never changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Movement {
    /// Its place in the ledger.
    pub seq: i64,
    /// What was moved.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// Why.
    pub kind: MovementKind,
    /// The change of what lies there.
    pub on_hand: i64,
    /// The change of what belongs to orders.
    pub allocated: i64,
    /// The change of what is kept by holds.
    pub held: i64,
    /// The order or the hold that it belongs to.
    pub reference: Option<Uuid>,
    /// A remark.
    pub note: Option<String>,
    /// When it was committed.
    pub at: Timestamp,
}

/// What a comparison of the levels with the ledger found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LedgerReport {
    /// How many levels were compared.
    pub levels: u64,
    /// How many movements were added up.
    pub movements: u64,
    /// Where they differ.
    pub drift: Vec<Drift>,
}

impl LedgerReport {
    /// Whether every level is the sum of its movements.
    pub fn is_consistent(&self) -> bool {
        self.drift.is_empty()
    }
}

/// A counter that is not the sum of its movements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drift {
    /// What is counted.
    pub sku: Sku,
    /// Where it lies.
    pub location: LocationId,
    /// Which counter: `on_hand`, `allocated` or `held`.
    pub counter: &'static str,
    /// What the level says.
    pub level: i64,
    /// What the movements add up to.
    pub ledger: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::from_micros;

    #[test]
    fn available_is_what_nobody_was_promised() {
        let level = Level {
            sku: Sku::new("MUG").unwrap(),
            location: LocationId::new("berlin").unwrap(),
            version: Version::FIRST,
            on_hand: 10,
            allocated: 3,
            held: 2,
            backorder_limit: 1,
            updated_at: from_micros(0).unwrap(),
        };
        assert_eq!(level.available(), 6);
        assert_eq!(Level { on_hand: 0, ..level }.available(), -4);
    }

    #[test]
    fn stored_kinds_are_known_again() {
        for kind in MovementKind::ALL {
            assert_eq!(MovementKind::parse(kind.as_str()).unwrap(), *kind);
        }
    }
}
