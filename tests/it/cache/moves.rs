//! The staleness harness for lists: products move between two lists while both are read, and everything that a page shows,
//! or leaves out, is held against what had been written before it was asked for.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::InProcessCache;
use stockroom::NewProduct;
use stockroom::PageRequest;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::ProductQuery;
use stockroom::Slug;
use stockroom::Stockroom;
use stockroom::Tiers;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::cache::CacheFault;
use stockroom::testkit::cache::FaultyCache;

use super::outcome::reads;
use super::slow::SlowStore;
use super::stale::Pair;
use super::stale::in_process;
use super::stale::on_memcached;
use super::stale::on_redis;
use crate::support::usd;

/// Products that each shop moves.
const PRODUCTS: usize = 4;

/// Readers in each shop.
const READERS: usize = 3;

const LISTS: [&str; 2] = ["mugs", "cups"];

/// What is known of one product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Writes that began.
    begun: u64,
    /// The version and the list of the last write that returned.
    version: u64,
    list: usize,
}

struct Trial {
    shops: Vec<Stockroom>,
    products: Vec<Arc<Product>>,
    known: Vec<Mutex<Known>>,
    checked: AtomicUsize,
    stale: AtomicUsize,
    done: AtomicBool,
}

impl Trial {
    async fn open(caches: Pair) -> Self {
        let store = SlowStore::open().await;
        store.loads.delay.store(1_000, Ordering::Relaxed);
        store.loads.commit_delay.store(1_000, Ordering::Relaxed);
        let (mut shops, mut products) = (Vec::new(), Vec::new());
        let namespace = uuid::Uuid::now_v7().simple().to_string();
        for cache in caches {
            let cache = Cache::shared_arc(cache)
                .namespace(namespace.clone())
                .products(CachePolicy::new().tiers(Tiers::Shared))
                .read_timeout(std::time::Duration::from_secs(5))
                .write_timeout(std::time::Duration::from_secs(5));
            let shop = Stockroom::builder()
                .store_arc(Arc::<SlowStore>::clone(&store))
                .cache(cache)
                .without_background();
            shops.push(shop.open().await.unwrap());
        }
        for index in 0..PRODUCTS * shops.len() {
            let new = NewProduct::new("Thing")
                .category(LISTS[0])
                .variant(format!("THING-{index}"), usd(9));
            products.push(shops[0].products().create(new).await.unwrap());
        }
        let known = products.iter().map(|product| {
            Mutex::new(Known {
                version: product.version.get(),
                ..Known::default()
            })
        });
        Self {
            known: known.collect(),
            shops,
            products,
            checked: AtomicUsize::new(0),
            stale: AtomicUsize::new(0),
            done: AtomicBool::new(false),
        }
    }

    fn known(&self) -> Vec<Known> {
        self.known.iter().map(|known| *known.lock().unwrap()).collect()
    }

    /// Moves a shop's own products to and fro.
    async fn write(&self, shop: usize) {
        let mut turn = 0;
        while !self.done.load(Ordering::Relaxed) {
            turn += 1;
            let index = shop * PRODUCTS + turn % PRODUCTS;
            let list = {
                let mut known = self.known[index].lock().unwrap();
                known.begun += 1;
                1 - known.list
            };
            let products = self.shops[shop].products();
            // From the cache: what this shop writes it sees itself at once.
            let product = products.require(self.products[index].id).await.unwrap();
            let patch = ProductPatch::new().category(Some(Slug::new(LISTS[list]).unwrap()));
            let moved = products.update(&product, patch).await.unwrap();
            {
                let mut known = self.known[index].lock().unwrap();
                (known.version, known.list) = (moved.version.get(), list);
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    async fn read(&self, shop: usize, mut list: usize, reads: usize) {
        while !self.done.load(Ordering::Relaxed) {
            list = 1 - list;
            let before = self.known();
            let query = ProductQuery::new().category(Slug::new(LISTS[list]).unwrap());
            let page = self.shops[shop]
                .products()
                .list(&query, PageRequest::default())
                .await
                .unwrap();
            let after = self.known();
            for (index, product) in self.products.iter().enumerate() {
                let found = page.items.iter().find(|found| found.id == product.id);
                let is_stale = match found {
                    Some(found) => {
                        found.version.get() < before[index].version || found.category != query.category
                    }
                    // It may be gone by a write that began meanwhile, and by no other.
                    None => {
                        before[index].list == list
                            && before[index] == after[index]
                            && self.rests(before[index])
                    }
                };
                if is_stale {
                    self.stale.fetch_add(1, Ordering::Relaxed);
                }
            }
            if self.checked.fetch_add(1, Ordering::Relaxed) + 1 >= reads {
                self.done.store(true, Ordering::Relaxed);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether no write of the product was under way: each that began raised its version by one.
    fn rests(&self, known: Known) -> bool {
        known.version == known.begun + 1
    }
}

/// Runs a trial; how many pages were read, and how often a product on or off one was too old.
async fn run(name: &str, caches: Pair, reads: usize) -> (usize, usize) {
    let trial = Arc::new(Trial::open(caches).await);
    let mut tasks = Vec::new();
    for shop in 0..trial.shops.len() {
        let writer = Arc::clone(&trial);
        tasks.push(tokio::spawn(async move { writer.write(shop).await }));
        for reader in 0..READERS {
            let trial = Arc::clone(&trial);
            tasks.push(tokio::spawn(
                async move { trial.read(shop, reader % 2, reads).await },
            ));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let stats = trial.shops[0].cache().stats();
    let (checked, stale) = (
        trial.checked.load(Ordering::Relaxed),
        trial.stale.load(Ordering::Relaxed),
    );
    println!(
        "{name}, lists: {checked} pages, {stale} stale; of one shop {} hits, {} loads, {} out of date, {} tags raised",
        stats.lists_hit, stats.lists_loaded, stats.lists_outdated, stats.tags_raised
    );
    assert!(stats.lists_hit > 0 && stats.lists_outdated > 0, "{stats:?}");
    for shop in &trial.shops {
        shop.close().await;
    }
    (checked, stale)
}

async fn holds(name: &str, caches: Option<Pair>) {
    let Some(caches) = caches else { return };
    let (_, stale) = run(name, caches, reads() / 10).await;
    assert_eq!(stale, 0, "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_list_is_stale_in_process() {
    holds("in process", Some(in_process())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_list_is_stale_on_redis() {
    holds("Redis", on_redis().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_list_is_stale_on_memcached() {
    holds("Memcached", on_memcached().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tags_that_are_never_raised_are_seen_to_fail() {
    let cache: Arc<dyn SharedCache> = Arc::new(FaultyCache::new(
        Arc::new(InProcessCache::new()),
        CacheFault::ForgetsRaises,
    ));
    let (_, stale) = run("forgotten", [Arc::clone(&cache), cache], 2_000).await;
    assert!(stale > 0);
}
