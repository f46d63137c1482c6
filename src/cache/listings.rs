//! Pages of lists of products, kept in the shared tier as ids under the tag of what they are a list of.
//!
//! - A tag is raised when a product of its category changes, so a page from before does not count any more.
//! - The products of a page come from the cache like any others, and are asked whether they still belong there: a product
//!   that has left a category is found out by the page that it left, whoever wrote it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;

use super::cached::Cached;
use super::cached::LEASE;
use super::cached::LOOKS;
use super::cached::WAIT;
use super::codec::page::decode_page;
use super::codec::page::encode_page;
use super::keys::Names;
use super::policy::CachePolicy;
use super::policy::Consistency;
use super::remote::Remote;
use super::stats::Counters;
use super::stats::add;
use crate::error::Result;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Entry;
use crate::spi::cache::Fill;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;
use crate::spi::cache::LoadedFrom;
use crate::spi::cache::TagGeneration;
use crate::spi::store::ProductQuery;
use crate::spi::store::Store;

/// The generation of everything where pages are kept for their time whatever is written.
const UNTAGGED: TagGeneration = TagGeneration([0; 16]);

/// The pages of all lists; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Listings(pub(super) Arc<Shelf>);

/// What the pages are kept with.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) policy: CachePolicy,
    pub(super) remote: Arc<Remote>,
    pub(super) names: Names,
    pub(super) store: Arc<dyn Store>,
    pub(super) products: Cached<Product>,
    pub(super) counters: Arc<Counters>,
}

/// A page that is wanted, and where it is kept.
struct Wanted<'a> {
    query: &'a ProductQuery,
    request: &'a PageRequest,
    key: CacheKey,
    tag: CacheKey,
    deadline: Deadline,
}

impl Listings {
    /// A page, from the cache where it may be kept there.
    pub(crate) async fn page(
        &self,
        query: &ProductQuery,
        request: &PageRequest,
        length: Duration,
    ) -> Result<Page<Arc<Product>>> {
        let epoch = self.0.store.epoch();
        let wanted = Wanted {
            query,
            request,
            key: self.0.names.page(query, request, epoch),
            tag: self.0.names.tag(query.category.as_ref(), epoch),
            deadline: Deadline::within(length),
        };
        // What is in stock changes with every order, and no tag is raised for that.
        if query.in_stock {
            return self.0.pass_by(&wanted).await;
        }
        self.0.page(&wanted).await
    }

    /// Makes the pages on which these products are, or should be, out of date.
    ///
    /// # Errors
    /// The store's, when it does not tell where the products belong now; the shared tier's.
    pub(super) async fn changed(&self, ids: &[ProductId], deadline: Deadline) -> Result<()> {
        let shelf = &*self.0;
        if ids.is_empty() || shelf.policy.consistency == Consistency::Ttl {
            return Ok(());
        }
        let found = shelf.store.readers().product()?.get_many(ids, deadline).await?;
        let epoch = shelf.store.epoch();
        let mut tags = BTreeSet::from([shelf.names.tag(None, epoch)]);
        for category in found
            .iter()
            .flatten()
            .filter_map(|product| product.category.as_ref())
        {
            tags.insert(shelf.names.tag(Some(category), epoch));
        }
        let tags: Vec<_> = tags.into_iter().collect();
        shelf.remote.raise(&tags, deadline).await
    }
}

impl Shelf {
    async fn page(&self, wanted: &Wanted<'_>) -> Result<Page<Arc<Product>>> {
        let keys = std::slice::from_ref(&wanted.key);
        let asked = join(
            self.generation(wanted),
            self.remote.get_many(keys, wanted.deadline),
        );
        let (Some(generation), Ok(entries)) = asked.await else {
            return self.pass_by(wanted).await;
        };
        if let Some(entry) = entries.into_iter().next().flatten()
            && let Some(page) = self.kept(&entry, generation, wanted).await?
        {
            return Ok(page);
        }
        self.obtain(generation, wanted).await
    }

    /// The page of an entry, if it is a page of now.
    async fn kept(
        &self,
        entry: &Entry,
        generation: TagGeneration,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Page<Arc<Product>>>> {
        let Some(kept) = decode_page(&entry.payload) else {
            add(&self.counters.foreign);
            return Ok(None);
        };
        if kept.generation == generation {
            let ids: Vec<_> = kept.ids.iter().map(|id| id.uuid()).collect();
            let found = self.products.get_many(&ids, wanted.deadline.remaining()).await?;
            let items: Option<Vec<_>> = found.into_iter().collect();
            if let Some(items) = items.filter(|items| wanted.query.is_list(items)) {
                add(&self.counters.lists_hit);
                let next = kept.next;
                return Ok(Some(Page { items, next }));
            }
        }
        add(&self.counters.lists_outdated);
        Ok(None)
    }

    /// Gets the right to load and loads; or waits for, and is given, what somebody else loads.
    async fn obtain(&self, mut generation: TagGeneration, wanted: &Wanted<'_>) -> Result<Page<Arc<Product>>> {
        let patience = wanted.deadline.min(WAIT);
        let (mut when, mut looks) = (LoadWhen::Missing, 0);
        while !patience.is_over() {
            let ask = Acquire { lease: LEASE, when };
            let keys = std::slice::from_ref(&wanted.key);
            let answers = self.remote.acquire(keys, ask, wanted.deadline).await;
            match answers.ok().and_then(|answers| answers.into_iter().next()) {
                Some(Acquired::Lease { token, .. }) => {
                    let page = self.load(wanted).await?;
                    add(&self.counters.lists_loaded);
                    self.fill(token, (&page, generation), wanted).await;
                    return Ok(page);
                }
                Some(Acquired::Filled(entry)) => {
                    // Perhaps by somebody who came later, and is of a later generation.
                    let Some(now) = self.generation(wanted).await else {
                        break;
                    };
                    generation = now;
                    if let Some(page) = self.kept(&entry, generation, wanted).await? {
                        return Ok(page);
                    }
                    // It is out of date: one of those who find it so replaces it, the others wait for that one.
                    if when == LoadWhen::Missing {
                        when = LoadWhen::Early;
                        continue;
                    }
                }
                Some(Acquired::Busy { .. }) => {}
                Some(Acquired::Held) | None => break,
            }
            tokio::time::sleep(LOOKS.next(looks)).await;
            looks += 1;
        }
        self.pass_by(wanted).await
    }

    /// Loads and keeps nothing.
    async fn pass_by(&self, wanted: &Wanted<'_>) -> Result<Page<Arc<Product>>> {
        add(&self.counters.lists_bypassed);
        self.load(wanted).await
    }

    async fn load(&self, wanted: &Wanted<'_>) -> Result<Page<Arc<Product>>> {
        let reader = self.store.readers().product()?;
        reader.list(wanted.query, wanted.request, wanted.deadline).await
    }

    /// The generation of what is listed; `None` where the shared tier does not answer.
    async fn generation(&self, wanted: &Wanted<'_>) -> Option<TagGeneration> {
        if self.policy.consistency == Consistency::Ttl {
            return Some(UNTAGGED);
        }
        let tags = std::slice::from_ref(&wanted.tag);
        let found = self.remote.tags(tags, wanted.deadline).await.ok()?;
        found.into_iter().next()
    }

    /// Keeps a page under the generation that was there before it was loaded.
    async fn fill(
        &self,
        token: LeaseToken,
        (page, generation): (&Page<Arc<Product>>, TagGeneration),
        wanted: &Wanted<'_>,
    ) {
        let Ok(payload) = encode_page(page, generation) else {
            return;
        };
        let fill = Fill {
            token,
            version: Version::FIRST,
            from: LoadedFrom::Writer,
            fresh_for: self.policy.drawn(self.policy.keep),
            stale_for: Duration::ZERO,
            payload,
        };
        self.remote
            .fill(vec![(wanted.key.clone(), fill)], wanted.deadline)
            .await;
    }
}
