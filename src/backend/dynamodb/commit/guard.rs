//! What is demanded of an item before it is written.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::trial::OWNER;
use crate::backend::dynamodb::item::Map;

/// The condition under which an item is written.
pub(super) struct Guard {
    pub(super) text: Option<&'static str>,
    value: Option<AttributeValue>,
}

impl Guard {
    /// Written whatever is there.
    pub(super) const NONE: Self = Self {
        text: None,
        value: None,
    };
    pub(super) const ABSENT: Self = Self::text("attribute_not_exists(pk)");
    pub(super) const PRESENT: Self = Self::text("attribute_exists(pk)");

    const fn text(text: &'static str) -> Self {
        Self {
            text: Some(text),
            value: None,
        }
    }

    pub(super) fn was(text: &'static str, value: AttributeValue) -> Self {
        Self {
            text: Some(text),
            value: Some(value),
        }
    }

    pub(super) fn version(stored: i64) -> Self {
        match stored {
            0 => Self::text("attribute_not_exists(v)"),
            stored => Self::was("v = :was", AttributeValue::N(stored.to_string())),
        }
    }

    /// `owner` is a word of the service's own.
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        self.text.filter(|text| text.contains("#owner"))?;
        Some(HashMap::from([("#owner".to_owned(), OWNER.to_owned())]))
    }

    pub(super) fn values(&self) -> Option<Map> {
        let value = self.value.clone()?;
        Some(Map::from([(":was".to_owned(), value)]))
    }
}
