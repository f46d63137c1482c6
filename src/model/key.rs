//! Names that people and other systems give: checked once, where they come in.

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// Declares a string type whose values all passed its check; clones share the text.
macro_rules! key {
    ($(#[$meta:meta])* $name:ident, $field:literal, $most:literal, $rule:literal, $allowed:expr) => {
        $(#[$meta])*
        #[doc = concat!("\n- 1 to ", $most, " characters: ", $rule, ".")]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            #[doc = concat!("`InvalidInput` naming the field `", $field, "`.")]
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                let allowed: fn(char) -> bool = $allowed;
                let length = text.chars().count();
                if length == 0 || length > $most || !text.chars().all(allowed) {
                    return Err(Error::invalid($field, concat!("must be 1 to ", $most, " of ", $rule)));
                }
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        crate::model::key::text_traits!($name);
    };
}

/// What every checked string type implements, given `new` and `as_str`.
macro_rules! text_traits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        /// Lets a parameter that takes anything convertible take a reference as well.
        impl From<&$name> for $name {
            fn from(value: &$name) -> Self {
                value.clone()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }
    };
}

pub(crate) use text_traits;

key!(
    /// Names what can be bought and counted: one variant of a product.
    ///
    /// ```
    /// use stockroom::Sku;
    ///
    /// assert_eq!(Sku::new("MUG-BLUE")?.as_str(), "MUG-BLUE");
    /// assert!(Sku::new("blue mug").is_err());
    /// # Ok::<(), stockroom::Error>(())
    /// ```
    Sku,
    "sku",
    64,
    "ASCII letters, digits and . _ - /",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
);
key!(
    /// Names a place that keeps stock, such as a warehouse.
    LocationId,
    "location",
    64,
    "ASCII letters, digits and . _ - /",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
);
key!(
    /// Names something in an address of the shop's pages.
    Slug,
    "slug",
    128,
    "lower-case ASCII letters, digits and -",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
key!(
    /// Names one intent of a caller, so that repeating the call does not repeat the deed.
    IdempotencyKey,
    "idempotency_key",
    255,
    "printable ASCII characters",
    |c| c.is_ascii_graphic() || c == ' '
);
key!(
    /// Names a payment provider.
    Provider,
    "provider",
    32,
    "lower-case ASCII letters, digits and _ -",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
);
key!(
    /// What a payment provider calls a payment, or an event.
    Reference,
    "reference",
    255,
    "characters that are not control characters",
    |c| !c.is_control()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_outside_the_alphabet_or_the_length_are_refused() {
        for bad in ["", "a b", "a\0", "ä", "a:b", "a\n", &"x".repeat(65)] {
            assert_eq!(Sku::new(bad).unwrap_err().invalid_field(), Some("sku"), "{bad:?}");
        }
        assert!(Sku::new("x".repeat(64)).is_ok());
        assert!(Sku::new("A.b_c-1/2").is_ok());
    }

    #[test]
    fn slugs_are_lower_case() {
        for bad in ["", "Mug", "mug blue", "mug\0", "mug_1", &"x".repeat(129)] {
            assert_eq!(
                Slug::new(bad).unwrap_err().invalid_field(),
                Some("slug"),
                "{bad:?}"
            );
        }
        assert!(Slug::new("mug-1").is_ok());
    }

    #[test]
    fn nul_is_refused_in_every_key() {
        assert!(LocationId::new("a\0").is_err());
        assert!(IdempotencyKey::new("a\0").is_err());
        assert!(Provider::new("a\0").is_err());
        assert!(Reference::new("a\0").is_err());
    }

    #[test]
    fn references_may_have_any_script_and_no_control_characters() {
        assert!(Reference::new("Zahlung ä").is_ok());
        assert!(Reference::new("a\u{7f}").is_err());
    }

    #[test]
    fn deserializing_checks_too() {
        assert_eq!(serde_json::from_str::<Sku>("\"MUG\"").unwrap().as_str(), "MUG");
        assert!(serde_json::from_str::<Sku>("\"a b\"").is_err());
    }

    #[test]
    fn a_parameter_takes_strings_keys_and_references() {
        fn take(sku: impl TryInto<Sku, Error: Into<Error>>) -> Result<Sku> {
            sku.try_into().map_err(Into::into)
        }
        let sku = take("MUG").unwrap();
        assert_eq!(take(&sku).unwrap(), sku);
        assert_eq!(take(sku.clone()).unwrap(), sku);
        assert_eq!(take(String::from("MUG")).unwrap(), sku);
    }
}
