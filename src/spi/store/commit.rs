//! The answer to a commit.

use uuid::Uuid;

use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Timestamp;
use crate::model::Version;

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The owner that the idempotency key was first used for: this set was a repetition and wrote nothing.
    pub replay: Option<Uuid>,
    /// The new version of each aggregate that was written; empty for a replay.
    pub versions: Vec<(Aggregate, RowKey, Version)>,
    /// When it committed, by the store's clock.
    pub at: Timestamp,
}

impl Committed {
    /// The new version of one aggregate, if it was written.
    #[must_use]
    pub fn version(&self, aggregate: Aggregate, key: &RowKey) -> Option<Version> {
        self.versions
            .iter()
            .find(|(kind, row, _)| *kind == aggregate && row == key)
            .map(|(_, _, version)| *version)
    }
}
