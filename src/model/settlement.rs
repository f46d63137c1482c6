//! How much of an amount has been paid so far.

use crate::{Error, Result};

/// What payments came to, in minor units.
///
/// - These are counters: they only change by deltas, so that facts from a provider add up in any order.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Hash)]
pub struct Settlement {
    /// Promised by the provider.
    pub authorized: i64,
    /// Taken by the provider.
    pub captured: i64,
    /// Given back by the provider.
    pub refunded: i64,
}

impl Settlement {
    /// Nothing yet.
    pub const ZERO: Self = Self {
        authorized: 0,
        captured: 0,
        refunded: 0,
    };

    /// Both together.
    ///
    /// # Errors
    /// `InvalidInput`, field `amount`, when a sum is out of range.
    pub fn checked_add(self, other: Self) -> Result<Self> {
        Ok(Self {
            authorized: add(self.authorized, other.authorized)?,
            captured: add(self.captured, other.captured)?,
            refunded: add(self.refunded, other.refunded)?,
        })
    }

    /// What the shop has: captured and not given back.
    pub const fn kept(self) -> i64 {
        self.captured.saturating_sub(self.refunded)
    }
}

fn add(one: i64, other: i64) -> Result<i64> {
    one.checked_add(other)
        .ok_or_else(|| Error::invalid("amount", "is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_checked() {
        let one = Settlement {
            captured: i64::MAX,
            ..Settlement::ZERO
        };
        assert_eq!(one.checked_add(one).unwrap_err().invalid_field(), Some("amount"));
        assert_eq!(one.checked_add(Settlement::ZERO).unwrap(), one);
    }
}
