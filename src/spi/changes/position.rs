//! Places in a feed.

use std::fmt;

/// Names a partition of a feed: changes of one aggregate lie in one partition, or in one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(String);

impl PartitionId {
    /// A partition of this name, which the source chose.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a partition: bytes that mean something to the source that gave them, and to nobody else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position(Vec<u8>);

impl Position {
    /// A position of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({})", String::from_utf8_lossy(&self.0))
    }
}
