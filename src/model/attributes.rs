//! What a shop wants to keep with a product beyond the fields that it has.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// How deep values may be nested, the object itself counted; a filter never needs more.
const MAX_DEPTH: usize = 8;
/// How long the object may be as JSON, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A JSON object of a shop's own making.
///
/// - At most 8 levels deep and 64 KiB long, without U+0000 in any key or text.
///
/// ```
/// use serde_json::json;
/// use stockroom::Attributes;
///
/// let attributes = Attributes::from_json(json!({ "colour": "blue" }))?;
/// assert_eq!(attributes.get("colour"), Some(&json!("blue")));
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the value.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `attributes`.
    pub fn from_json(value: Value) -> Result<Self> {
        check(&value, 1)?;
        let bytes = serde_json::to_vec(&value)
            .map_err(|source| Error::invalid("attributes", "are not JSON").caused_by(source))?
            .len();
        if bytes > MAX_BYTES {
            return Err(Error::invalid(
                "attributes",
                format!("must have at most {MAX_BYTES} bytes, have {bytes}"),
            ));
        }
        match value {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(Error::invalid("attributes", "must be a JSON object")),
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn check(value: &Value, depth: usize) -> Result<()> {
    match value {
        Value::Object(_) | Value::Array(_) if depth > MAX_DEPTH => Err(Error::invalid(
            "attributes",
            format!("must be at most {MAX_DEPTH} levels deep"),
        )),
        Value::Object(map) => map.iter().try_for_each(|(name, value)| {
            check_text(name)?;
            check(value, depth + 1)
        }),
        Value::Array(values) => values.iter().try_for_each(|value| check(value, depth + 1)),
        Value::String(text) => check_text(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn check_text(text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(
            "attributes",
            "must not contain the character U+0000",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn depth_is_bounded() {
        assert!(Attributes::from_json(nested(8)).is_ok());
        assert_eq!(
            Attributes::from_json(nested(9)).unwrap_err().invalid_field(),
            Some("attributes")
        );
        assert!(Attributes::from_json(json!({ "a": [[[[[[[[1]]]]]]]] })).is_err());
    }

    #[test]
    fn size_is_bounded() {
        assert!(Attributes::from_json(json!({ "a": "x".repeat(MAX_BYTES - 8) })).is_ok());
        assert!(Attributes::from_json(json!({ "a": "x".repeat(MAX_BYTES - 7) })).is_err());
    }

    #[test]
    fn nul_is_refused_in_names_and_texts() {
        assert!(Attributes::from_json(json!({ "a\0": 1 })).is_err());
        assert!(Attributes::from_json(json!({ "a": ["b\0"] })).is_err());
    }

    #[test]
    fn only_an_object_will_do() {
        assert!(Attributes::from_json(json!([1])).is_err());
        assert!(serde_json::from_str::<Attributes>("3").is_err());
    }

    #[test]
    fn attributes_survive_json() {
        let attributes = Attributes::from_json(json!({ "b": 1.5, "a": { "c": [true, null] } })).unwrap();
        let text = serde_json::to_string(&attributes).unwrap();
        assert_eq!(serde_json::from_str::<Attributes>(&text).unwrap(), attributes);
    }
}
