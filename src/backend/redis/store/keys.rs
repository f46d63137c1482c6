//! What the keys are called. All of them have one tag, so that a cluster keeps them in one slot: a commit may change any of them
//! together. docs/redis-carts.md lists them.

use uuid::Uuid;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::ClaimKey;
use crate::spi::store::Idempotency;

/// The longest prefix: it stands in every key.
const LONGEST_PREFIX: usize = 64;

/// The keys of the carts of one shop.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// The prefix in braces: of a key that has braces a cluster looks at what they hold, and at nothing else.
    tag: String,
}

impl Keys {
    /// # Errors
    /// `Config` for a prefix that is empty, too long or not plain: braces in it would be another tag.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || !prefix.chars().all(plain) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("a prefix of keys has 1 to {LONGEST_PREFIX} of ASCII letters, digits and . _ -"),
            ));
        }
        Ok(Self {
            tag: format!("{{{prefix}}}:"),
        })
    }

    /// The number of the layout.
    pub(super) fn layout(&self) -> String {
        format!("{}layout", self.tag)
    }

    pub(super) fn epoch(&self) -> String {
        format!("{}epoch", self.tag)
    }

    /// The stream of changes.
    pub(super) fn changes(&self) -> String {
        format!("{}changes", self.tag)
    }

    /// What became of a commit.
    pub(super) fn commit(&self, commit: Uuid) -> String {
        format!("{}commit:{commit}", self.tag)
    }

    pub(super) fn cart(&self, id: Uuid) -> String {
        format!("{}{id}", self.carts())
    }

    /// What the keys of carts begin with.
    pub(super) fn carts(&self) -> String {
        format!("{}cart:", self.tag)
    }

    /// The owner of a unique key.
    pub(super) fn claim(&self, key: &ClaimKey) -> String {
        format!("{}{}", self.space("claim", key.space), key.key)
    }

    /// What the keys of users who have an open cart begin with.
    pub(super) fn owners(&self) -> String {
        self.space("claim", ClaimKey::CART_OWNER)
    }

    /// What came of an idempotency key.
    pub(super) fn once(&self, key: &Idempotency) -> String {
        format!("{}{}", self.space("once", &key.scope), key.key)
    }

    /// The length tells where the space ends: both it and the key may have colons.
    fn space(&self, kind: &str, space: &str) -> String {
        format!("{}{kind}:{}:{space}:", self.tag, space.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IdempotencyKey;

    fn once(scope: &str, key: &str) -> String {
        let key = Idempotency {
            scope: scope.to_owned(),
            key: IdempotencyKey::new(key).unwrap(),
            fingerprint: [0; 32],
            owner: Uuid::nil(),
        };
        Keys::new("shop").unwrap().once(&key)
    }

    #[test]
    fn every_key_has_the_tag_of_its_shop() {
        let keys = Keys::new("shop").unwrap();
        let user = ClaimKey::new(ClaimKey::CART_OWNER, "{other}");
        assert_eq!(keys.claim(&user), "{shop}:claim:10:cart.owner:{other}");
        for key in [
            keys.layout(),
            keys.epoch(),
            keys.changes(),
            keys.commit(Uuid::nil()),
            keys.cart(Uuid::nil()),
            keys.owners(),
            once("a", "b"),
        ] {
            assert!(key.starts_with("{shop}:"), "{key}");
        }
    }

    #[test]
    fn no_two_scopes_share_a_key() {
        assert_ne!(once("a:b", "c"), once("a", "b:c"));
    }

    #[test]
    fn a_prefix_with_braces_is_refused() {
        for wrong in ["", "{a}", "a b", "a:b", &"x".repeat(65)] {
            assert!(Keys::new(wrong).unwrap_err().is(ErrorKind::Config), "{wrong}");
        }
    }
}
