//! Commutative changes: applied without an expected version, each behind its own guard.

use std::time::Duration;

use uuid::Uuid;

use crate::model::Aggregate;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::HoldId;
use crate::model::HoldLine;
use crate::model::LocationId;
use crate::model::MovementKind;
use crate::model::OrderId;
use crate::model::PaymentId;
use crate::model::Quantity;
use crate::model::RowKey;
use crate::model::Settlement;
use crate::model::Sku;

/// A guarded, commutative change; a value computed by the client is never written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delta {
    /// Changes the counters of a level and appends the movement.
    Stock(StockStep),
    /// Releases what is left of a hold on these levels.
    Unhold {
        /// The hold.
        hold: HoldId,
        /// Every level that the hold has a line on.
        levels: Vec<(Sku, LocationId)>,
    },
    /// Adds to a line of an open cart.
    CartLine(CartLineStep),
    /// Adds to the settlement counters of an order.
    Order {
        /// The order.
        order: OrderId,
        /// What to add.
        settled: Settlement,
    },
    /// Adds to the settlement counters of a payment.
    Payment {
        /// The payment.
        payment: PaymentId,
        /// What to add.
        settled: Settlement,
    },
}

impl Delta {
    /// The end of a hold on these of its lines.
    #[must_use]
    pub fn unhold(hold: HoldId, lines: &[HoldLine]) -> Self {
        let mut levels: Vec<_> = lines
            .iter()
            .map(|line| (line.sku.clone(), line.location.clone()))
            .collect();
        levels.sort();
        levels.dedup();
        Self::Unhold { hold, levels }
    }

    /// The kind of the aggregates that the delta changes.
    #[must_use]
    pub const fn aggregate(&self) -> Aggregate {
        match self {
            Self::Stock(_) | Self::Unhold { .. } => Aggregate::Level,
            Self::CartLine(_) => Aggregate::Cart,
            Self::Order { .. } => Aggregate::Order,
            Self::Payment { .. } => Aggregate::Payment,
        }
    }

    /// The aggregates that the delta changes.
    #[must_use]
    pub fn touched(&self) -> Vec<(Aggregate, RowKey)> {
        match self {
            Self::Stock(step) => vec![(Aggregate::Level, step.key())],
            Self::Unhold { levels, .. } => levels
                .iter()
                .map(|(sku, location)| (Aggregate::Level, RowKey::Level(sku.clone(), location.clone())))
                .collect(),
            Self::CartLine(step) => vec![(Aggregate::Cart, RowKey::Id(step.cart.uuid()))],
            Self::Order { order, .. } => vec![(Aggregate::Order, RowKey::Id(order.uuid()))],
            Self::Payment { payment, .. } => vec![(Aggregate::Payment, RowKey::Id(payment.uuid()))],
        }
    }
}

/// One step of stock: signed changes to the counters of a level, with the movement that explains them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockStep {
    /// The article.
    pub sku: Sku,
    /// Where it lies.
    pub location: LocationId,
    /// What happened.
    pub kind: MovementKind,
    /// Change of the units on hand.
    pub on_hand: i64,
    /// Change of the units allocated to orders.
    pub allocated: i64,
    /// Change of the units held.
    pub held: i64,
    /// Units that must be available before the step; 0 for a step that takes nothing.
    pub takes: i64,
    /// The hold that the step opens, and how long it lasts.
    pub hold: Option<(HoldId, Duration)>,
    /// What the step belongs to: an order or a hold.
    pub reference: Option<Uuid>,
    /// A remark for the ledger, at most 200 characters.
    pub note: Option<String>,
}

impl StockStep {
    fn new(sku: &Sku, location: &LocationId, kind: MovementKind) -> Self {
        Self {
            sku: sku.clone(),
            location: location.clone(),
            kind,
            on_hand: 0,
            allocated: 0,
            held: 0,
            takes: 0,
            hold: None,
            reference: None,
            note: None,
        }
    }

    /// Units arrive; the level is created if there is none.
    #[must_use]
    pub fn receive(sku: &Sku, location: &LocationId, quantity: Quantity) -> Self {
        Self {
            on_hand: quantity.get(),
            ..Self::new(sku, location, MovementKind::Receive)
        }
    }

    /// A count differs from the books by `difference`; availability may become negative, units on hand may not.
    #[must_use]
    pub fn adjust(sku: &Sku, location: &LocationId, difference: i64, note: Option<String>) -> Self {
        Self {
            on_hand: difference,
            note,
            ..Self::new(sku, location, MovementKind::Adjust)
        }
    }

    /// Units are set aside until `ttl` has passed by the store's clock.
    #[must_use]
    pub fn hold(sku: &Sku, location: &LocationId, quantity: Quantity, hold: HoldId, ttl: Duration) -> Self {
        Self {
            held: quantity.get(),
            takes: quantity.get(),
            hold: Some((hold, ttl)),
            reference: Some(hold.uuid()),
            ..Self::new(sku, location, MovementKind::Hold)
        }
    }

    /// Units are promised to an order.
    #[must_use]
    pub fn allocate(sku: &Sku, location: &LocationId, quantity: Quantity, order: OrderId) -> Self {
        Self {
            allocated: quantity.get(),
            takes: quantity.get(),
            reference: Some(order.uuid()),
            ..Self::new(sku, location, MovementKind::Allocate)
        }
    }

    /// Units promised to an order become available again.
    #[must_use]
    pub fn release(sku: &Sku, location: &LocationId, quantity: Quantity, order: OrderId) -> Self {
        Self {
            allocated: -quantity.get(),
            reference: Some(order.uuid()),
            ..Self::new(sku, location, MovementKind::Release)
        }
    }

    /// Units promised to an order leave the building.
    #[must_use]
    pub fn ship(sku: &Sku, location: &LocationId, quantity: Quantity, order: OrderId) -> Self {
        Self {
            on_hand: -quantity.get(),
            allocated: -quantity.get(),
            reference: Some(order.uuid()),
            ..Self::new(sku, location, MovementKind::Ship)
        }
    }

    /// Units of an order come back to the shelf.
    #[must_use]
    pub fn restock(sku: &Sku, location: &LocationId, quantity: Quantity, order: OrderId) -> Self {
        Self {
            on_hand: quantity.get(),
            reference: Some(order.uuid()),
            ..Self::new(sku, location, MovementKind::Restock)
        }
    }

    /// The level that the step changes.
    #[must_use]
    pub fn key(&self) -> RowKey {
        RowKey::Level(self.sku.clone(), self.location.clone())
    }

    /// Change of what is available.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.on_hand
            .saturating_sub(self.allocated)
            .saturating_sub(self.held)
    }
}

/// Adds a quantity to one line of an open cart, and lets the cart live `ttl` longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartLineStep {
    /// The cart.
    pub cart: CartId,
    /// The line; its quantity is what is added.
    pub line: CartLine,
    /// New life time of the cart, from now by the store's clock.
    pub ttl: Duration,
}
