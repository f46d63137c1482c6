//! What a write set is made of: puts, deletes, keys that are taken, reads that must still hold, events.

use uuid::Uuid;

use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::ClaimKey;
use crate::model::IdempotencyKey;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Version;

/// An aggregate as it shall be.
#[derive(Clone, Debug)]
pub struct Put {
    /// The new state; its own version is not looked at.
    pub record: Record,
    /// The version that it replaces; `None` creates.
    pub expected: Option<Version>,
    /// Whether lines and variants are written too.
    pub parts: Parts,
    /// Unique keys of the state that is replaced; what the new state no longer claims is released.
    pub previous: Vec<ClaimKey>,
    /// For carts: it must be open and unexpired by the store's clock.
    pub live: bool,
}

/// How much of an aggregate a put writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// The root and all of its parts.
    Whole,
    /// The root alone; the parts and their unique keys stay as they are.
    Root,
}

/// An aggregate that shall be gone.
#[derive(Clone, Debug)]
pub struct Delete {
    /// Its kind.
    pub aggregate: Aggregate,
    /// Its key.
    pub key: RowKey,
    /// The version that is removed.
    pub expected: Version,
    /// Unique keys that it holds.
    pub previous: Vec<ClaimKey>,
}

/// A unique key and who shall hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key.
    pub key: ClaimKey,
    /// Who holds it.
    pub owner: Uuid,
}

/// The key under which a request is applied at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Operation and principal: the same key elsewhere is another key.
    pub scope: String,
    /// The caller's key.
    pub key: IdempotencyKey,
    /// Digest of the request: the same key with another digest is refused.
    pub fingerprint: [u8; 32],
    /// What a repetition is given.
    pub owner: Uuid,
}

/// A read that must still hold when the set commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCheck {
    /// Kind of what was read.
    pub aggregate: Aggregate,
    /// Key of what was read.
    pub key: RowKey,
    /// The version that was seen; `None` for an absent one.
    pub version: Option<Version>,
}

/// Something that happened, named by the application; kept in the history of each aggregate of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Name, as in `order.placed`.
    pub name: String,
}

impl Put {
    /// Creates an aggregate that must not exist.
    pub fn create(record: impl Into<Record>) -> Self {
        Self {
            record: record.into(),
            expected: None,
            parts: Parts::Whole,
            previous: Vec::new(),
            live: false,
        }
    }

    /// Replaces `old` and its parts.
    pub fn update<T: AggregateRoot>(old: &T, new: impl Into<Record>) -> Self {
        Self {
            record: new.into(),
            expected: Some(old.version()),
            parts: Parts::Whole,
            previous: old.claims(),
            live: false,
        }
    }

    /// Replaces the root of `old` and leaves its parts.
    pub fn root<T: AggregateRoot>(old: &T, new: impl Into<Record>) -> Self {
        Self {
            parts: Parts::Root,
            ..Self::update(old, new)
        }
    }

    /// The unique keys of what it writes: those of parts that stay as they are are held already.
    pub(super) fn claims(&self) -> impl Iterator<Item = ClaimKey> {
        self.record.claims().into_iter().filter(|key| self.writes(key))
    }

    pub(super) fn writes(&self, key: &ClaimKey) -> bool {
        self.parts == Parts::Whole || !key.is_of_a_part()
    }

    /// Demands that the cart is open and unexpired by the store's clock.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.live = true;
        self
    }
}

impl Idempotency {
    /// The space of unique keys in which the keys of `scope` live.
    #[must_use]
    pub fn space(scope: &str) -> String {
        format!("key:{scope}")
    }
}

impl Event {
    /// An event of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}
