//! A digest of a request: the same idempotency key with another request is refused.

use std::fmt::Display;

use sha2::Digest;
use sha2::Sha256;

use super::terms::Terms;
use crate::model::Address;

/// Takes the parts of a request, each behind its length, so that no two requests run together.
#[derive(Debug)]
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(super) fn new(operation: &str) -> Self {
        Self(Sha256::new()).with(operation)
    }

    pub(super) fn with(mut self, part: impl Display) -> Self {
        let part = part.to_string();
        // A length is the same on every machine: fingerprints are compared across processes.
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// A part that may be absent, which differs from an empty one.
    pub(super) fn with_option(self, part: Option<impl Display>) -> Self {
        match part {
            Some(part) => self.with(1).with(part),
            None => self.with(0),
        }
    }

    pub(super) fn with_terms(self, terms: &Terms) -> Self {
        self.with_option(terms.customer)
            .with_option(terms.email.as_deref())
            .with_address(terms.ship_to.as_ref())
            .with_address(terms.bill_to.as_ref())
    }

    fn with_address(self, address: Option<&Address>) -> Self {
        let Some(address) = address else {
            return self.with(0);
        };
        self.with(1)
            .with(address.name())
            .with(address.line1())
            .with_option(address.line2())
            .with(address.city())
            .with_option(address.region())
            .with(address.postal_code())
            .with(address.country())
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let one = Fingerprint::new("place").with("ab").with("c").finish();
        assert_eq!(one, Fingerprint::new("place").with("ab").with("c").finish());
        assert_ne!(one, Fingerprint::new("place").with("a").with("bc").finish());
        assert_ne!(one, Fingerprint::new("pay").with("ab").with("c").finish());
    }

    #[test]
    fn an_absent_part_is_not_an_empty_one() {
        let absent = Fingerprint::new("place").with_option(None::<&str>).finish();
        assert_ne!(absent, Fingerprint::new("place").with_option(Some("")).finish());
    }
}
