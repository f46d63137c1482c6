//! Pages of long lists, each asked for by the place where the last one ended.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The most items of one page.
const MAX_LIMIT: u32 = 200;
/// The longest cursor that is looked at: the place of a title of 200 characters fits several times.
const MAX_CURSOR: usize = 8 * 1024;
/// How many bytes the digest of a query has, and how many of the checksum are kept.
const DIGEST_BYTES: usize = 8;

/// Which page of a list is wanted.
///
/// ```
/// use stockroom::PageRequest;
///
/// assert_eq!(PageRequest::default().limit(), 50);
/// assert!(PageRequest::new(201).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    pub(crate) limit: u32,
    pub(crate) after: Option<Cursor>,
}

impl PageRequest {
    /// The first page, of at most so many items: 1 to 200.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `limit`.
    pub fn new(limit: u32) -> Result<Self> {
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(Self { limit, after: None });
        }
        Err(Error::invalid(
            "limit",
            format!("must be 1 to {MAX_LIMIT}, is {limit}"),
        ))
    }

    /// The page after this place.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// The most items that the page may have.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The place after which the page starts; the first page has none.
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// The place after which the page starts, for this query.
    ///
    /// # Errors
    /// `InvalidInput`, field `after`, when the cursor is not one of this query.
    pub fn position(&self, query: [u8; DIGEST_BYTES]) -> Result<Option<Vec<CursorValue>>> {
        self.after.as_ref().map(|cursor| cursor.decode(query)).transpose()
    }

    /// How many rows a store reads for the page: one more than it may have, to see whether another follows.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

impl Default for PageRequest {
    /// The first 50.
    fn default() -> Self {
        Self {
            limit: 50,
            after: None,
        }
    }
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one starts; `None` on the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The only page, empty.
    pub const fn empty() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }

    /// The page of rows that were read with one to spare; `cursor` makes the place of the last that stays.
    pub fn cut(mut items: Vec<T>, request: &PageRequest, cursor: impl FnOnce(&T) -> Cursor) -> Self {
        // `usize` has at least 32 bits wherever this crate builds.
        let limit = request.limit as usize;
        if items.len() <= limit {
            return Self { items, next: None };
        }
        items.truncate(limit);
        let next = items.last().map(cursor);
        Self { items, next }
    }

    /// The same page of something made of its items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

/// One sort key of a place in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CursorValue {
    /// A number, or a time in microseconds.
    Int(i64),
    /// A text, or an id.
    Text(String),
}

/// A place in a list, as an opaque text for links and answers.
///
/// - It is bound to the query that it came from; another query refuses it.
/// - Its checksum finds mistakes and is no secret: what a cursor says is only ever compared with, never trusted.
///
/// ```
/// use stockroom::{Cursor, CursorValue};
///
/// let place = [CursorValue::Int(7)];
/// let cursor = Cursor::encode([1; 8], &place);
/// assert_eq!(cursor.decode([1; 8])?, place);
/// assert!(cursor.decode([2; 8]).is_err());
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// Tells a list and what was asked of it from any other.
    pub(crate) fn digest(list: &str) -> [u8; DIGEST_BYTES] {
        let mut short = [0; DIGEST_BYTES];
        let full = Sha256::digest(list);
        short.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        short
    }

    /// The cursor of a place in the list of a query.
    pub fn encode(query: [u8; DIGEST_BYTES], position: &[CursorValue]) -> Self {
        let values = position.iter().map(|value| match value {
            CursorValue::Int(number) => Value::from(*number),
            CursorValue::Text(text) => Value::from(text.as_str()),
        });
        let json = Value::Array(values.collect()).to_string();
        let mut bytes = query.to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.extend_from_slice(&checksum(&bytes));
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The place, if the cursor came from this query.
    ///
    /// # Errors
    /// `InvalidInput`, field `after`, when it was damaged or came from another query.
    pub fn decode(&self, query: [u8; DIGEST_BYTES]) -> Result<Vec<CursorValue>> {
        let bytes = from_hex(&self.0).ok_or_else(damaged)?;
        let (body, sum) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or_else(damaged)?;
        let (origin, json) = body.split_first_chunk::<DIGEST_BYTES>().ok_or_else(damaged)?;
        if checksum(body) != *sum {
            return Err(damaged());
        }
        if *origin != query {
            return Err(Error::invalid("after", "is the cursor of another query"));
        }
        let values: Vec<Value> = serde_json::from_slice(json).map_err(|_| damaged())?;
        values.into_iter().map(position_value).collect()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn damaged() -> Error {
    Error::invalid("after", "is not a cursor of this list")
}

fn position_value(value: Value) -> Result<CursorValue> {
    match value {
        Value::String(text) => Ok(CursorValue::Text(text)),
        other => other.as_i64().map(CursorValue::Int).ok_or_else(damaged),
    }
}

fn checksum(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut sum = [0; DIGEST_BYTES];
    let digest = Sha256::new()
        .chain_update("cursor")
        .chain_update(bytes)
        .finalize();
    sum.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    sum
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}

impl FromStr for Cursor {
    type Err = Error;

    /// # Errors
    /// `InvalidInput`, field `after`, when it cannot be a cursor.
    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_CURSOR || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(damaged());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({})", self.0)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: [u8; 8] = *b"products";

    fn place() -> Vec<CursorValue> {
        vec![
            CursorValue::Int(i64::MIN),
            CursorValue::Text("Große \"Mug\" 杯".into()),
            CursorValue::Int(i64::MAX),
        ]
    }

    #[test]
    fn a_cursor_brings_its_place_back() {
        let cursor = Cursor::encode(QUERY, &place());
        assert_eq!(
            cursor
                .to_string()
                .parse::<Cursor>()
                .unwrap()
                .decode(QUERY)
                .unwrap(),
            place()
        );
        let json = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
    }

    #[test]
    fn another_query_refuses_it() {
        let error = Cursor::encode(QUERY, &place()).decode(*b"orders..").unwrap_err();
        assert_eq!(error.invalid_field(), Some("after"));
    }

    #[test]
    fn every_changed_digit_is_found() {
        let text = Cursor::encode(QUERY, &place()).to_string();
        for index in 0..text.len() {
            let other = if &text[index..=index] == "0" { "1" } else { "0" };
            let mut changed = text.clone();
            changed.replace_range(index..=index, other);
            let error = changed.parse::<Cursor>().unwrap().decode(QUERY).unwrap_err();
            assert_eq!(error.invalid_field(), Some("after"));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for bad in [
            "",
            "0",
            "00",
            &"00".repeat(16),
            "xyz",
            "00\0",
            &"0".repeat(MAX_CURSOR + 1),
        ] {
            let result = bad.parse::<Cursor>().and_then(|cursor| cursor.decode(QUERY));
            assert_eq!(result.unwrap_err().invalid_field(), Some("after"), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        for bad in [0, 201, u32::MAX] {
            assert_eq!(PageRequest::new(bad).unwrap_err().invalid_field(), Some("limit"));
        }
        assert_eq!(PageRequest::new(200).unwrap().limit(), 200);
    }

    #[test]
    fn a_page_ends_before_the_spare_row() {
        let request = PageRequest::new(2).unwrap();
        let cursor = |item: &i64| Cursor::encode(QUERY, &[CursorValue::Int(*item)]);
        let page = Page::cut(vec![1, 2, 3], &request, cursor);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(
            request.clone().after(page.next.unwrap()).position(QUERY).unwrap(),
            Some(vec![CursorValue::Int(2)])
        );
        assert_eq!(Page::cut(vec![1, 2], &request, cursor).next, None);
    }
}
