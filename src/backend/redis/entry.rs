//! The header of an entry, as a plain `GET` gives it.

use std::time::Duration;

use bytes::Bytes;

use crate::model::Version;
use crate::spi::cache::Entry;

/// Kind, version, floor, soft expiry, end of the lease, token.
const HEADER: usize = 1 + 8 + 8 + 8 + 8 + 16;

/// The value of an entry that is fresh at this time of the server, in milliseconds; anything else is none.
pub(super) fn fresh(raw: &Bytes, now: u64) -> Option<Entry> {
    if raw.len() < HEADER || raw[0] != b'V' {
        return None;
    }
    let until = number(raw, 17)?;
    let left = until.checked_sub(now).filter(|left| *left > 0)?;
    Some(Entry {
        version: Version::from(number(raw, 1)?),
        fresh_for: Duration::from_millis(left),
        payload: raw.slice(HEADER..),
    })
}

/// Eight bytes at this place, the greatest first.
pub(super) fn number(raw: &[u8], at: usize) -> Option<u64> {
    let bytes = raw.get(at..at.checked_add(8)?)?;
    bytes.try_into().map(u64::from_be_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(kind: u8, version: u64, until: u64, payload: &[u8]) -> Bytes {
        let mut raw = vec![kind];
        for number in [version, 0, until, 0, 0, 0] {
            raw.extend(number.to_be_bytes());
        }
        raw.extend(payload);
        Bytes::from(raw)
    }

    #[test]
    fn only_a_fresh_value_is_given() {
        let entry = fresh(&raw(b'V', 7, 1_000, b"x"), 990).unwrap();
        assert_eq!(
            (entry.version.get(), entry.payload.as_ref()),
            (7, b"x".as_slice())
        );
        assert_eq!(entry.fresh_for, Duration::from_millis(10));
        assert_eq!(fresh(&raw(b'V', 7, 1_000, b"x"), 1_000), None);
        for kind in *b"LTP" {
            assert_eq!(fresh(&raw(kind, 7, 1_000, b"x"), 990), None);
        }
        assert_eq!(fresh(&raw(b'V', 7, 1_000, b"").slice(..48), 0), None);
        assert!(fresh(&raw(b'V', 7, 1_000, b""), 0).is_some());
    }
}
