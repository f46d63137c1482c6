//! One aggregate behind the cache: found in this process, in the shared tier, or loaded under a lease.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::codec;
use super::codec::Decoded;
use super::flights::Flights;
use super::flights::Joined;
use super::flights::landed;
use super::keys::Names;
use super::leased::Lease;
use super::loader::Loadable;
use super::policy::CachePolicy;
use super::policy::Strategy;
use super::policy::random;
use super::remote::Remote;
use super::stats::Counters;
use super::stats::add;
use super::tasks::Tasks;
use super::tier::Local;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Backoff;
use crate::resilience::Deadline;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Entry;
use crate::spi::cache::Fill;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;
use crate::spi::cache::LoadedFrom;
use crate::spi::store::Store;

/// How long the right to load lasts: longer than any load that is worth waiting for.
pub(super) const LEASE: Duration = Duration::from_secs(3);

/// How long a reader waits for what another process loads before it asks the store itself.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// Pauses between looks while another process loads.
pub(super) const LOOKS: Backoff = Backoff::new(Duration::from_millis(4), Duration::from_millis(50));

/// Loads that may vanish, by a panic, before a caller gives up.
const ATTEMPTS: usize = 2;

/// The cache of one aggregate; clones share it.
pub(crate) struct Cached<T: Loadable>(pub(super) Arc<Kept<T>>);

impl<T: Loadable> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Loadable> std::fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cached")
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

/// What the cache of one aggregate works with.
#[derive(Debug)]
pub(super) struct Kept<T: Loadable> {
    pub(super) policy: CachePolicy,
    pub(super) local: Arc<Local<T>>,
    /// The longest that a value is kept in this process.
    pub(super) keep_here: Duration,
    pub(super) remote: Option<Arc<Remote>>,
    pub(super) names: Names,
    pub(super) store: Arc<dyn Store>,
    pub(super) flights: Arc<Flights<T>>,
    pub(super) counters: Arc<Counters>,
    pub(super) tasks: Arc<Tasks>,
    /// One hit of so many is compared with the store; 0 for none. A power of two.
    pub(super) audit_every: u64,
}

impl<T: Loadable> Cached<T> {
    /// A value that is kept in this process; `Some(None)` where it is known that there is none.
    #[inline]
    pub(crate) fn hit(&self, id: &Uuid) -> Option<Option<Arc<T>>> {
        let kept = &*self.0;
        let found = kept.local.get(id)?;
        let count = kept.counters.hits.count();
        if kept.audit_every != 0 && count & (kept.audit_every - 1) == kept.audit_every - 1 {
            self.0.audit(*id, found.as_deref().map(T::version));
        }
        Some(found)
    }

    /// A value that is not kept in this process. Boxed, so that a hit does not carry its state around.
    pub(crate) fn get(&self, id: Uuid, length: Duration) -> BoxFuture<'_, Result<Option<Arc<T>>>> {
        Box::pin(self.0.get(id, Deadline::within(length)))
    }

    /// Values, in the order asked: one round trip to the shared tier, one for leases, one load of what is in no tier.
    pub(crate) async fn get_many(&self, ids: &[Uuid], length: Duration) -> Result<Vec<Option<Arc<T>>>> {
        self.0.get_many(ids, Deadline::within(length)).await
    }
}

impl<T: Loadable> Kept<T> {
    pub(super) fn key(&self, id: Uuid) -> CacheKey {
        self.names.key(T::KIND, id, self.store.epoch())
    }

    async fn get(self: &Arc<Self>, id: Uuid, deadline: Deadline) -> Result<Option<Arc<T>>> {
        for _ in 0..ATTEMPTS {
            let generation = self.local.generations.of(&id);
            // What is kept in no tier of this process joins no load of this process either: it is to be as new as the shared
            // tier's, which knows what other processes wrote.
            let joins = self.local.tier.is_some();
            if !(joins && self.flights.is_under_way(id, generation))
                && let Some(found) = self.from_shared(id, generation, deadline).await
            {
                return Ok(found);
            }
            if !joins {
                return self.obtain(id, generation, deadline).await;
            }
            let (flight, mine) = match self.flights.join(id, generation) {
                Joined::Passenger(flight) => (flight, false),
                Joined::Pilot(seat, flight) => {
                    // The load that this caller would have joined may have landed since it looked.
                    if let Some(found) = self.local.get(&id) {
                        add(&self.counters.waited);
                        seat.land(Ok(found.clone()));
                        return Ok(found);
                    }
                    let kept = Arc::clone(self);
                    // A task of its own: a caller that is dropped takes nobody's load with it.
                    self.tasks.spawn(async move {
                        let outcome = kept.obtain(id, generation, deadline).await;
                        seat.land(outcome);
                    });
                    (flight, true)
                }
            };
            match deadline.bound(landed(flight)).await {
                None => return Err(late()),
                Some(Some(Err(error))) if !mine && error.is(ErrorKind::Timeout) && !deadline.is_over() => {}
                Some(Some(outcome)) => {
                    if !mine && outcome.is_ok() {
                        add(&self.counters.waited);
                    }
                    return outcome;
                }
                // It panicked, or the shop is closing.
                Some(None) => {}
            }
        }
        Err(Error::new(
            ErrorKind::Internal,
            "what was to be loaded for the cache was given up twice",
        ))
    }

    /// A fresh value of the shared tier.
    async fn from_shared(
        self: &Arc<Self>,
        id: Uuid,
        generation: u32,
        deadline: Deadline,
    ) -> Option<Option<Arc<T>>> {
        let remote = self.remote.as_ref()?;
        let found = remote.get_many(&[self.key(id)], deadline).await.ok()?;
        let entry = found.into_iter().next().flatten()?;
        self.accept(id, generation, &entry)
    }

    /// Gives a value of the shared tier and keeps it here; `None` for one that cannot be read.
    pub(super) fn accept(
        self: &Arc<Self>,
        id: Uuid,
        generation: u32,
        entry: &Entry,
    ) -> Option<Option<Arc<T>>> {
        let Some(Decoded { value, cost }) = codec::decode::<T>(&entry.payload) else {
            add(&self.counters.foreign);
            return None;
        };
        let value = value.map(Arc::new);
        add(&self.counters.hits_shared);
        self.keep(id, (&value, entry.fresh_for), generation);
        if self.is_due(cost, entry.fresh_for) {
            let kept = Arc::clone(self);
            self.tasks.spawn(async move { kept.refresh(id).await });
        }
        Some(value)
    }

    /// Whether to load again before the time: the likelier the nearer its end and the longer loading takes (Vattani, Chierichetti
    /// and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015; beta is 1).
    fn is_due(&self, cost: Duration, fresh_for: Duration) -> bool {
        self.policy.strategy == Strategy::RefreshAhead && cost.mul_f64(-random().ln()) >= fresh_for
    }

    async fn refresh(self: Arc<Self>, id: Uuid) {
        let Some(remote) = &self.remote else { return };
        let (key, deadline) = (self.key(id), Deadline::within(LEASE));
        let ask = Acquire {
            lease: LEASE,
            when: LoadWhen::Early,
        };
        let generation = self.local.generations.of(&id);
        let asked = remote.acquire(std::slice::from_ref(&key), ask, deadline).await;
        let Some(Acquired::Lease { token, floor, .. }) =
            asked.ok().and_then(|answers| answers.into_iter().next())
        else {
            return;
        };
        let Ok((value, cost)) = self.load(id, deadline).await else {
            return;
        };
        add(&self.counters.refreshes);
        let keep = self.drawn(&value);
        if let Some(fill) = self.to_fill((&value, cost), (token, floor), keep) {
            remote.fill(vec![(key, fill)], deadline).await;
        }
        self.keep(id, (&value, keep), generation);
    }

    /// Gets the right to load and loads; or waits for, and is given, what somebody else loads.
    pub(super) async fn obtain(
        self: &Arc<Self>,
        id: Uuid,
        generation: u32,
        deadline: Deadline,
    ) -> Result<Option<Arc<T>>> {
        let Some(remote) = self.remote.as_ref() else {
            add(&self.counters.loads);
            return self.load_here(id, generation, deadline).await;
        };
        let (key, patience) = (self.key(id), deadline.min(WAIT));
        let (mut when, mut looks) = (LoadWhen::Missing, 0);
        let soft = self
            .policy
            .is_soft()
            .then(|| deadline.min(self.policy.soft_timeout));
        loop {
            let ask = Acquire { lease: LEASE, when };
            let answer = remote.acquire(std::slice::from_ref(&key), ask, deadline).await;
            match answer.ok().and_then(|answers| answers.into_iter().next()) {
                Some(Acquired::Filled(entry)) => match codec::decode::<T>(&entry.payload) {
                    Some(decoded) => {
                        add(&self.counters.waited);
                        let value = decoded.value.map(Arc::new);
                        self.keep(id, (&value, entry.fresh_for), generation);
                        return Ok(value);
                    }
                    // Of another version of the crate: it is replaced, by one.
                    None if when == LoadWhen::Missing => when = LoadWhen::Early,
                    None => break,
                },
                Some(Acquired::Held) => {
                    add(&self.counters.bypassed_held);
                    // Neither the shared tier nor this process may keep what is being written.
                    return self.load(id, deadline).await.map(|(value, _)| value);
                }
                Some(Acquired::Busy { stale }) if !patience.is_over() => {
                    if soft.is_some_and(Deadline::is_over)
                        && let Some(old) = self.old(stale.as_deref())
                    {
                        return Ok(old);
                    }
                    tokio::time::sleep(LOOKS.next(looks)).await;
                    looks += 1;
                }
                Some(Acquired::Lease { token, floor, stale }) => {
                    let lease = Lease { key, token, floor };
                    return self.load_leased(id, generation, (lease, stale), deadline).await;
                }
                Some(Acquired::Busy { .. }) | None => break,
            }
        }
        add(&self.counters.bypassed_down);
        self.load_here(id, generation, deadline).await
    }

    /// Loads without a lease: kept in this process alone.
    async fn load_here(&self, id: Uuid, generation: u32, deadline: Deadline) -> Result<Option<Arc<T>>> {
        let (value, _) = self.load(id, deadline).await?;
        self.keep(id, (&value, self.drawn(&value)), generation);
        Ok(value)
    }

    pub(super) async fn load(&self, id: Uuid, deadline: Deadline) -> Result<(Option<Arc<T>>, Duration)> {
        let start = Instant::now();
        let ids = [id];
        let loaded = T::load(&*self.store, &ids, deadline);
        let mut loaded = deadline.bound(loaded).await.unwrap_or_else(|| Err(late()))?;
        let took = start.elapsed();
        self.counters.loaded(took);
        Ok((loaded.pop().flatten(), took))
    }

    /// How long this value is to be kept.
    pub(super) fn drawn(&self, value: &Option<Arc<T>>) -> Duration {
        self.policy.drawn(match value {
            Some(_) => self.policy.keep,
            None => self.policy.keep_absent,
        })
    }

    /// What to store in the shared tier; `None` for what is not kept.
    pub(super) fn to_fill(
        &self,
        (value, cost): (&Option<Arc<T>>, Duration),
        (token, floor): (LeaseToken, crate::model::Version),
        keep: Duration,
    ) -> Option<Fill> {
        if keep.is_zero() {
            return None;
        }
        Some(Fill {
            token,
            version: value.as_deref().map_or(floor, T::version),
            from: LoadedFrom::Writer,
            fresh_for: keep,
            stale_for: self.policy.stale_for(),
            payload: codec::encode(value.as_deref(), cost).ok()?,
        })
    }

    /// Keeps a value in this process.
    pub(super) fn keep(&self, id: Uuid, (value, fresh_for): (&Option<Arc<T>>, Duration), generation: u32) {
        if let Some(tier) = &self.local.tier {
            let keep = fresh_for.min(self.keep_here);
            tier.put(id, value.clone(), (generation, keep));
        }
    }
}

pub(super) fn late() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the deadline ended while a value was being loaded",
    )
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use crate::Cache;
    use crate::Stockroom;
    use crate::model::Currency;
    use crate::model::Money;
    use crate::model::NewProduct;

    #[tokio::test]
    async fn whoever_missed_a_load_that_landed_meanwhile_finds_what_it_left() {
        let shop = Stockroom::builder()
            .url("sqlite::memory:")
            .cache(Cache::in_process());
        let shop = shop.open().await.unwrap();
        let new = NewProduct::new("Mug").variant("MUG", Money::new(1, Currency::EUR));
        let mug = shop.products().create(new).await.unwrap();
        let (cached, id) = (shop.cache().products().unwrap().values, mug.id.uuid());
        let read = || cached.get(id, Duration::from_secs(5));
        // The tier serves as soon as it has heard from the feed, and not while that is late.
        let found = async || loop {
            assert_eq!(read().await.unwrap(), Some(Arc::clone(&mug)));
            let before = shop.cache().stats();
            // It goes where a caller goes that looked in the tier before the load above had landed there.
            assert_eq!(read().await.unwrap(), Some(Arc::clone(&mug)));
            let after = shop.cache().stats();
            if after.loads == before.loads {
                assert_eq!(after.waited, before.waited + 1);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let found = tokio::time::timeout(Duration::from_secs(30), found()).await;
        found.expect("a second load each time");
        shop.close().await;
    }
}
