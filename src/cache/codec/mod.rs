//! Values as bytes: a short envelope and postcard. What is damaged, or was written by another version, is a miss.

mod cart;
pub(super) mod page;
mod product;

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::AggregateRoot;

/// The first byte of every envelope of this layout.
const LAYOUT: u8 = 0xC1;

/// Layout, flags, fingerprint, what loading took.
const HEADER: usize = 1 + 1 + 4 + 4;

/// The body is compressed.
const COMPRESSED: u8 = 1;
/// There is no such aggregate: the body is empty.
const ABSENT: u8 = 2;

/// Shorter bodies are not worth compressing.
const COMPRESS_FROM: usize = 1024;

/// A body that claims to be longer than this when decompressed is damaged, and nothing is allocated for it.
const LONGEST: usize = 64 * 1024 * 1024;

/// What may be kept in a cache.
///
/// Only this crate says of what: aggregates without password hashes and without addresses. Users, sessions, orders and
/// payments are never kept in one.
pub(crate) trait Cacheable: AggregateRoot + Eq {
    /// Names the shape of [`Stored`](Self::Stored): another text for another shape, so that a value of another version of
    /// the crate is a miss. A test compares it with the bytes.
    const SHAPE: &'static str;

    /// What is written: numbers and texts.
    type Stored: Serialize + DeserializeOwned;

    /// As it is written.
    fn to_stored(&self) -> Self::Stored;

    /// As it was, through the checks that every input passes.
    fn from_stored(stored: Self::Stored) -> Result<Self>;

    /// About how many bytes it takes in memory.
    fn weight(&self) -> usize;
}

/// A value that was read from an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded<T> {
    /// The aggregate, or that there is none.
    pub(crate) value: Option<T>,
    /// What loading took.
    pub(crate) cost: Duration,
}

/// The envelope of a value, or of its absence.
pub(crate) fn encode<T: Cacheable>(value: Option<&T>, cost: Duration) -> Result<Bytes> {
    let mut envelope = Vec::with_capacity(256);
    envelope.push(LAYOUT);
    envelope.push(if value.is_none() { ABSENT } else { 0 });
    envelope.extend(fingerprint(T::SHAPE).to_le_bytes());
    envelope.extend(u32::try_from(cost.as_micros()).unwrap_or(u32::MAX).to_le_bytes());
    let Some(value) = value else {
        return Ok(envelope.into());
    };
    let body = postcard::to_allocvec(&value.to_stored()).map_err(|source| {
        Error::new(ErrorKind::Internal, "a value could not be written for the cache").caused_by(source)
    })?;
    if body.len() >= COMPRESS_FROM {
        let packed = lz4_flex::block::compress_prepend_size(&body);
        if packed.len() < body.len() {
            envelope[1] |= COMPRESSED;
            envelope.extend(packed);
            return Ok(envelope.into());
        }
    }
    envelope.extend(body);
    Ok(envelope.into())
}

/// The value of an envelope; `None` for one that is damaged or of another version.
pub(crate) fn decode<T: Cacheable>(envelope: &[u8]) -> Option<Decoded<T>> {
    let (header, body) = envelope.split_at_checked(HEADER)?;
    if header[0] != LAYOUT || header[2..6] != fingerprint(T::SHAPE).to_le_bytes() {
        return None;
    }
    let cost = header[6..].try_into().map(u32::from_le_bytes).ok()?;
    let value = match header[1] {
        ABSENT if body.is_empty() => None,
        0 => Some(unpack(body)?),
        COMPRESSED => {
            let (length, _) = lz4_flex::block::uncompressed_size(body).ok()?;
            if length > LONGEST {
                return None;
            }
            Some(unpack(&lz4_flex::block::decompress_size_prepended(body).ok()?)?)
        }
        _ => return None,
    };
    Some(Decoded {
        value,
        cost: Duration::from_micros(u64::from(cost)),
    })
}

fn unpack<T: Cacheable>(body: &[u8]) -> Option<T> {
    let (stored, rest) = postcard::take_from_bytes::<T::Stored>(body).ok()?;
    if !rest.is_empty() {
        return None;
    }
    T::from_stored(stored).ok()
}

/// FNV-1a: the same on every machine, and needed only to tell shapes apart.
fn fingerprint(shape: &str) -> u32 {
    shape.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests;
