//! What tells one variant from another, or what a customer chose for a line.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::text::check_line;
use crate::{Error, Result};

/// How many options one thing may have.
const MAX_OPTIONS: usize = 32;

/// Names and values such as size L, colour blue; sorted by name, each name once.
///
/// - At most 32; names have 1 to 64 characters, values 0 to 255, all on one line.
///
/// ```
/// use stockroom::Options;
///
/// let options = Options::new().with("size", "L")?.with("colour", "blue")?;
/// assert_eq!(options.get("size"), Some("L"));
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// No options.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The same with this one, which replaces one of the same name.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `options`.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Result<Self> {
        self.0.insert(name.into(), value.into());
        Self::try_from(self.0)
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, String>> for Options {
    type Error = Error;

    fn try_from(options: BTreeMap<String, String>) -> Result<Self> {
        if options.len() > MAX_OPTIONS {
            return Err(Error::invalid(
                "options",
                format!("must be at most {MAX_OPTIONS}"),
            ));
        }
        for (name, value) in &options {
            check_line("options", name, 1..=64)?;
            check_line("options", value, 0..=255)?;
        }
        Ok(Self(options))
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(BTreeMap::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_bounded_and_without_nul() {
        assert_eq!(
            Options::new().with("a\0", "b").unwrap_err().invalid_field(),
            Some("options")
        );
        assert!(Options::new().with("a", "b\0").is_err());
        assert!(Options::new().with("", "b").is_err());
        let many: BTreeMap<_, _> = (0..33).map(|n| (n.to_string(), String::new())).collect();
        assert!(Options::try_from(many).is_err());
    }

    #[test]
    fn options_survive_json_and_are_checked_there() {
        let options = Options::new().with("size", "L").unwrap();
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(json, r#"{"size":"L"}"#);
        assert_eq!(serde_json::from_str::<Options>(&json).unwrap(), options);
        assert!(serde_json::from_str::<Options>(r#"{"":"L"}"#).is_err());
    }
}
