//! How often an aggregate has changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The version of an aggregate: 1 when it is created, one more with every change.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of what was just created.
    pub const FIRST: Self = Self(1);

    /// Below every version: no aggregate has it.
    pub const ZERO: Self = Self(0);

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as stores keep it.
    pub fn stored(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl From<u64> for Version {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// Reads a stored number.
impl TryFrom<i64> for Version {
    type Error = Error;

    /// # Errors
    /// `Corrupt` when it is negative.
    fn try_from(stored: i64) -> Result<Self> {
        u64::try_from(stored)
            .map(Self)
            .map_err(|_| Error::invalid("version", "is negative").corrupted())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_from_one() {
        assert_eq!(Version::FIRST.next(), Version::from(2));
        assert_eq!(Version::try_from(2_i64).unwrap().stored(), 2);
    }

    #[test]
    fn a_negative_stored_version_is_corrupt() {
        assert!(
            Version::try_from(-1_i64)
                .unwrap_err()
                .is(crate::ErrorKind::Corrupt)
        );
    }
}
