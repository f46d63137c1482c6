//! Where something is sent, or who is billed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::check_line;
use crate::{Error, Result};

/// A postal address.
///
/// - It is personal data: `Debug` shows the country alone.
///
/// ```
/// use stockroom::Address;
///
/// let address = Address::new("Ada Lovelace", "12 St James's Square", "London", "SW1Y 4JH", "gb")?;
/// assert_eq!(address.country(), "GB");
/// assert!(!format!("{address:?}").contains("Ada"));
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Address {
    name: String,
    line1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    city: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    postal_code: String,
    country: String,
}

/// What is read before it is checked.
#[derive(Deserialize)]
struct Parts {
    name: String,
    line1: String,
    line2: Option<String>,
    city: String,
    region: Option<String>,
    postal_code: String,
    country: String,
}

impl Address {
    /// An address without a second line and a region.
    ///
    /// - The country is a code of two letters (ISO 3166-1), kept in capitals; whether it is assigned is not checked.
    /// - The postal code may be empty: not every country has them.
    ///
    /// # Errors
    /// `InvalidInput` naming the field; the message never repeats what was given.
    pub fn new(
        name: impl Into<String>,
        line1: impl Into<String>,
        city: impl Into<String>,
        postal_code: impl Into<String>,
        country: impl Into<String>,
    ) -> Result<Self> {
        let address = Self {
            name: name.into(),
            line1: line1.into(),
            line2: None,
            city: city.into(),
            region: None,
            postal_code: postal_code.into(),
            country: country.into().to_ascii_uppercase(),
        };
        address.checked()
    }

    /// The same with a second line.
    ///
    /// # Errors
    /// `InvalidInput`, field `line2`.
    pub fn with_line2(mut self, line2: impl Into<String>) -> Result<Self> {
        self.line2 = Some(line2.into());
        self.checked()
    }

    /// The same with a region: a state, a province, a prefecture.
    ///
    /// # Errors
    /// `InvalidInput`, field `region`.
    pub fn with_region(mut self, region: impl Into<String>) -> Result<Self> {
        self.region = Some(region.into());
        self.checked()
    }

    /// Who lives there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first line.
    pub fn line1(&self) -> &str {
        &self.line1
    }

    /// The second line.
    pub fn line2(&self) -> Option<&str> {
        self.line2.as_deref()
    }

    /// The city.
    pub fn city(&self) -> &str {
        &self.city
    }

    /// The region.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The postal code.
    pub fn postal_code(&self) -> &str {
        &self.postal_code
    }

    /// The country, two capital letters.
    pub fn country(&self) -> &str {
        &self.country
    }

    fn checked(self) -> Result<Self> {
        check_line("name", &self.name, 1..=200)?;
        check_line("line1", &self.line1, 1..=200)?;
        if let Some(line2) = &self.line2 {
            check_line("line2", line2, 1..=200)?;
        }
        check_line("city", &self.city, 1..=100)?;
        if let Some(region) = &self.region {
            check_line("region", region, 1..=100)?;
        }
        check_line("postal_code", &self.postal_code, 0..=20)?;
        if self.country.len() != 2 || !self.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Error::invalid(
                "country",
                "must be a code of two letters, such as DE",
            ));
        }
        Ok(self)
    }
}

impl TryFrom<Parts> for Address {
    type Error = Error;

    fn try_from(parts: Parts) -> Result<Self> {
        let address = Self {
            name: parts.name,
            line1: parts.line1,
            line2: parts.line2,
            city: parts.city,
            region: parts.region,
            postal_code: parts.postal_code,
            country: parts.country.to_ascii_uppercase(),
        };
        address.checked()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("country", &self.country)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Address {
        Address::new("Ada", "Square 12", "London", "SW1Y", "gb").unwrap()
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let address = ada()
            .with_line2("Flat 3")
            .unwrap()
            .with_region("Greater")
            .unwrap();
        let text = format!("{address:?}");
        for secret in ["Ada", "Square", "London", "SW1Y", "Flat", "Greater"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn addresses_survive_json_and_are_checked_there() {
        let address = ada().with_region("Greater").unwrap();
        let json = serde_json::to_string(&address).unwrap();
        assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
        assert!(serde_json::from_str::<Address>(&json.replace("GB", "GBR")).is_err());
    }

    #[test]
    fn wrong_fields_are_named_and_not_repeated() {
        let error = Address::new("Ada\0", "x", "y", "z", "GB").unwrap_err();
        assert_eq!(error.invalid_field(), Some("name"));
        assert!(!error.to_string().contains("Ada"));
        assert_eq!(
            Address::new("a", "x", "y", "z", "Ü").unwrap_err().invalid_field(),
            Some("country")
        );
        assert_eq!(ada().with_line2("").unwrap_err().invalid_field(), Some("line2"));
    }
}
