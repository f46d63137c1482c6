//! The contract of a shared cache: values under leases, so that what was loaded before a write cannot come back after it.
//!
//! A cache that takes any value from anybody serves old ones for ever: a reader loads, a writer commits and deletes the
//! entry, the reader stores what it loaded before. Here a reader may store only under a lease that it was given before it
//! loaded, and an invalidation makes every lease void.

mod capability;
mod follower;
mod key;
mod vocabulary;

pub use capability::CacheCapability;
pub use follower::Follower;
pub use key::CacheKey;
pub use vocabulary::Acquire;
pub use vocabulary::Acquired;
pub use vocabulary::Entry;
pub use vocabulary::Fill;
pub use vocabulary::Filled;
pub use vocabulary::Invalidate;
pub use vocabulary::Invalidation;
pub use vocabulary::LeaseToken;
pub use vocabulary::LoadWhen;
pub use vocabulary::LoadedFrom;
pub use vocabulary::NOTHING_WRITTEN;
pub use vocabulary::Renewed;
pub use vocabulary::TagGeneration;
pub use vocabulary::Writer;
pub(crate) use vocabulary::random_token;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::resilience::Deadline;

/// A cache that the processes of a shop share.
///
/// Every batch answers in the order asked, one answer a key. Times run on the cache's own clock, in steps of a second on
/// some engines: what is over may be given for one second more.
///
/// # Behaviour
/// - `get.absent`: a key without a fresh value is `None`.
/// - `get.order`: a batch has one answer for each key, in the order asked.
/// - `fill.get`: what was filled is given back, to every process, byte by byte, with its version.
/// - `fill.expires`: past its time a value is not given any more.
/// - `fill.void`: a fill without a lease that is in force is `Void` and changes nothing.
/// - `fill.once`: a lease is used up by its fill.
/// - `fill.floor`: a fill from a replica below the floor is `BelowFloor` and changes nothing (needs floors).
/// - `fill.too_large`: a payload past the limit is `TooLarge`, and the cache works on.
/// - `acquire.one`: of many that ask at once one has the lease, the others are told `Busy`.
/// - `acquire.filled`: a fresh value is given instead of a lease.
/// - `acquire.early`: before its time the lease is given to one, while the value stays readable.
/// - `acquire.expires`: past its time a lease is over: another has it, and the first one's fill is `Void`.
/// - `acquire.floor`: a lease tells the highest version that was invalidated (needs floors).
/// - `invalidate.drops`: an invalidated value is not given any more, to any process, and may be loaded at once.
/// - `invalidate.voids`: every lease that was given before is void, also that of a key that has no value.
/// - `invalidate.newer`: a value that was filled at the version told, or a later one, stays.
/// - `invalidate.repeated`: a lease that was given after a version was invalidated survives the same told again (needs floors).
/// - `invalidate.stale`: a dropped value that was to be kept is given to whoever loads and to whoever waits.
/// - `hold.blocks`: while a writer holds a key its value is not given, and no lease is (needs holds).
/// - `hold.voids`: a hold makes every lease void that was given before (needs holds).
/// - `hold.several`: of several writers each has to end its hold before the key can be loaded (needs holds).
/// - `hold.expires`: a hold that its writer never ends is over by itself (needs holds).
/// - `hold.renew`: a renewed hold lasts longer; one that was over says so (needs holds).
/// - `tags.same`: a tag has one generation, for every process, until it is raised; what was never raised has one too.
/// - `tags.raised`: from the return of a raise on a tag has a generation that it never had before, for every process.
/// - `push.told`: a follower is told each key that another process invalidates (needs push).
/// - `push.sound`: a follower is told again and again up to when it has heard everything (needs push).
/// - `key.strange`: keys made of any text at all work, and none is another's.
/// - `deadline.over`: a deadline that is over is `Timeout`.
/// - `cancel.harmless`: dropped calls leave later ones right.
/// - `ping.answers`: ping answers.
/// - `close.refuses`: after `close` calls are `Unavailable`.
///
/// # Cancel safety
/// A dropped call happened or not; a lease that nobody learned of is over after its time.
#[async_trait]
pub trait SharedCache: Debug + Send + Sync {
    /// What this cache can do.
    fn capability(&self) -> &CacheCapability;

    /// The fresh values of these keys, in one round trip for each server concerned.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>>;

    /// Asks for the right to load each of these keys.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn acquire(&self, keys: &[CacheKey], ask: Acquire, deadline: Deadline) -> Result<Vec<Acquired>>;

    /// Stores what was loaded under leases.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`; then each value is stored or not.
    async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) -> Result<Vec<Filled>>;

    /// Holds keys back for a writer, for at most this long.
    ///
    /// # Errors
    /// `Unsupported` without holds; `Unavailable` or `Timeout`: then keys may be held until the time is over.
    async fn hold(&self, keys: &[CacheKey], hold: (Writer, Duration), deadline: Deadline) -> Result<()>;

    /// Lengthens a writer's holds, and tells whether they were in force until now.
    ///
    /// # Errors
    /// As for [`hold`](Self::hold).
    async fn renew(&self, keys: &[CacheKey], hold: (Writer, Duration), deadline: Deadline)
    -> Result<Renewed>;

    /// Drops values and makes leases void: from the return on, nothing older than what was written is served.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`; each key may or may not be invalidated. Repeating the call is harmless.
    async fn invalidate(&self, what: &[Invalidation], how: Invalidate, deadline: Deadline) -> Result<()>;

    /// The generations of these tags: whatever was kept under another one is out of date.
    ///
    /// - A tag that is not known, or is known no more, is given a new generation: what is lost is never taken for unchanged.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`.
    async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>>;

    /// Gives these tags new generations.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout`; each tag may or may not be raised. Repeating the call is harmless.
    async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()>;

    /// Tells this one of all invalidations from now on, until `close`. Without push nothing is told.
    fn follow(&self, follower: Arc<dyn Follower>);

    /// Makes one round trip to each server.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when one does not answer.
    async fn ping(&self, deadline: Deadline) -> Result<()>;

    /// Ends the connections; later calls are `Unavailable`.
    async fn close(&self);
}
