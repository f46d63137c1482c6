//! The staleness harness: readers, writers and slow loaders in two shops on one store, and a count of what was read too old.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::Cache;
use stockroom::CachePolicy;
use stockroom::CacheStats;
use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::ProductId;
use stockroom::ProductPatch;
use stockroom::Stockroom;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::engines;
use uuid::Uuid;

use super::dying::DyingCache;
use super::slow::SlowStore;
use crate::support::usd;

/// Readers in each shop.
const READERS: usize = 4;

/// Reads of one trial; a thousand times as many in a soak would be days, a hundred times are hours.
pub(super) fn reads() -> usize {
    if engines::setting("STOCKROOM_SOAK").is_some() {
        10_000_000
    } else {
        100_000
    }
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

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) reads: usize,
    pub(super) stale: usize,
    pub(super) writes: usize,
    pub(super) deaths: usize,
    pub(super) stats: [CacheStats; 2],
}

/// A row of a table in Markdown, without the name that it begins with; [`TITLES`] are its columns.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |field: fn(&CacheStats) -> u64| self.stats.iter().map(field).sum::<u64>();
        let counts = [
            self.reads as u64,
            self.stale as u64,
            self.writes as u64,
            self.deaths as u64,
            sum(|stats| stats.hits_in_process),
            sum(|stats| stats.hits_shared),
            sum(|stats| stats.loads),
            sum(|stats| stats.waited),
            sum(|stats| stats.bypassed_held),
            sum(|stats| stats.bypassed_down),
            sum(|stats| stats.fills_void),
        ];
        let counts = counts.map(|count| count.to_string());
        write!(f, "| {} |", counts.join(" | "))
    }
}

/// What a row of outcomes tells.
const TITLES: [&str; 12] = [
    "trial",
    "reads",
    "stale",
    "writes",
    "died",
    "in process",
    "shared",
    "loads",
    "waited",
    "held",
    "down",
    "void",
];

/// Prints an outcome as a row of a table; the first one with the head, so that what a soak prints can be kept.
pub(super) fn tell(name: &str, outcome: &Outcome) {
    static HEAD: Once = Once::new();
    HEAD.call_once(|| {
        println!(
            "| {} |\n|---|{}",
            TITLES.join(" | "),
            "---:|".repeat(TITLES.len() - 1)
        )
    });
    println!("| {name} {outcome}");
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

    /// The least version that a read which starts now may give.
    fn least(&self, shop: usize, behind: Duration) -> u64 {
        let own = self.written[shop]
            .lock()
            .unwrap()
            .last()
            .map_or(0, |(_, version)| *version);
        let other = self.written[1 - shop].lock().unwrap();
        let known = other.iter().rev().find(|(at, _)| at.elapsed() >= behind);
        own.max(known.map_or(0, |(_, version)| *version))
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
        let (checked, stale) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (writes, deaths) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (mut readers, mut writers) = (Vec::new(), Vec::new());
        for (index, shop) in shops.iter().enumerate() {
            for reader in 0..READERS {
                let (shop, ids, truths, done) =
                    (shop.clone(), ids.clone(), Arc::clone(&truths), Arc::clone(&done));
                let (checked, stale) = (Arc::clone(&checked), Arc::clone(&stale));
                let (reads, behind, lasts) = (self.reads, self.behind, self.lasts);
                readers.push(tokio::spawn(async move {
                    let mut turn = reader * 7;
                    while !done.load(Ordering::Relaxed) {
                        turn += 1;
                        let key = turn % ids.len();
                        let least = truths[key].least(index, behind);
                        let found = shop.products().get(ids[key]).await.unwrap();
                        let found = found.map_or(0, |product| product.version.get());
                        if found < least {
                            stale.fetch_add(1, Ordering::Relaxed);
                            if until_stale {
                                done.store(true, Ordering::Relaxed);
                            }
                        }
                        if checked.fetch_add(1, Ordering::Relaxed) + 1 >= reads && begun.elapsed() > lasts {
                            done.store(true, Ordering::Relaxed);
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
            stale: stale.load(Ordering::Relaxed),
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
