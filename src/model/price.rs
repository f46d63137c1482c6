//! What something costs, from which quantity on, and when.

use serde::{Deserialize, Serialize};

use super::{Currency, Money, Quantity, Timestamp, from_micros, micros, truncate};
use crate::{Error, Result};

/// What one unit costs.
///
/// - Valid from `valid_from`, included, to `valid_until`, excluded; an absent bound is open.
/// - As JSON it is short, for lists of prices are stored so.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(into = "Compact", try_from = "Compact")]
pub struct Price {
    /// The price of one unit, without tax.
    pub amount: Money,
    /// The least quantity that it is given for; 1 for the price of a single one.
    pub min_quantity: u32,
    /// When it starts.
    pub valid_from: Option<Timestamp>,
    /// When it has ended.
    pub valid_until: Option<Timestamp>,
}

impl Price {
    /// A price for every quantity, at all times.
    pub const fn new(amount: Money) -> Self {
        Self {
            amount,
            min_quantity: 1,
            valid_from: None,
            valid_until: None,
        }
    }

    /// The same from this quantity on.
    #[must_use]
    pub const fn at_least(mut self, least: u32) -> Self {
        self.min_quantity = least;
        self
    }

    /// The same from this time on.
    #[must_use]
    pub fn starting(mut self, start: Timestamp) -> Self {
        self.valid_from = Some(truncate(start));
        self
    }

    /// The same until this time, excluded.
    #[must_use]
    pub fn ending(mut self, end: Timestamp) -> Self {
        self.valid_until = Some(truncate(end));
        self
    }

    /// Whether it is given for this much, in this currency, at this time.
    pub fn applies(&self, quantity: Quantity, currency: Currency, at: Timestamp) -> bool {
        self.amount.currency() == currency
            && i64::from(self.min_quantity) <= quantity.get()
            && self.valid_from.is_none_or(|start| start <= at)
            && self.valid_until.is_none_or(|end| at < end)
    }

    /// Checks the amount, the quantity and that the price starts before it ends.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `prices`.
    pub fn validate(&self) -> Result<()> {
        if self.amount.is_negative() {
            return Err(Error::invalid("prices", "must not be negative"));
        }
        if Quantity::try_from(self.min_quantity).is_err() {
            return Err(Error::invalid(
                "prices",
                format!("must start at a quantity of 1 to {}", Quantity::MAX),
            ));
        }
        if let (Some(start), Some(end)) = (self.valid_from, self.valid_until)
            && start >= end
        {
            return Err(Error::invalid("prices", "must start before they end"));
        }
        Ok(())
    }

    /// Whether it is for a single one, and at all times.
    pub(super) fn is_standing(&self) -> bool {
        self.min_quantity == 1 && self.valid_from.is_none() && self.valid_until.is_none()
    }
}

/// The stored form: minor units, currency, least quantity unless 1, bounds in microseconds.
#[derive(Serialize, Deserialize)]
struct Compact {
    a: i64,
    c: Currency,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    q: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<i64>,
}

const fn one() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_one(quantity: &u32) -> bool {
    *quantity == 1
}

impl From<Price> for Compact {
    fn from(price: Price) -> Self {
        Self {
            a: price.amount.minor(),
            c: price.amount.currency(),
            q: price.min_quantity,
            f: price.valid_from.map(micros),
            u: price.valid_until.map(micros),
        }
    }
}

impl TryFrom<Compact> for Price {
    type Error = Error;

    fn try_from(stored: Compact) -> Result<Self> {
        let price = Self {
            amount: Money::new(stored.a, stored.c),
            min_quantity: stored.q,
            valid_from: stored.f.map(from_micros).transpose()?,
            valid_until: stored.u.map(from_micros).transpose()?,
        };
        price.validate()?;
        Ok(price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        from_micros(micros).unwrap()
    }

    #[test]
    fn prices_start_included_and_end_excluded() {
        let price = Price::new(Money::new(5, Currency::EUR))
            .starting(at(10))
            .ending(at(20));
        let applies = |micros| price.applies(Quantity::ONE, Currency::EUR, at(micros));
        assert_eq!([9, 10, 19, 20].map(applies), [false, true, true, false]);
        assert!(!price.applies(Quantity::ONE, Currency::USD, at(10)));
    }

    #[test]
    fn stored_prices_are_short_and_checked() {
        let price = Price::new(Money::new(5, Currency::EUR));
        let json =
            serde_json::to_string(&vec![price, price.at_least(3).starting(at(1)).ending(at(2))]).unwrap();
        assert_eq!(json, r#"[{"a":5,"c":"EUR"},{"a":5,"c":"EUR","q":3,"f":1,"u":2}]"#);
        let back: Vec<Price> = serde_json::from_str(&json).unwrap();
        assert_eq!(back[0], price);
        assert_eq!(back[1].valid_until, Some(at(2)));
        assert!(serde_json::from_str::<Price>(r#"{"a":-5,"c":"EUR"}"#).is_err());
    }

    #[test]
    fn impossible_prices_are_refused() {
        let price = Price::new(Money::new(5, Currency::EUR));
        for bad in [
            Price::new(Money::new(-1, Currency::EUR)),
            price.at_least(0),
            price.at_least(1_000_001),
            price.starting(at(2)).ending(at(2)),
        ] {
            assert_eq!(bad.validate().unwrap_err().invalid_field(), Some("prices"));
        }
    }
}
