//! What the cache did: one count for each logical read, by where it was answered.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::hits::Hits;

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What the cache of this process did since it was opened.
        ///
        /// - Of the first seven each logical read counts one, once: `hits_in_process`, `hits_shared`, `loads`, `waited`,
        ///   `bypassed_held`, `bypassed_down`, `stale_served`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct CacheStats {
            /// Reads that were answered in this process.
            pub hits_in_process: u64,
            /// SKUs whose stock was told as a hint, from this process.
            pub hints_in_process: u64,
            $($(#[$meta])* pub $name: u64,)*
            /// Values that are kept in this process.
            pub entries: u64,
            /// About how many bytes they take.
            pub bytes: u64,
        }

        #[cfg(feature = "metrics")]
        impl CacheStats {
            /// Every count with its name.
            pub(super) fn each(&self, mut tell: impl FnMut(&'static str, u64)) {
                tell("hits_in_process", self.hits_in_process);
                tell("hints_in_process", self.hints_in_process);
                $(tell(stringify!($name), self.$name);)*
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            pub(super) hits: Hits,
            pub(super) hints: Hits,
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            /// The counts, without what the tiers know themselves.
            pub(super) fn stats(&self) -> CacheStats {
                CacheStats {
                    hits_in_process: self.hits.sum(),
                    hints_in_process: self.hints.sum(),
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    entries: 0,
                    bytes: 0,
                }
            }
        }
    };
}

counters! {
    /// Reads that the shared tier answered.
    hits_shared,
    /// Reads that loaded from the store, under a lease where there is a shared tier.
    loads,
    /// Reads that were given what somebody else loaded meanwhile, in this process or another.
    waited,
    /// Reads that went to the store because a writer held the key.
    bypassed_held,
    /// Reads that went to the store because the shared tier did not answer, or another loaded for too long.
    bypassed_down,
    /// Reads that were given an old value because the store did not answer.
    stale_served,
    /// Values stored in the shared tier.
    fills,
    /// Values not stored because something was written while they were loaded: proof that the race happens.
    fills_void,
    /// Values not stored because a replica was behind.
    fills_below_floor,
    /// Values that were loaded again from the writer because a replica was behind.
    replica_behind,
    /// Values not stored for their length.
    fills_too_large,
    /// Values that had to go from this process for others, or were too large for it.
    evictions,
    /// Values that were damaged, or of another version of the crate.
    foreign,
    /// Values loaded again before their time, or while their reader was given the old one.
    refreshes,
    /// Keys invalidated by writes of this process.
    invalidations,
    /// Keys whose invalidation failed: the change feed repeats it.
    invalidations_failed,
    /// Pages of lists that the shared tier had.
    lists_hit,
    /// Pages of lists that were loaded and kept.
    lists_loaded,
    /// Pages of lists that were found and were out of date.
    lists_outdated,
    /// Pages of lists that went to the store: lists that are not kept, or the shared tier did not answer.
    lists_bypassed,
    /// Tags raised by writes of this process.
    tags_raised,
    /// Tags that could not be raised: the change feed repeats it.
    tags_failed,
    /// Writes that held keys.
    holds,
    /// Writes that could not hold their keys.
    holds_failed,
    /// Writes that went on without holding their keys.
    holds_skipped,
    /// Times that the holds of a write were lengthened, for it took longer than its deadline.
    holds_renewed,
    /// Of those, times that a hold had been over before: what was read meanwhile may have been kept.
    holds_lapsed,
    /// Keys that other processes invalidated, as this one was told.
    told,
    /// Times that everything in this process was dropped because something may have been missed.
    doubts,
    /// Calls to the shared tier that failed or took too long.
    shared_failed,
    /// Calls to the shared tier that were not made because it was failing.
    shared_skipped,
    /// Calls to the shared tier that took longer than 20 ms.
    shared_slow,
    /// Time spent on loading, in microseconds.
    load_micros,
    /// Hits that were compared with the store.
    audited,
    /// Of those, hits that were older than the store and still so when the bound was over.
    audited_stale,
}

impl CacheStats {
    /// The share of reads that were answered by a tier; `None` before the first.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let hits = self.hits_in_process + self.hits_shared + self.waited + self.stale_served;
        let all = hits + self.loads + self.bypassed_held + self.bypassed_down;
        (all > 0).then(|| hits as f64 / all as f64)
    }
}

pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// A load, by one key or a batch, took so long.
    pub(super) fn loaded(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(0);
        self.load_micros.fetch_add(micros, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        super::metrics::loaded(took);
    }
}
