//! Items as the service knows them, with typed ways in and out of their attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::from_micros;
use crate::model::micros;

/// Attributes by name.
pub(super) type Map = HashMap<String, AttributeValue>;

/// Sets attributes; what is absent is left out, for the service takes no NULL in an index.
pub(super) trait Write {
    fn put(&mut self, name: &str, value: AttributeValue);

    fn text(&mut self, name: &str, text: impl Into<String>) {
        self.put(name, AttributeValue::S(text.into()));
    }

    fn int(&mut self, name: &str, number: i64) {
        self.put(name, AttributeValue::N(number.to_string()));
    }

    fn time(&mut self, name: &str, at: Timestamp) {
        self.int(name, micros(at));
    }

    fn id(&mut self, name: &str, id: Uuid) {
        self.text(name, id.to_string());
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.put(name, AttributeValue::B(Blob::new(bytes)));
    }

    fn opt_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn opt_id(&mut self, name: &str, id: Option<Uuid>) {
        if let Some(id) = id {
            self.id(name, id);
        }
    }
}

impl Write for Map {
    fn put(&mut self, name: &str, value: AttributeValue) {
        self.insert(name.to_owned(), value);
    }
}

/// Gets attributes; what cannot be read is `Corrupt`.
pub(super) trait Read {
    fn value(&self, name: &str) -> Option<&AttributeValue>;

    fn get_text(&self, name: &'static str) -> Result<&str> {
        self.opt_get_text(name)?.ok_or_else(|| missing(name))
    }

    fn opt_get_text(&self, name: &'static str) -> Result<Option<&str>> {
        match self.value(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(missing(name)),
        }
    }

    fn get_int(&self, name: &'static str) -> Result<i64> {
        self.opt_get_int(name)?.ok_or_else(|| missing(name))
    }

    fn opt_get_int(&self, name: &'static str) -> Result<Option<i64>> {
        match self.value(name) {
            None => Ok(None),
            Some(AttributeValue::N(number)) => number.parse().map(Some).map_err(|_| missing(name)),
            Some(_) => Err(missing(name)),
        }
    }

    fn get_time(&self, name: &'static str) -> Result<Timestamp> {
        from_micros(self.get_int(name)?)
    }

    fn get_id(&self, name: &'static str) -> Result<Uuid> {
        self.opt_get_id(name)?.ok_or_else(|| missing(name))
    }

    fn opt_get_id(&self, name: &'static str) -> Result<Option<Uuid>> {
        let text = self.opt_get_text(name)?;
        text.map(|text| Uuid::parse_str(text).map_err(|_| missing(name)))
            .transpose()
    }

    fn opt_get_bytes(&self, name: &'static str) -> Result<Option<&[u8]>> {
        match self.value(name) {
            None => Ok(None),
            Some(AttributeValue::B(bytes)) => Ok(Some(bytes.as_ref())),
            Some(_) => Err(missing(name)),
        }
    }

    /// The entries of a list; none where there is no list.
    fn get_list(&self, name: &'static str) -> Result<&[AttributeValue]> {
        match self.value(name) {
            None => Ok(&[]),
            Some(AttributeValue::L(entries)) => Ok(entries),
            Some(_) => Err(missing(name)),
        }
    }
}

impl Read for Map {
    fn value(&self, name: &str) -> Option<&AttributeValue> {
        self.get(name)
    }
}

/// The attributes of an entry of a list.
pub(super) fn entry(value: &AttributeValue) -> Result<&Map> {
    value.as_m().map_err(|_| missing("entry"))
}

pub(super) fn missing(name: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, "an attribute is absent or of another type").field(name)
}

/// Bytes of an item as the service counts them, or a little more.
///
/// Names and texts count as UTF-8; a number counts one byte for two digits and one more; a list or map three bytes and one
/// for each entry (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
pub(super) fn size(item: &Map) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(entries) => 3 + entries.iter().map(|entry| 1 + value_size(entry)).sum::<usize>(),
        AttributeValue::M(entries) => 3 + entries.len() + size(entries),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_told_from_what_is_wrong() {
        let mut item = Map::new();
        item.text("a", "x");
        item.opt_text("b", None);
        assert_eq!(item.opt_get_text("b").unwrap(), None);
        assert_eq!(item.get_int("b").unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(item.opt_get_int("a").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        let mut item = Map::new();
        for number in [i64::MIN, -1, 0, i64::MAX] {
            item.int("n", number);
            assert_eq!(item.get_int("n").unwrap(), number);
        }
    }

    #[test]
    fn sizes_count_names_and_values() {
        let mut item = Map::new();
        item.text("name", "größe");
        assert_eq!(size(&item), 4 + 7);
    }
}
