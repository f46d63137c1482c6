//! Unique keys that a batch takes and gives up.

use super::Plan;
use super::Prepared;
use super::numbered;
use super::prepared::Taken;
use super::signed;
use crate::backend::sql::program::List;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Plan {
    pub(super) fn claims(&mut self, sets: &[&Prepared]) {
        let released: BTreeMap<(&str, &str), (i32, Uuid)> = numbered(sets)
            .flat_map(|(set, one)| one.releases.iter().map(move |released| (set, released)))
            .map(|(set, (key, owner))| ((key.space, key.key.as_str()), (set, *owner)))
            .collect();
        for ((space, key), (set, owner)) in released {
            let mut row = self.payload.list(List::ReleaseClaims).row_of(set);
            row.text(space);
            row.text(key);
            row.id(owner);
        }
        // Two aggregates of one set may take one key for one owner: it is taken once.
        let taken: BTreeMap<(&str, &str), (i32, &Taken)> = numbered(sets)
            .flat_map(|(set, one)| one.taken.iter().map(move |taken| (set, taken)))
            .map(|(set, taken)| ((taken.space.as_str(), taken.key.as_str()), (set, taken)))
            .collect();
        for (n, ((space, key), (set, taken))) in taken.into_iter().enumerate() {
            let mut row = self.payload.list(List::Claims).row_of(set);
            row.int(signed(n));
            row.text(space);
            row.text(key);
            row.id(taken.owner);
            row.opt_text(taken.fingerprint.as_deref());
            row.int(i64::from(taken.fingerprint.is_some()));
            row.opt_id(taken.from);
            self.claims.insert((space.to_owned(), key.to_owned()), n);
        }
    }
}

/// The bytes that [`hex`] wrote; `None` for any other text.
pub(in crate::backend::sql) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

pub(in crate::backend::sql) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
