//! The cache as a sink of the change feed: what a writer could not invalidate, or died before it did, is invalidated here.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::front::Front;
use super::listings::Listings;
use super::observer::HOLDOFF;
use super::policy::CachePolicy;
use super::remote::Remote;
use super::stores::Stores;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::ProductId;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::cache::Follower;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::changes::ChangeSink;
use crate::spi::changes::Delivery;

/// Invalidates what the feed says has changed. A value that is newer than the change stays.
#[derive(Debug)]
pub(super) struct CacheSink {
    pub(super) front: Arc<Front>,
    pub(super) remote: Arc<Remote>,
    pub(super) policies: Vec<(Aggregate, CachePolicy)>,
    pub(super) listings: Option<Listings>,
    pub(super) stores: Stores,
}

#[async_trait]
impl ChangeSink for CacheSink {
    async fn deliver(&self, delivery: Delivery<'_>, deadline: Deadline) -> Result<()> {
        let mut newest: BTreeMap<_, Version> = BTreeMap::new();
        for change in delivery.changes {
            if let Some(id) = change.key.id() {
                let version = newest.entry((change.aggregate, id)).or_insert(change.version);
                *version = (*version).max(change.version);
            }
        }
        for (aggregate, policy) in &self.policies {
            let of_kind = newest.iter().filter(|((kind, _), _)| kind == aggregate);
            let what: Vec<_> = of_kind
                .map(|((_, id), version)| Invalidation {
                    key: self
                        .front
                        .names
                        .key(*aggregate, *id, self.stores.of(*aggregate).epoch()),
                    version: *version,
                })
                .collect();
            if what.is_empty() {
                continue;
            }
            let how = Invalidate {
                writer: None,
                holdoff: HOLDOFF,
                stale_for: policy.stale_for(),
            };
            // Not through the breaker: the relay waits, and comes again until it is done.
            self.remote.cache.invalidate(&what, how, deadline).await?;
        }
        if let Some(listings) = &self.listings {
            let products = newest
                .keys()
                .filter(|(aggregate, _)| *aggregate == Aggregate::Product);
            let products: Vec<_> = products.map(|(_, id)| ProductId::from(*id)).collect();
            listings.changed(&products, deadline).await?;
        }
        for (aggregate, id) in newest.into_keys() {
            self.front.drop_one(aggregate, id);
        }
        Ok(())
    }

    async fn reset(&self, _: Deadline) -> Result<()> {
        // The names of entries have the epoch in them: nothing of before the restore is found any more.
        self.front.doubt();
        Ok(())
    }
}
