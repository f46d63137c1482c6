//! A store whose products are loaded slowly, badly or not at all, as a test wants it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::Cache;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::Page;
use stockroom::PageRequest;
use stockroom::Product;
use stockroom::ProductId;
use stockroom::ProductQuery;
use stockroom::Result;
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
use tokio::sync::Semaphore;

use crate::support::usd;

/// What a load does after it has read.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// Loads that began.
    pub(super) count: AtomicU64,
    /// Waits a random time up to so many microseconds, with what it has read in its hands.
    pub(super) delay: AtomicU64,
    /// A commit waits a random time up to so many microseconds before it begins.
    pub(super) commit_delay: AtomicU64,
    /// Panics instead.
    pub(super) panics: AtomicBool,
    /// The store cannot be reached.
    pub(super) down: AtomicBool,
    /// Waits until it is let go.
    pub(super) gated: AtomicBool,
    /// Loads that wait there, or have waited.
    pub(super) waiting: AtomicU64,
    gate: Gate,
    /// Loads that a replica answered.
    pub(super) replica: AtomicU64,
    /// A commit waits until it is let go, however late that is.
    pub(super) commits_gated: AtomicBool,
    commits: Gate,
}

#[derive(Debug)]
struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Loads {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Lets every load go, those that wait and those that come.
    pub(super) fn open_gate(&self) {
        self.gated.store(false, Ordering::SeqCst);
        self.gate.0.add_permits(1_000);
    }

    /// Lets every commit go.
    pub(super) fn open_commits(&self) {
        self.commits_gated.store(false, Ordering::SeqCst);
        self.commits.0.add_permits(1_000);
    }

    async fn pass(&self) -> Result<()> {
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.panics.load(Ordering::SeqCst) {
            panic!("a planted panic of a loader");
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "planted"));
        }
        Ok(())
    }

    async fn linger(&self) {
        if self.gated.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.gate.0.acquire().await.unwrap().forget();
        }
        pause(&self.delay).await;
    }
}

async fn pause(most: &AtomicU64) {
    let most = most.load(Ordering::Relaxed);
    if most > 0 {
        let drawn = uuid::Uuid::now_v7().as_u128() % u128::from(most);
        tokio::time::sleep(Duration::from_micros(drawn as u64)).await;
    }
}

/// SQLite in memory behind such loads.
#[derive(Debug)]
pub(super) struct SlowStore {
    pub(super) inner: Arc<SqliteStore>,
    readers: Readers,
    replica: Readers,
    pub(super) loads: Arc<Loads>,
}

impl SlowStore {
    pub(super) async fn open() -> Arc<Self> {
        let inner = Arc::new(
            SqliteStore::open(SqliteOptions::new("sqlite::memory:"))
                .await
                .unwrap(),
        );
        let (mut readers, loads) = (inner.readers().clone(), Arc::new(Loads::default()));
        readers.product = Some(Arc::new(SlowProducts {
            inner: Arc::clone(readers.product.as_ref().unwrap()),
            loads: Arc::clone(&loads),
        }));
        let mut replica = readers.clone();
        replica.product = Some(Arc::new(LaggingProducts {
            inner: inner.readers().product.clone().unwrap(),
            loads: Arc::clone(&loads),
            seen: Mutex::default(),
        }));
        Arc::new(Self {
            inner,
            readers,
            replica,
            loads,
        })
    }

    /// A product as it is, whatever the loads do.
    pub(super) async fn product(&self, id: ProductId) -> Arc<Product> {
        let reader = self.inner.readers().product.clone().unwrap();
        let found = reader
            .get_many(&[id], Deadline::within(Duration::from_secs(10)))
            .await;
        found.unwrap().remove(0).unwrap()
    }
}

#[derive(Debug)]
struct SlowProducts {
    inner: Arc<dyn ProductReader>,
    loads: Arc<Loads>,
}

#[async_trait]
impl ProductReader for SlowProducts {
    async fn get_many(&self, ids: &[ProductId], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        self.loads.pass().await?;
        let found = self.inner.get_many(ids, deadline).await;
        self.loads.linger().await;
        found
    }

    async fn find_by_slug(&self, slug: &Slug, deadline: Deadline) -> Result<Option<Arc<Product>>> {
        self.inner.find_by_slug(slug, deadline).await
    }

    async fn find_by_skus(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        self.inner.find_by_skus(skus, deadline).await
    }

    async fn list(
        &self,
        query: &ProductQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Product>>> {
        self.inner.list(query, page, deadline).await
    }
}

/// A replica: of two looks one shows what the last one has shown.
#[derive(Debug)]
struct LaggingProducts {
    inner: Arc<dyn ProductReader>,
    loads: Arc<Loads>,
    seen: Mutex<HashMap<ProductId, Option<Arc<Product>>>>,
}

#[async_trait]
impl ProductReader for LaggingProducts {
    async fn get_many(&self, ids: &[ProductId], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        let turn = self.loads.replica.fetch_add(1, Ordering::SeqCst);
        let fresh = self.inner.get_many(ids, deadline).await?;
        let mut seen = self.seen.lock().unwrap();
        let shown = ids.iter().zip(fresh).map(|(id, fresh)| match seen.get(id) {
            Some(old) if turn % 2 == 1 => old.clone(),
            _ => {
                seen.insert(*id, fresh.clone());
                fresh
            }
        });
        Ok(shown.collect())
    }

    async fn find_by_slug(&self, slug: &Slug, deadline: Deadline) -> Result<Option<Arc<Product>>> {
        self.inner.find_by_slug(slug, deadline).await
    }

    async fn find_by_skus(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        self.inner.find_by_skus(skus, deadline).await
    }

    async fn list(
        &self,
        query: &ProductQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Product>>> {
        self.inner.list(query, page, deadline).await
    }
}

#[async_trait]
impl Store for SlowStore {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn tolerant(&self, _: Duration) -> Option<Readers> {
        Some(self.replica.clone())
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

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let mut deadline = deadline;
        if self.loads.commits_gated.load(Ordering::SeqCst) {
            self.loads.commits.0.acquire().await.unwrap().forget();
            // As a database would that had it before the deadline was over.
            deadline = Deadline::within(Duration::from_secs(10));
        }
        pause(&self.loads.commit_delay).await;
        self.inner.commit(set, deadline).await
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        self.inner.after_restore(deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.inner.ping(deadline).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// A shop on the store whose loads are those of its readers alone.
pub(super) async fn open(store: &Arc<SlowStore>, cache: Cache) -> Stockroom {
    let builder = Stockroom::builder().store_arc(Arc::<SlowStore>::clone(store));
    // A write of products would read where they belong: loads are counted here.
    builder
        .cache(cache.without_listings())
        .without_background()
        .open()
        .await
        .unwrap()
}

/// A product with one variant of this SKU.
pub(super) async fn mug(shop: &Stockroom, sku: &str) -> Arc<Product> {
    shop.products()
        .create(NewProduct::new("Mug").variant(sku, usd(9)))
        .await
        .unwrap()
}
