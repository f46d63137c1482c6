//! Many values at once: a batch asks each tier once, and the store once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use uuid::Uuid;

use super::cached::Kept;
use super::cached::LEASE;
use super::cached::late;
use super::loader::Loadable;
use super::remote::Remote;
use super::stats::add;
use crate::error::Result;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::CacheKey;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;

/// What may be done with a value that a batch loads.
enum Right {
    /// It may be stored.
    Lease(LeaseToken, Version),
    /// It may be kept in this process: the shared tier does not answer, or there is none.
    Here,
    /// It may be given and nothing else: somebody is writing it.
    Nowhere,
}

/// What a batch still wants.
struct Wanted {
    id: Uuid,
    generation: u32,
    right: Right,
}

impl<T: Loadable> Kept<T> {
    pub(super) async fn get_many(
        self: &Arc<Self>,
        ids: &[Uuid],
        deadline: Deadline,
    ) -> Result<Vec<Option<Arc<T>>>> {
        let mut found: HashMap<Uuid, Option<Arc<T>>> = HashMap::with_capacity(ids.len());
        let mut missing = Vec::new();
        for id in ids.iter().copied() {
            if found.contains_key(&id) || missing.iter().any(|(wanted, _)| *wanted == id) {
                continue;
            }
            match self.local.get(&id) {
                Some(value) => {
                    self.counters.hits.count();
                    found.insert(id, value);
                }
                None => missing.push((id, self.local.generations.of(&id))),
            }
        }
        let busy = match &self.remote {
            Some(remote) if !missing.is_empty() => self.fetch(remote, missing, deadline, &mut found).await?,
            _ => {
                let wanted = missing.into_iter().map(|(id, generation)| Wanted {
                    id,
                    generation,
                    right: Right::Here,
                });
                let wanted: Vec<_> = wanted.collect();
                wanted.iter().for_each(|_| add(&self.counters.loads));
                self.load_many(None, wanted, deadline, &mut found).await?;
                Vec::new()
            }
        };
        // Somebody else loads these: by now they may be there.
        let waited = busy.into_iter().map(async |(id, generation)| {
            let value = self.obtain(id, generation, deadline).await?;
            Ok::<_, crate::error::Error>((id, value))
        });
        found.extend(try_join_all(waited).await?);
        Ok(ids.iter().map(|id| found.get(id).cloned().flatten()).collect())
    }

    /// Asks the shared tier, and loads what it gives the right to load; what others load is given back.
    async fn fetch(
        self: &Arc<Self>,
        remote: &Remote,
        missing: Vec<(Uuid, u32)>,
        deadline: Deadline,
        found: &mut HashMap<Uuid, Option<Arc<T>>>,
    ) -> Result<Vec<(Uuid, u32)>> {
        let keys: Vec<CacheKey> = missing.iter().map(|(id, _)| self.key(*id)).collect();
        let entries = remote.get_many(&keys, deadline).await.unwrap_or_default();
        let mut entries = entries.into_iter();
        let mut left = Vec::new();
        for ((id, generation), key) in missing.into_iter().zip(keys) {
            let entry = entries.next().flatten();
            match entry.and_then(|entry| self.accept(id, generation, &entry)) {
                Some(value) => drop(found.insert(id, value)),
                None => left.push((id, generation, key)),
            }
        }
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<CacheKey> = left.iter().map(|(.., key)| key.clone()).collect();
        let ask = Acquire {
            lease: LEASE,
            when: LoadWhen::Missing,
        };
        let mut answers = remote
            .acquire(&keys, ask, deadline)
            .await
            .unwrap_or_default()
            .into_iter();
        let (mut wanted, mut busy) = (Vec::new(), Vec::new());
        for (id, generation, _) in left {
            let right = match answers.next() {
                Some(Acquired::Lease { token, floor, .. }) => {
                    add(&self.counters.loads);
                    Right::Lease(token, floor)
                }
                Some(Acquired::Held) => {
                    add(&self.counters.bypassed_held);
                    Right::Nowhere
                }
                Some(Acquired::Filled(_) | Acquired::Busy { .. }) => {
                    busy.push((id, generation));
                    continue;
                }
                None => {
                    add(&self.counters.bypassed_down);
                    Right::Here
                }
            };
            wanted.push(Wanted {
                id,
                generation,
                right,
            });
        }
        self.load_many(Some(remote), wanted, deadline, found).await?;
        Ok(busy)
    }

    /// Loads a batch and stores what may be stored.
    async fn load_many(
        &self,
        remote: Option<&Remote>,
        wanted: Vec<Wanted>,
        deadline: Deadline,
        found: &mut HashMap<Uuid, Option<Arc<T>>>,
    ) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = wanted.iter().map(|wanted| wanted.id).collect();
        let start = Instant::now();
        let loaded = T::load(&*self.store, &ids, deadline);
        let loaded = deadline.bound(loaded).await.unwrap_or_else(|| Err(late()))?;
        let took = start.elapsed();
        self.counters.loaded(took);
        let mut fills = Vec::new();
        for (
            Wanted {
                id,
                generation,
                right,
            },
            value,
        ) in wanted.into_iter().zip(loaded)
        {
            let keep = self.drawn(&value);
            if let Right::Lease(token, floor) = right
                && let Some(fill) = self.to_fill((&value, took), (token, floor), keep)
            {
                fills.push((self.key(id), fill));
            }
            if !matches!(right, Right::Nowhere) {
                self.keep(id, (&value, keep), generation);
            }
            found.insert(id, value);
        }
        if let Some(remote) = remote
            && !fills.is_empty()
        {
            remote.fill(fills, deadline).await;
        }
        Ok(())
    }
}
