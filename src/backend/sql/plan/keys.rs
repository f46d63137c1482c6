//! Unique keys that a batch takes and gives up.

use super::Plan;
use super::signed;
use crate::spi::store::Idempotency;
use crate::spi::store::WriteSet;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A unique key that the batch takes.
#[derive(Debug)]
struct Taken {
    owner: Uuid,
    /// Of an idempotency key, which is taken once only.
    fingerprint: Option<String>,
    /// Who gives the key up in the same batch.
    from: Option<Uuid>,
}

impl Plan {
    pub(super) fn claims(&mut self, sets: &[&WriteSet]) {
        let released: BTreeMap<(&str, String), Uuid> = sets
            .iter()
            .flat_map(|set| set.all_releases())
            .map(|(key, owner)| ((key.space, key.key), owner))
            .collect();
        for ((space, key), owner) in &released {
            let mut row = self.payload.list("release_claims").row();
            row.text(space);
            row.text(key);
            row.id(*owner);
        }
        let mut taken: BTreeMap<(String, String), Taken> = BTreeMap::new();
        for set in sets {
            for claim in set.all_claims() {
                let from = released.get(&(claim.key.space, claim.key.key.clone())).copied();
                let claimed = Taken {
                    owner: claim.owner,
                    fingerprint: None,
                    from,
                };
                taken.insert((claim.key.space.to_owned(), claim.key.key), claimed);
            }
            if let Some(key) = &set.idempotency {
                let place = (Idempotency::space(&key.scope), key.key.as_str().to_owned());
                let claimed = Taken {
                    owner: key.owner,
                    fingerprint: Some(hex(&key.fingerprint)),
                    from: None,
                };
                taken.insert(place, claimed);
            }
        }
        for (
            n,
            (
                (space, key),
                Taken {
                    owner,
                    fingerprint,
                    from,
                },
            ),
        ) in taken.into_iter().enumerate()
        {
            let mut row = self.payload.list("claims").row();
            row.int(signed(n));
            row.text(&space);
            row.text(&key);
            row.id(owner);
            row.opt_text(fingerprint.as_deref());
            row.int(i64::from(fingerprint.is_some()));
            row.opt_id(from);
            drop(row);
            self.claims.insert((space, key), n);
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
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
