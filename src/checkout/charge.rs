//! What a provider is asked, what it answers, and what comes of it.

use std::sync::Arc;

use crate::error::Shortage;
use crate::model::Money;
use crate::model::Order;
use crate::model::Reference;

/// What the provider shall be asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Due {
    /// The order, which awaits the payment; after a takeover it may have been cancelled meanwhile.
    pub order: Arc<Order>,
    /// How much.
    pub amount: Money,
    /// The idempotency key for the provider: the same in every attempt, so that a repeated call charges once.
    pub provider_key: String,
    /// 1 in the first attempt, greater in each later one.
    pub attempt: u64,
}

/// What the provider answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge(pub(super) Answer);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Authorized(Reference),
    Captured(Reference),
    Declined(String),
}

impl Charge {
    /// The money was taken; `reference` is what the provider calls the payment.
    pub fn captured(reference: Reference) -> Self {
        Self(Answer::Captured(reference))
    }

    /// The money is promised and not taken yet; `reference` is what the provider calls the payment.
    pub fn authorized(reference: Reference) -> Self {
        Self(Answer::Authorized(reference))
    }

    /// No money will come; `reason` is the provider's, for people.
    pub fn declined(reason: impl Into<String>) -> Self {
        Self(Answer::Declined(reason.into()))
    }
}

/// What came of a payment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Paid {
    /// The order is placed and its stock allocated.
    #[non_exhaustive]
    Order {
        /// The order.
        order: Arc<Order>,
        /// Whether an earlier call with the same key settled it.
        replayed: bool,
    },
    /// The provider refused; the order is cancelled, its stock free and the cart open again.
    #[non_exhaustive]
    Declined {
        /// The order.
        order: Arc<Order>,
        /// The provider's reason.
        reason: String,
        /// Whether an earlier call with the same key settled it.
        replayed: bool,
    },
    /// The hold ended during the payment and the stock is gone: the order is cancelled, the money recorded.
    #[non_exhaustive]
    Short {
        /// The order.
        order: Arc<Order>,
        /// What has to be given back; nothing where the money was only promised: give up the promise then.
        refund: Money,
        /// What was short; empty when the answer is repeated.
        shortages: Vec<Shortage>,
        /// Whether an earlier call with the same key settled it.
        replayed: bool,
    },
    /// The order was cancelled by someone else: before the payment was settled or, when the answer is
    /// repeated, after.
    #[non_exhaustive]
    Cancelled {
        /// The order.
        order: Arc<Order>,
        /// What has to be given back; nothing where the money was only promised: give up the promise then.
        refund: Money,
        /// Whether an earlier call with the same key settled it.
        replayed: bool,
    },
}

impl Paid {
    /// The order, whatever became of it.
    pub fn order(&self) -> &Arc<Order> {
        match self {
            Self::Order { order, .. }
            | Self::Declined { order, .. }
            | Self::Short { order, .. }
            | Self::Cancelled { order, .. } => order,
        }
    }

    /// Whether an earlier call with the same key settled it; this call asked the provider for nothing.
    pub fn replayed(&self) -> bool {
        match self {
            Self::Order { replayed, .. }
            | Self::Declined { replayed, .. }
            | Self::Short { replayed, .. }
            | Self::Cancelled { replayed, .. } => *replayed,
        }
    }
}
