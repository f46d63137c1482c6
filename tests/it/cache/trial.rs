//! The staleness harness: readers, writers and slow loaders in two shops on one store, and a count of what was read too old.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::ProductId;
use stockroom::ProductPatch;
use stockroom::Stockroom;
use stockroom::spi::cache::SharedCache;
use uuid::Uuid;

use super::dying::DyingCache;
use super::outcome::Ages;
use super::outcome::Outcome;
use super::outcome::is_soak;
use super::outcome::reads;
use super::slow::SlowStore;
use crate::support::usd;

/// Readers in each shop; the more there are in a soak, the sooner it ends.
fn crowd() -> usize {
    if is_soak() { 16 } else { 4 }
}

/// What is tried.
pub(super) struct Trial {
    /// The shared tier as each of the two shops has it; none for two shops without one.
    pub(super) caches: Option<[Arc<dyn SharedCache>; 2]>,
    pub(super) policy: CachePolicy,
    pub(super) keys: usize,
    /// One writer of so many dies between COMMIT and invalidation; 0 for none.
    pub(super) dies: u64,
    /// Whether what a writer that died has written counts: what `Strict` promises.
    pub(super) counts_the_dead: bool,
    /// How long a shop may be behind what the other one wrote.
    pub(super) behind: Duration,
    pub(super) reads: usize,
    /// However fast reads are: what other processes write has to have its time to be noticed.
    pub(super) lasts: Duration,
}

/// What is known to be written, and since when.
#[derive(Debug, Default)]
struct Truth {
    /// The last versions that each shop wrote, with the instant after the write had returned; the latest last.
    written: [Mutex<Vec<(Instant, u64)>>; 2],
}

impl Truth {
    fn note(&self, shop: usize, version: u64) {
        let mut written = self.written[shop].lock().unwrap();
        // Both shops write a key: what is noted late may be older than what is there.
        let newest = written.last().map_or(0, |(_, version)| *version);
        written.push((Instant::now(), newest.max(version)));
        if written.len() > 4_096 {
            written.drain(..2_048);
        }
    }

    /// For how long there had been a newer version when a read of this one began: of the reader's own shop, and of the other.
    fn ages(&self, shop: usize, found: u64, begun: Instant) -> [Option<Duration>; 2] {
        [shop, 1 - shop].map(|shop| {
            let written = self.written[shop].lock().unwrap();
            let newer = written.partition_point(|(_, version)| *version <= found);
            written
                .get(newer)
                .and_then(|(at, _)| begun.checked_duration_since(*at))
        })
    }
}

impl Trial {
    pub(super) fn new(caches: Option<[Arc<dyn SharedCache>; 2]>, policy: CachePolicy) -> Self {
        Self {
            caches,
            policy,
            keys: 8,
            dies: 0,
            counts_the_dead: false,
            behind: Duration::ZERO,
            reads: reads(),
            lasts: Duration::from_secs(1),
        }
    }

    /// The same where a shop may be so far behind the other.
    ///
    /// - A shop drops what it writes itself: it must not come to every key before it could be seen to be behind.
    pub(super) fn behind(self, behind: Duration) -> Self {
        Self {
            behind,
            keys: 100,
            lasts: behind * 4,
            ..self
        }
    }

    /// Two shops on one store, each with its own handle of the cache.
    async fn open(&self, store: &Arc<SlowStore>) -> (Vec<Stockroom>, Vec<Arc<DyingCache>>) {
        let namespace = Uuid::now_v7().simple().to_string();
        let (mut shops, mut dying) = (Vec::new(), Vec::new());
        for index in 0..2 {
            let cache = match &self.caches {
                Some(caches) => {
                    let cache = DyingCache::new(Arc::clone(&caches[index]), self.dies);
                    dying.push(Arc::clone(&cache));
                    Cache::shared_arc(cache)
                }
                None => Cache::in_process(),
            };
            // A loaded machine is no reason to leave the shared tier alone: that is what is being tested.
            let cache = cache
                .namespace(namespace.clone())
                .products(self.policy)
                .without_listings()
                .read_timeout(Duration::from_secs(5))
                .write_timeout(Duration::from_secs(5));
            let shop = Stockroom::builder()
                .store_arc(Arc::<SlowStore>::clone(store))
                .cache(cache)
                .without_background()
                .open();
            shops.push(shop.await.unwrap());
        }
        (shops, dying)
    }

    /// Reads until so many reads were checked, or until one was stale where `until_stale` says so.
    pub(super) async fn run(self, until_stale: bool) -> Outcome {
        let store = SlowStore::open().await;
        store.loads.delay.store(3_000, Ordering::Relaxed);
        store.loads.commit_delay.store(2_000, Ordering::Relaxed);
        let begun = Instant::now();
        let (shops, dying) = self.open(&store).await;
        let mut ids = Vec::new();
        for index in 0..self.keys {
            let new = NewProduct::new("Mug").variant(format!("MUG-{index}"), usd(index as i64 + 1));
            ids.push(shops[0].products().create(new).await.unwrap().id);
        }
        let truths: Arc<Vec<Truth>> = Arc::new(ids.iter().map(|_| Truth::default()).collect());
        let done = Arc::new(AtomicBool::new(false));
        let (checked, ages) = (Arc::new(AtomicUsize::new(0)), Arc::new(Ages::default()));
        let (writes, deaths) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (mut readers, mut writers) = (Vec::new(), Vec::new());
        for (index, shop) in shops.iter().enumerate() {
            for reader in 0..crowd() {
                let (shop, ids, truths, done) =
                    (shop.clone(), ids.clone(), Arc::clone(&truths), Arc::clone(&done));
                let (checked, ages) = (Arc::clone(&checked), Arc::clone(&ages));
                let (reads, behind, lasts) = (self.reads, self.behind, self.lasts);
                readers.push(tokio::spawn(async move {
                    let mut turn = reader * 7;
                    while !done.load(Ordering::Relaxed) {
                        turn += 1;
                        let key = turn % ids.len();
                        let asked = Instant::now();
                        let found = shop.products().get(ids[key]).await.unwrap();
                        let found = found.map_or(0, |product| product.version.get());
                        let [own, other] = truths[key].ages(index, found, asked);
                        if ages.count([(own, Duration::ZERO), (other, behind)]) && until_stale {
                            done.store(true, Ordering::Relaxed);
                        }
                        let number = checked.fetch_add(1, Ordering::Relaxed) + 1;
                        if number >= reads && begun.elapsed() > lasts {
                            done.store(true, Ordering::Relaxed);
                        }
                        if number.is_multiple_of(1_000_000) && is_soak() {
                            eprintln!("{number} reads after {} s", begun.elapsed().as_secs());
                        }
                        // A hit never waits: others must come to their turn.
                        tokio::task::yield_now().await;
                    }
                }));
            }
            let (shop, ids, truths, done) =
                (shop.clone(), ids.clone(), Arc::clone(&truths), Arc::clone(&done));
            let (store, dying, dead_count) = (
                Arc::clone(&store),
                dying.get(index).cloned(),
                self.counts_the_dead,
            );
            let (writes, deaths) = (Arc::clone(&writes), Arc::clone(&deaths));
            writers.push(tokio::spawn(async move {
                let mut turn = index * 3;
                while !done.load(Ordering::Relaxed) {
                    turn += 1;
                    let key = turn % ids.len();
                    let version = write(&shop, &store, ids[key]).await;
                    writes.fetch_add(1, Ordering::Relaxed);
                    let died = dying.as_ref().is_some_and(|cache| cache.has_died());
                    if died {
                        deaths.fetch_add(1, Ordering::Relaxed);
                    }
                    if !died || dead_count {
                        truths[key].note(index, version);
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }));
        }
        for task in readers.into_iter().chain(writers) {
            task.await.unwrap();
        }
        let stats = [shops[0].cache().stats(), shops[1].cache().stats()];
        for shop in shops {
            shop.close().await;
        }
        Outcome {
            reads: checked.load(Ordering::Relaxed),
            stale: ages.stale(),
            worst: ages.worst(),
            ages: ages.sums(),
            bound: self.behind,
            took: begun.elapsed(),
            writes: writes.load(Ordering::Relaxed),
            deaths: deaths.load(Ordering::Relaxed),
            stats,
        }
    }
}

/// Changes a product, whatever it is now; the new version.
async fn write(shop: &Stockroom, store: &SlowStore, id: ProductId) -> u64 {
    static TITLES: AtomicU64 = AtomicU64::new(0);
    loop {
        let product = store.product(id).await;
        let title = format!("Mug {}", TITLES.fetch_add(1, Ordering::Relaxed));
        match shop
            .products()
            .update(&product, ProductPatch::new().title(title))
            .await
        {
            Ok(product) => return product.version.get(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
}
