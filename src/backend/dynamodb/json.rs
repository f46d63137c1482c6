//! JSON as native attributes, so that a shop's own attributes can be looked into by whoever reads the tables, and every
//! value comes back exactly as it was.
//!
//! - The service has one kind of number: a fraction that would come back as a whole number (`1.0`) is kept as the bytes of its
//!   text. JSON has no bytes, so nothing else is.
//! - The service takes no empty name inside a map: an empty name, and one that begins with U+0001, gets a U+0001 in front.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use super::item::missing;
use crate::error::Result;

const ESCAPE: char = '\u{1}';

/// Anything that can be JSON, as an attribute.
pub(super) fn attribute(value: &impl Serialize) -> AttributeValue {
    // What is kept so has text keys and finite numbers, which always become JSON.
    to_attribute(&serde_json::to_value(value).unwrap_or_default())
}

/// Reads what [`attribute`] wrote.
pub(super) fn document<T: DeserializeOwned>(name: &'static str, value: Option<&AttributeValue>) -> Result<T> {
    let value = value.and_then(from_attribute).ok_or_else(|| missing(name))?;
    serde_json::from_value(value).map_err(|error| missing(name).caused_by(error))
}

fn to_attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(*flag),
        Value::Number(number) => number_attribute(number),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(to_attribute).collect()),
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(name, value)| (escaped(name), to_attribute(value)));
            AttributeValue::M(entries.collect::<HashMap<_, _>>())
        }
    }
}

fn number_attribute(number: &Number) -> AttributeValue {
    let text = number.to_string();
    // The service drops trailing zeros and exponents: what it gives back must be read as the same number.
    let comes_back = !number.is_f64()
        || number
            .as_f64()
            .is_some_and(|float| float.fract() != 0.0 && is_moderate(float));
    if comes_back {
        AttributeValue::N(text)
    } else {
        AttributeValue::B(Blob::new(text))
    }
}

/// Far inside the service's range of 1E-130 to 1E+125, and of few enough digits for its 38.
fn is_moderate(float: f64) -> bool {
    (1e-20..1e15).contains(&float.abs())
}

fn from_attribute(value: &AttributeValue) -> Option<Value> {
    Some(match value {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::N(digits) => Value::Number(number(digits)?),
        AttributeValue::B(text) => Value::Number(serde_json::from_slice(text.as_ref()).ok()?),
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::L(values) => Value::Array(values.iter().map(from_attribute).collect::<Option<_>>()?),
        AttributeValue::M(entries) => {
            let entries = entries
                .iter()
                .map(|(name, value)| Some((unescaped(name), from_attribute(value)?)));
            Value::Object(entries.collect::<Option<Map<_, _>>>()?)
        }
        _ => return None,
    })
}

fn number(digits: &str) -> Option<Number> {
    let whole = digits.parse::<i64>().map(Number::from);
    let whole = whole.or_else(|_| digits.parse::<u64>().map(Number::from));
    whole
        .ok()
        .or_else(|| Number::from_f64(digits.parse::<f64>().ok()?))
}

fn escaped(name: &str) -> String {
    if name.is_empty() || name.starts_with(ESCAPE) {
        format!("{ESCAPE}{name}")
    } else {
        name.to_owned()
    }
}

fn unescaped(name: &str) -> String {
    name.strip_prefix(ESCAPE).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_comes_back_as_it_was() {
        let value = json!({
            "": "empty", "\u{1}": 1, "a\u{1}": 2,
            "numbers": [0, -1, i64::MIN, i64::MAX, u64::MAX, 0.1, 1.0, -0.0, -1.5e-9, 1e21, 1e300, 5e-324, f64::MAX],
            "deep": {"a": [{}, [], "", null, true, false]},
        });
        assert_eq!(from_attribute(&to_attribute(&value)), Some(value));
    }

    #[test]
    fn what_can_be_a_number_is_one() {
        for value in [json!(7), json!(-1.25), json!(u64::MAX)] {
            assert!(to_attribute(&value).is_n(), "{value}");
        }
        assert!(to_attribute(&json!(2.0)).is_b());
    }
}
