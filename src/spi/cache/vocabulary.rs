//! What is asked of a shared cache, and what it answers.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::CacheKey;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Version;

/// A value that is there and fresh.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The version that it was filled with.
    pub version: Version,
    /// How long it stays fresh.
    pub fresh_for: Duration,
    /// The bytes that it was filled with.
    pub payload: Bytes,
}

/// A payload is somebody's data: only its length is shown.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("version", &self.version)
            .field("fresh_for", &self.fresh_for)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// Proves that a lease was given: bytes that mean something to the cache that gave them, and to nobody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub [u8; 16]);

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseToken({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Names one write that holds keys back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer([u8; 16]);

impl Writer {
    /// A name that nobody else has.
    ///
    /// # Errors
    /// `Internal` when the operating system gives no randomness.
    pub fn random() -> Result<Self> {
        random_token().map(Self)
    }

    /// The bytes; never all zero.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Sixteen random bytes that are not all zero: zero means "none" in an entry.
pub(crate) fn random_token() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|source| {
        Error::new(ErrorKind::Internal, "the operating system gave no randomness").caused_by(source)
    })?;
    bytes[0] |= 1;
    Ok(bytes)
}

/// Asks for the right to load.
#[derive(Clone, Copy, Debug)]
pub struct Acquire {
    /// How long the right lasts.
    pub lease: Duration,
    /// Whether a fresh value stands in the way.
    pub when: LoadWhen,
}

/// When a lease is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadWhen {
    /// Only when there is no fresh value.
    Missing,
    /// Also when there is one, which stays readable: to load it again before its time.
    Early,
}

/// The answer to [`Acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// There is a fresh value by now.
    Filled(Entry),
    /// A writer holds the key: read the store, and fill nothing.
    Held,
    /// Somebody else loads.
    Busy {
        /// The value that was dropped last, if it was kept.
        stale: Option<Bytes>,
    },
    /// Load, then fill with this token.
    Lease {
        /// The proof.
        token: LeaseToken,
        /// The least version that a load may have: a replica that gives an older one is behind.
        floor: Version,
        /// The value that was dropped last, if it was kept.
        stale: Option<Bytes>,
    },
}

/// Where a load read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadedFrom {
    /// From the store's writer, after the lease was given: it can be behind nothing.
    Writer,
    /// From a replica: it may be behind the floor.
    Replica,
}

/// A value to be stored under a lease.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The lease.
    pub token: LeaseToken,
    /// The version of what was loaded; the floor for what is absent.
    pub version: Version,
    /// Where it was loaded from.
    pub from: LoadedFrom,
    /// How long it is fresh.
    pub fresh_for: Duration,
    /// How long it is kept beyond that, to be given as stale.
    pub stale_for: Duration,
    /// The bytes.
    pub payload: Bytes,
}

/// What became of a [`Fill`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filled {
    /// It is stored.
    Stored,
    /// The lease was over or void; nothing is stored.
    Void,
    /// It is older than what was written since; nothing is stored.
    BelowFloor,
    /// It is longer than the cache takes; nothing is stored.
    TooLarge,
}

/// A key whose value is not to be served any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// The key.
    pub key: CacheKey,
    /// The version that was written; [`NOTHING_WRITTEN`] when a hold ends without a write.
    pub version: Version,
}

/// The version of an [`Invalidation`] that raises no floor.
pub const NOTHING_WRITTEN: Version = Version::ZERO;

/// How to invalidate.
#[derive(Clone, Copy, Debug)]
pub struct Invalidate {
    /// Whose hold ends.
    pub writer: Option<Writer>,
    /// How long the floor is remembered: longer than any replica is behind and any load takes.
    pub holdoff: Duration,
    /// How long the value is kept to be given as stale; zero drops it.
    pub stale_for: Duration,
}

/// Tells a tag as it is from the same tag as it was before it was raised, and from one that was lost since.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TagGeneration(pub [u8; 16]);

impl TagGeneration {
    /// One that no tag ever had.
    ///
    /// # Errors
    /// `Internal` when the operating system gives no randomness.
    pub fn random() -> Result<Self> {
        random_token().map(Self)
    }
}

impl fmt::Debug for TagGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagGeneration({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Whether a hold was in force until the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It was, and lasts longer now.
    Renewed,
    /// It was over for at least one key: what was read meanwhile may have been filled.
    Lapsed,
}
