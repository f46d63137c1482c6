//! A shop whose products are loaded from memory at once: what is measured is its tier, and its way to load.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::Currency;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Page;
use stockroom::PageRequest;
use stockroom::Product;
use stockroom::ProductId;
use stockroom::ProductQuery;
use stockroom::Sku;
use stockroom::Slug;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::changes::ChangeSource;
use stockroom::spi::changes::Coordination;
use stockroom::spi::store::Capability;
use stockroom::spi::store::Committed;
use stockroom::spi::store::ProductReader;
use stockroom::spi::store::Readers;
use stockroom::spi::store::Store;
use stockroom::spi::store::WriteSet;
use uuid::Uuid;

use super::Outcome;
use super::Trace;
use super::cached::Result;

/// So many products, as large as each other, named by their numbers.
pub(crate) fn products(count: usize) -> Result<Vec<Arc<Product>>> {
    let new = NewProduct::new("Mug").variant("MUG", Money::new(9_00, Currency::USD));
    let one = new.build(ProductId::new(), time::OffsetDateTime::UNIX_EPOCH)?;
    let numbered = (0..count).map(|index| {
        Arc::new(Product {
            id: ProductId::from(Uuid::from_u128(index as u128)),
            ..one.clone()
        })
    });
    Ok(numbered.collect())
}

/// Plays a trace to a shop whose tier has room for so many of these products.
pub(crate) async fn play(trace: &Trace, products: &[Arc<Product>], entries: usize) -> Result<Outcome> {
    let each = weight(products).await?;
    let shop = open(products, each * entries as u64).await?;
    let before = shop.cache().stats().hits_in_process;
    let start = Instant::now();
    for key in &trace.accesses {
        std::hint::black_box(shop.products().get(products[*key as usize].id).await?);
    }
    let took = start.elapsed();
    let stats = shop.cache().stats();
    shop.close().await;
    Ok(Outcome {
        hits: usize::try_from(stats.hits_in_process - before)?,
        took,
    })
}

/// What the tier takes one of them for.
async fn weight(products: &[Arc<Product>]) -> Result<u64> {
    let shop = open(products, 1 << 30).await?;
    let stats = shop.cache().stats();
    shop.close().await;
    Ok(stats.bytes / stats.entries.max(1))
}

/// A shop whose tier serves: the news has been proven complete.
async fn open(products: &[Arc<Product>], bytes: u64) -> Result<Stockroom> {
    let store = Arc::new(Memory::open(products).await?);
    let policy = CachePolicy::new().keep(Duration::from_secs(24 * 3600));
    let cache = Cache::in_process()
        .capacity(bytes)
        .products(policy)
        .audit_one_in(0);
    let shop = Stockroom::builder()
        .store_arc(store)
        .cache(cache)
        .without_background()
        .open()
        .await?;
    while shop.cache().stats().hits_in_process == 0 {
        shop.products().get(products[0].id).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(shop)
}

/// An empty store whose products are these.
#[derive(Debug)]
struct Memory {
    inner: SqliteStore,
    readers: Readers,
}

#[derive(Debug)]
struct Numbered(Arc<[Arc<Product>]>);

impl Memory {
    async fn open(products: &[Arc<Product>]) -> Result<Self> {
        let inner = SqliteStore::open(SqliteOptions::new("sqlite::memory:")).await?;
        let mut readers = inner.readers().clone();
        readers.product = Some(Arc::new(Numbered(products.into())));
        Ok(Self { inner, readers })
    }
}

#[async_trait]
impl ProductReader for Numbered {
    async fn get_many(&self, ids: &[ProductId], _: Deadline) -> stockroom::Result<Vec<Option<Arc<Product>>>> {
        let index = |id: &ProductId| usize::try_from(id.uuid().as_u128()).unwrap_or(usize::MAX);
        Ok(ids.iter().map(|id| self.0.get(index(id)).cloned()).collect())
    }

    async fn find_by_slug(&self, _: &Slug, _: Deadline) -> stockroom::Result<Option<Arc<Product>>> {
        Ok(None)
    }

    async fn find_by_skus(&self, skus: &[Sku], _: Deadline) -> stockroom::Result<Vec<Option<Arc<Product>>>> {
        Ok(vec![None; skus.len()])
    }

    async fn list(
        &self,
        _: &ProductQuery,
        _: &PageRequest,
        _: Deadline,
    ) -> stockroom::Result<Page<Arc<Product>>> {
        Ok(Page::empty())
    }
}

#[async_trait]
impl Store for Memory {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn tolerant(&self, bound: Duration) -> Option<Readers> {
        self.inner.tolerant(bound)
    }

    fn epoch(&self) -> i64 {
        self.inner.epoch()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        self.inner.changes()
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        self.inner.coordination()
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> stockroom::Result<Committed> {
        self.inner.commit(set, deadline).await
    }

    async fn after_restore(&self, deadline: Deadline) -> stockroom::Result<i64> {
        self.inner.after_restore(deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> stockroom::Result<()> {
        self.inner.ping(deadline).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
