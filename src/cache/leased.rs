//! A load under a lease: what it gives is stored, and a reader who has something older need not wait for all of it.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::cached::Kept;
use super::cached::LEASE;
use super::codec;
use super::loader::Loadable;
use super::stats::add;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Fill;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadedFrom;

/// The right to load a key and to store what was loaded.
pub(super) struct Lease {
    pub(super) key: CacheKey,
    pub(super) token: LeaseToken,
    pub(super) floor: Version,
}

impl<T: Loadable> Kept<T> {
    /// Loads and stores; gives the old value where the store does not answer, or not soon enough, and the policy allows it.
    pub(super) async fn load_leased(
        self: &Arc<Self>,
        id: Uuid,
        generation: u32,
        (lease, stale): (Lease, Option<Bytes>),
        deadline: Deadline,
    ) -> Result<Option<Arc<T>>> {
        let is_worth_it = self.policy.is_soft() && stale.is_some();
        let loaded = if is_worth_it {
            let (tell, told) = oneshot::channel();
            let kept = Arc::clone(self);
            // A task of its own: it goes on when its reader has been given the old value.
            self.tasks.spawn(async move {
                let loaded = kept
                    .load_and_fill(id, generation, lease, Deadline::within(LEASE))
                    .await;
                // Nobody listens any more where the reader did not wait.
                if let Err(Ok(_)) = tell.send(loaded) {
                    add(&kept.counters.refreshes);
                }
            });
            match deadline.min(self.policy.soft_timeout).bound(told).await {
                Some(Ok(loaded)) => loaded,
                _ => Err(Error::new(
                    ErrorKind::Timeout,
                    "a value was not loaded soon enough",
                )),
            }
        } else {
            self.load_and_fill(id, generation, lease, deadline).await
        };
        match loaded {
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                self.old(stale.as_deref()).ok_or(error)
            }
            Ok(value) => {
                add(&self.counters.loads);
                Ok(value)
            }
            Err(error) => Err(error),
        }
    }

    async fn load_and_fill(
        &self,
        id: Uuid,
        generation: u32,
        Lease { key, token, floor }: Lease,
        deadline: Deadline,
    ) -> Result<Option<Arc<T>>> {
        let (value, cost, from) = match self.load_from_replica(id, floor, deadline).await {
            Some((value, cost)) => (Some(value), cost, LoadedFrom::Replica),
            None => {
                let (value, cost) = self.load(id, deadline).await?;
                (value, cost, LoadedFrom::Writer)
            }
        };
        let keep = self.drawn(&value);
        if let Some(remote) = &self.remote
            && let Some(fill) = self.to_fill((&value, cost), (token, floor), keep)
        {
            remote.fill(vec![(key, Fill { from, ..fill })], deadline).await;
        }
        self.keep(id, (&value, keep), generation);
        Ok(value)
    }

    /// A value that a replica has and that is no older than the floor. Whatever else comes of it is for the writer to say.
    async fn load_from_replica(
        &self,
        id: Uuid,
        floor: Version,
        deadline: Deadline,
    ) -> Option<(Arc<T>, Duration)> {
        let has_floors = self.remote.as_ref()?.capability().floors;
        let bound = self.policy.replica().filter(|_| has_floors)?;
        let readers = self.store.tolerant(bound)?;
        let (start, ids) = (Instant::now(), [id]);
        let found = deadline.bound(T::read(&readers, &ids, deadline)).await?.ok()?;
        let value = found.into_iter().next().flatten()?;
        let took = start.elapsed();
        self.counters.loaded(took);
        if value.version() < floor {
            add(&self.counters.replica_behind);
            return None;
        }
        Some((value, took))
    }

    /// The old value, where there is one that can be read and the policy allows it.
    pub(super) fn old(&self, stale: Option<&[u8]>) -> Option<Option<Arc<T>>> {
        let stale = stale.filter(|_| !self.policy.stale_for().is_zero())?;
        let old = codec::decode::<T>(stale)?;
        add(&self.counters.stale_served);
        Some(old.value.map(Arc::new))
    }
}
