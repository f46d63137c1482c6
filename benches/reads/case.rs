//! What is read, by whom, and how much of it.

use crate::support::Settings;
use stockroom::testkit::fixtures;
use uuid::Uuid;

/// Ids of one batch.
pub(crate) const BATCH: usize = 100;

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Case {
    Product,
    Cart,
    Order,
    Products,
    Carts,
    Orders,
}

impl Case {
    pub(crate) const ALL: [Self; 6] = [
        Self::Product,
        Self::Cart,
        Self::Order,
        Self::Products,
        Self::Carts,
        Self::Orders,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Product => "a product, 2 variants",
            Self::Cart => "a cart, 2 lines",
            Self::Order => "an order, 2 lines",
            Self::Products => "100 products",
            Self::Carts => "100 carts",
            Self::Orders => "100 orders",
        }
    }

    pub(crate) const fn is_keyed(self) -> bool {
        matches!(self, Self::Product | Self::Cart | Self::Order)
    }

    pub(crate) fn id(self, seed: u64) -> Uuid {
        match self {
            Self::Product | Self::Products => fixtures::product_id(seed).uuid(),
            Self::Cart | Self::Carts => fixtures::cart_id(seed).uuid(),
            Self::Order | Self::Orders => fixtures::order_id(seed).uuid(),
        }
    }
}

/// Who reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Shop,
    ByHand,
    WithoutPing,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Shop, Self::ByHand, Self::WithoutPing];
}

/// How much is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Products, carts and orders, each.
    pub(crate) rows: u64,
    pub(crate) rounds: usize,
    pub(crate) keyed: usize,
    pub(crate) batches: usize,
    pub(crate) sides: usize,
}

impl Effort {
    pub(crate) fn of(settings: Settings) -> Self {
        Self {
            rows: settings.pick(10_000, 500),
            rounds: settings.pick(31, 3),
            keyed: settings.pick(400, 60),
            batches: settings.pick(20, 5),
            sides: settings.ways(Side::ALL.len()),
        }
    }

    pub(crate) const fn reads(self, case: Case) -> usize {
        if case.is_keyed() { self.keyed } else { self.batches }
    }

    /// The ids of a read: the same for all who read it, spread over the rows without an order.
    pub(crate) fn ids(self, case: Case, read: usize) -> Vec<Uuid> {
        let count = if case.is_keyed() { 1 } else { BATCH };
        // A step that has no factor with the number of rows visits them all.
        let seed = |index: usize| ((read * count + index) as u64).wrapping_mul(7_919) % self.rows;
        (0..count).map(|index| case.id(seed(index))).collect()
    }
}
