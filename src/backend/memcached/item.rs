//! How an entry is kept in an item: a short header, the payload, and the version in the item's flags.

use std::time::Duration;

use async_memcached::MetaValue;
use bytes::Bytes;

use crate::model::Version;
use crate::spi::cache::Entry;

/// Version and the seconds that the item lives on as stale, the greatest byte first.
const HEADER: usize = 8 + 4;

/// Longer times would be taken for a date (doc/protocol.txt, "Expiration times").
const LONGEST: u64 = 30 * 24 * 60 * 60;

/// Whole seconds, never fewer than asked, at least one.
pub(super) fn seconds(length: Duration) -> u64 {
    let rounded = length
        .as_secs()
        .saturating_add(u64::from(length.subsec_nanos() > 0));
    rounded.clamp(1, LONGEST)
}

/// How long a tag is kept, as the protocol says it: one that ends makes what is kept under it out of date, once a day.
pub(super) fn keep_tag() -> String {
    format!("T{}", 24 * 60 * 60)
}

/// The bytes of an item.
pub(super) fn packed(version: Version, stale_for: Duration, payload: &[u8]) -> Vec<u8> {
    let stale = if stale_for.is_zero() {
        0
    } else {
        seconds(stale_for)
    };
    let mut item = Vec::with_capacity(HEADER + payload.len());
    item.extend(version.get().to_be_bytes());
    item.extend(u32::try_from(stale).unwrap_or(u32::MAX).to_be_bytes());
    item.extend(payload);
    item
}

/// The version as flags can hold it; 0 for one that they cannot, which is older than any.
pub(super) fn flags(version: Version) -> u32 {
    u32::try_from(version.get()).unwrap_or(0)
}

/// The value of an item that is neither stale nor a stub.
pub(super) fn fresh(item: &MetaValue) -> Option<Entry> {
    if item.is_stale == Some(true) {
        return None;
    }
    let data = item.data.as_deref().filter(|data| data.len() >= HEADER)?;
    let left = u64::try_from(item.ttl_remaining?).ok()?;
    let fresh_for = left
        .checked_sub(u64::from(stale_seconds(data)?))
        .filter(|left| *left > 0)?;
    Some(Entry {
        version: Version::from(u64::from_be_bytes(data.get(..8)?.try_into().ok()?)),
        fresh_for: Duration::from_secs(fresh_for),
        payload: Bytes::copy_from_slice(data.get(HEADER..)?),
    })
}

/// The payload of an item that is no longer fresh.
pub(super) fn stale(item: &MetaValue) -> Option<Bytes> {
    let payload = item.data.as_deref()?.get(HEADER..)?;
    Some(Bytes::copy_from_slice(payload))
}

fn stale_seconds(data: &[u8]) -> Option<u32> {
    data.get(8..HEADER)?.try_into().map(u32::from_be_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(data: Vec<u8>, left: i64) -> MetaValue {
        MetaValue {
            data: Some(data),
            ttl_remaining: Some(left),
            ..MetaValue::default()
        }
    }

    #[test]
    fn a_value_is_fresh_until_only_its_stale_time_is_left() {
        let data = packed(Version::from(9), Duration::from_secs(10), b"x");
        let entry = fresh(&item(data.clone(), 11)).unwrap();
        assert_eq!(
            (entry.version.get(), entry.payload.as_ref()),
            (9, b"x".as_slice())
        );
        assert_eq!(entry.fresh_for, Duration::from_secs(1));
        assert_eq!(fresh(&item(data.clone(), 10)), None);
        assert_eq!(stale(&item(data, 10)).as_deref(), Some(b"x".as_slice()));
    }

    #[test]
    fn foreign_items_are_no_values() {
        for data in [Vec::new(), vec![0; HEADER - 1]] {
            assert_eq!(fresh(&item(data.clone(), 100)), None);
            assert_eq!(stale(&item(data, 100)), None);
        }
    }

    #[test]
    fn seconds_are_rounded_up_and_bounded() {
        let lengths = [
            Duration::ZERO,
            Duration::from_millis(1),
            Duration::from_millis(1_001),
            Duration::MAX,
        ];
        assert_eq!(lengths.map(seconds), [1, 1, 2, LONGEST]);
    }
}
