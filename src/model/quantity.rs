//! How many of something.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// How many of something: 1 to 1,000,000.
///
/// ```
/// use stockroom::Quantity;
///
/// assert_eq!(Quantity::new(3)?.get(), 3);
/// assert!(Quantity::new(0).is_err());
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize)]
#[serde(transparent)]
pub struct Quantity(u32);

impl Quantity {
    /// One.
    pub const ONE: Self = Self(1);
    /// The greatest quantity.
    pub const MAX: Self = Self(1_000_000);

    /// Checks the number.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `quantity`.
    pub fn new(number: i64) -> Result<Self> {
        match u32::try_from(number) {
            Ok(number) if (1..=Self::MAX.0).contains(&number) => Ok(Self(number)),
            _ => Err(Error::invalid(
                "quantity",
                format!("must be 1 to {}, is {number}", Self::MAX),
            )),
        }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        // Not `from`, which is not const; widening cannot lose anything.
        self.0 as i64
    }

    /// Both together.
    ///
    /// # Errors
    /// `InvalidInput` when that is past the greatest quantity.
    pub fn checked_add(self, other: Self) -> Result<Self> {
        Self::new(self.get() + other.get())
    }
}

impl TryFrom<i64> for Quantity {
    type Error = Error;

    fn try_from(number: i64) -> Result<Self> {
        Self::new(number)
    }
}

impl TryFrom<i32> for Quantity {
    type Error = Error;

    fn try_from(number: i32) -> Result<Self> {
        Self::new(i64::from(number))
    }
}

impl TryFrom<u32> for Quantity {
    type Error = Error;

    fn try_from(number: u32) -> Result<Self> {
        Self::new(i64::from(number))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_outside_the_bounds_are_refused() {
        for bad in [0, -1, 1_000_001, i64::MAX, i64::MIN] {
            assert_eq!(
                Quantity::new(bad).unwrap_err().invalid_field(),
                Some("quantity"),
                "{bad}"
            );
        }
        assert_eq!(Quantity::new(1).unwrap(), Quantity::ONE);
        assert_eq!(Quantity::new(1_000_000).unwrap(), Quantity::MAX);
    }

    #[test]
    fn adding_past_the_bound_is_refused() {
        assert!(Quantity::MAX.checked_add(Quantity::ONE).is_err());
        assert_eq!(Quantity::ONE.checked_add(Quantity::ONE).unwrap().get(), 2);
    }

    #[test]
    fn literals_convert() {
        fn take(quantity: impl TryInto<Quantity, Error: Into<Error>>) -> Result<Quantity> {
            quantity.try_into().map_err(Into::into)
        }
        assert_eq!(take(2).unwrap(), take(2_u32).unwrap());
        assert!(take(-2).is_err());
        assert!(serde_json::from_str::<Quantity>("0").is_err());
    }
}
