//! The commit's payload: lists of rows as JSON arrays, written straight into text.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::model::Expiry;
use crate::model::Timestamp;
use crate::model::micros;

/// A list of rows, `[[…],[…]]`.
#[derive(Debug, Default, Clone)]
pub(super) struct Rows {
    text: String,
    count: usize,
}

impl Rows {
    /// Starts a row; it is complete when the writer is dropped.
    pub(super) fn row(&mut self) -> RowWriter<'_> {
        self.text.push(if self.count == 0 { '[' } else { ',' });
        self.text.push('[');
        self.count += 1;
        RowWriter {
            text: &mut self.text,
            first: true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The list as JSON.
    pub(super) fn finish(mut self) -> String {
        self.text.push(']');
        self.text
    }
}

/// Writes the values of one row.
#[derive(Debug)]
pub(super) struct RowWriter<'a> {
    text: &'a mut String,
    first: bool,
}

impl Drop for RowWriter<'_> {
    fn drop(&mut self) {
        self.text.push(']');
    }
}

impl RowWriter<'_> {
    fn comma(&mut self) {
        if !self.first {
            self.text.push(',');
        }
        self.first = false;
    }

    pub(super) fn null(&mut self) {
        self.comma();
        self.text.push_str("null");
    }

    pub(super) fn int(&mut self, value: i64) {
        self.comma();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
    }

    pub(super) fn opt_int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.int(value),
            None => self.null(),
        }
    }

    pub(super) fn id(&mut self, value: Uuid) {
        self.comma();
        let mut buffer = Uuid::encode_buffer();
        self.text.push('"');
        self.text.push_str(value.hyphenated().encode_lower(&mut buffer));
        self.text.push('"');
    }

    pub(super) fn opt_id(&mut self, value: Option<Uuid>) {
        match value {
            Some(value) => self.id(value),
            None => self.null(),
        }
    }

    pub(super) fn text(&mut self, value: &str) {
        self.comma();
        quote(self.text, value);
    }

    pub(super) fn opt_text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// A document, as text inside the row.
    pub(super) fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        match serde_json::to_string(value) {
            Ok(text) => self.text(&text),
            Err(_) => self.null(),
        }
    }

    pub(super) fn time(&mut self, value: Timestamp) {
        self.int(micros(value));
    }

    /// A moment, or the distance from the store's clock as a negative number.
    pub(super) fn expiry(&mut self, value: Expiry) {
        match value {
            Expiry::At(at) => self.int(micros(at)),
            Expiry::In(distance) => self.distance(distance),
        }
    }

    /// The distance from the store's clock, at least one microsecond.
    pub(super) fn distance(&mut self, distance: std::time::Duration) {
        let micros = i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
        // Zero is not negative: a life that is over at once lasts a microsecond.
        self.int(-micros.clamp(1, MAX_DISTANCE));
    }
}

/// A century: far enough for any life time, and no sum with it overflows.
pub(super) const MAX_DISTANCE: i64 = 100 * 366 * 86_400 * 1_000_000;

fn quote(text: &mut String, value: &str) {
    text.push('"');
    let mut plain = 0;
    for (index, byte) in value.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        text.push_str(&value[plain..index]);
        plain = index + 1;
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            _ => {
                let _ = write!(text, "\\u{byte:04x}");
            }
        }
    }
    text.push_str(&value[plain..]);
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn rows_are_valid_json_whatever_the_text() {
        let mut rows = Rows::default();
        let text = "a \"quoted\\ line\"\n\u{1}\u{1F600} é";
        {
            let mut row = rows.row();
            row.text(text);
            row.int(-3);
            row.null();
        }
        rows.row().id(uuid::Uuid::nil());
        let value: serde_json::Value = serde_json::from_str(&rows.finish()).unwrap();
        assert_eq!(value[0][0], text);
        assert_eq!(value[0][1], -3);
        assert!(value[0][2].is_null());
        assert_eq!(value[1][0], "00000000-0000-0000-0000-000000000000");
    }
}
