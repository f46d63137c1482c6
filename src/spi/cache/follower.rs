//! Who is told about invalidations: the tier in front of the shared one, in every process.

use std::fmt::Debug;
use std::time::Instant;

/// Hears what was invalidated, by any process.
///
/// Its methods return at once.
pub trait Follower: Debug + Send + Sync {
    /// The entry of this name is not to be served any more.
    fn invalidated(&self, key: &str);

    /// Something may have been missed: whatever is kept is not to be served any more.
    fn doubt(&self);

    /// Everything that was invalidated before this instant has been told.
    fn sound(&self, as_of: Instant);
}
