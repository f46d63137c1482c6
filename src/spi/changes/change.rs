//! What happened to one aggregate.

use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Timestamp;
use crate::model::Version;

/// What happened to one aggregate: an entry of its history, and of the feed.
///
/// - It tells that something changed, not what it is now: whoever needs the state reads it.
/// - It carries ids, kinds and versions, and no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Kind of the aggregate.
    pub aggregate: Aggregate,
    /// Key of the aggregate.
    pub key: RowKey,
    /// The version that the change led to.
    pub version: Version,
    /// What kind of write it was.
    pub action: ChangeAction,
    /// Who did it, as given by the actor.
    pub actor: String,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Names of the events in the same write set.
    pub events: Vec<String>,
}

/// What kind of write a change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeAction {
    /// The aggregate was created or replaced.
    Put,
    /// The aggregate was removed.
    Delete,
    /// Counters or lines were changed by a delta.
    Delta,
}

impl ChangeAction {
    /// The action as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Delta => "delta",
        }
    }

    /// Reads a stored action.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Put, Self::Delete, Self::Delta]
            .into_iter()
            .find(|action| action.as_str() == text)
    }
}
