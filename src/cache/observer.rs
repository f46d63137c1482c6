//! The cache's part in every write: keys are held before it where that is promised, and invalidated after it.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::join_all;
use uuid::Uuid;

use super::front::Front;
use super::holds::Held;
use super::holds::Holds;
use super::holds::Which;
use super::listings::Listings;
use super::policy::CachePolicy;
use super::policy::Consistency;
use super::policy::Strategy;
use super::remote::Remote;
use super::stats::Counters;
use super::stats::add;
use super::stores::Stores;
use super::writer::Rewrites;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::ProductId;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::NOTHING_WRITTEN;
use crate::spi::cache::Writer;
use crate::spi::store::Aborted;
use crate::spi::store::CommitObserver;
use crate::spi::store::Committed;

/// How long a floor is remembered.
pub(super) const HOLDOFF: Duration = Duration::from_secs(15);

/// How long telling the shared tier may take in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happens to a write of `Strict` aggregates whose keys cannot be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnCacheDown {
    /// It fails with `Unavailable` before anything is written.
    #[default]
    Refuse,
    /// It goes on and is counted: readers may be given what is older until the change feed has repeated the invalidation.
    Proceed,
}

/// Told of every write of this process.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) front: Arc<Front>,
    pub(super) remote: Option<Arc<Remote>>,
    pub(super) policies: Vec<(Aggregate, CachePolicy)>,
    pub(super) listings: Option<Listings>,
    pub(super) stores: Stores,
    pub(super) on_cache_down: OnCacheDown,
    pub(super) rewrites: Rewrites,
    pub(super) counters: Arc<Counters>,
    pub(super) holds: Arc<Holds>,
    /// How long a hold outlives the deadline of its write.
    pub(super) margin: Duration,
}

impl Binding {
    fn policy(&self, aggregate: Aggregate) -> Option<&CachePolicy> {
        let found = self.policies.iter().find(|(kind, _)| *kind == aggregate);
        found.map(|(_, policy)| policy)
    }

    fn key(&self, aggregate: Aggregate, id: Uuid) -> CacheKey {
        self.front
            .names
            .key(aggregate, id, self.stores.of(aggregate).epoch())
    }

    fn strict_keys(&self, keys: &[(Aggregate, RowKey)]) -> Vec<CacheKey> {
        let is_strict = |aggregate: Aggregate| {
            self.policy(aggregate)
                .is_some_and(|policy| policy.consistency == Consistency::Strict)
        };
        keys.iter()
            .filter(|(aggregate, _)| is_strict(*aggregate))
            .filter_map(|(aggregate, key)| Some(self.key(*aggregate, key.id()?)))
            .collect()
    }

    /// Makes the lists out of date on which these products are, or should be.
    async fn outdate_lists(&self, products: &[ProductId]) {
        let Some(listings) = &self.listings else { return };
        let Some(remote) = &self.remote else { return };
        // The write is done: its caller waits for no more than it would for the cache.
        if let Err(error) = listings.changed(products, Deadline::within(remote.write)).await {
            tracing::warn!(kind = ?error.kind(), "lists could not be told of a write; the change feed repeats it");
        }
    }

    async fn invalidate(&self, what: Vec<(Invalidation, Option<Writer>, Duration)>) {
        let Some(remote) = &self.remote else { return };
        let deadline = Deadline::within(PATIENCE);
        let (held, free): (Vec<_>, Vec<_>) = what.into_iter().partition(|(_, writer, _)| writer.is_some());
        let mut batches: Vec<(Vec<Invalidation>, Invalidate)> = Vec::new();
        for (one, writer, stale_for) in held {
            let how = how(writer, stale_for);
            batches.push((vec![one], how));
        }
        for (one, _, stale_for) in free {
            match batches
                .iter_mut()
                .find(|(_, how)| how.writer.is_none() && how.stale_for == stale_for)
            {
                Some((batch, _)) => batch.push(one),
                None => batches.push((vec![one], how(None, stale_for))),
            }
        }
        let sent = batches
            .iter()
            .map(|(batch, how)| remote.invalidate(batch, *how, deadline));
        for outcome in join_all(sent).await {
            if let Err(error) = outcome {
                tracing::warn!(kind = ?error.kind(), "a cache could not be told of a write; the change feed repeats it");
            }
        }
    }
}

fn how(writer: Option<Writer>, stale_for: Duration) -> Invalidate {
    Invalidate {
        writer,
        holdoff: HOLDOFF,
        stale_for,
    }
}

#[async_trait]
impl CommitObserver for Binding {
    async fn before(&self, keys: &[(Aggregate, RowKey)], deadline: Deadline) -> Result<()> {
        let keys = self.strict_keys(keys);
        let Some(remote) = self.remote.as_ref().filter(|_| !keys.is_empty()) else {
            return Ok(());
        };
        let (writer, lasts) = (Writer::random()?, deadline.remaining() + self.margin);
        let until = Instant::now() + lasts;
        let outcome = remote.hold(&keys, (writer, lasts), deadline).await;
        match outcome {
            Ok(()) => {
                add(&self.counters.holds);
                self.holds.note(&keys, Held { writer, until });
                Ok(())
            }
            Err(_) if self.on_cache_down == OnCacheDown::Proceed => {
                add(&self.counters.holds_skipped);
                Ok(())
            }
            Err(source) => {
                add(&self.counters.holds_failed);
                Err(Error::new(
                    ErrorKind::Unavailable,
                    "the cache did not confirm that readers are held back, so nothing was written",
                )
                .caused_by(source))
            }
        }
    }

    async fn after(&self, committed: &Committed) {
        let written: Vec<_> = committed
            .versions
            .iter()
            .filter_map(|(aggregate, key, version)| {
                Some((*aggregate, key.id()?, *version, *self.policy(*aggregate)?))
            })
            .collect();
        let what = written.iter().map(|(aggregate, id, version, policy)| {
            let key = self.key(*aggregate, *id);
            let writer = self.holds.take(&key, Which::First);
            let version = *version;
            (Invalidation { key, version }, writer, policy.stale_for())
        });
        self.invalidate(what.collect()).await;
        let products = written
            .iter()
            .filter(|(aggregate, ..)| *aggregate == Aggregate::Product);
        let products: Vec<_> = products.map(|(_, id, ..)| ProductId::from(*id)).collect();
        self.outdate_lists(&products).await;
        // After the shared tier: what is read from there in between is not to be kept here.
        for (aggregate, id, _, policy) in written {
            self.front.drop_one(aggregate, id);
            if policy.strategy == Strategy::WriteThrough {
                self.rewrites.load(aggregate, id);
            }
        }
    }

    async fn aborted(&self, keys: &[(Aggregate, RowKey)], why: Aborted) {
        let mut what = Vec::new();
        for key in self.strict_keys(keys) {
            match why {
                // It may have been written: the hold is over when no such write can come any more.
                Aborted::Unknown => drop(self.holds.take(&key, Which::Last)),
                _ => {
                    let Some(writer) = self.holds.take(&key, Which::First) else {
                        continue;
                    };
                    let version = NOTHING_WRITTEN;
                    what.push((Invalidation { key, version }, Some(writer), Duration::ZERO));
                }
            }
        }
        if !what.is_empty() {
            self.invalidate(what).await;
        }
        if why == Aborted::Unknown {
            for (aggregate, key) in keys {
                if let Some(id) = key.id() {
                    self.front.drop_one(*aggregate, id);
                }
            }
        }
    }
}
