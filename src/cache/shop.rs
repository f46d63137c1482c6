//! The cache of an open shop: its parts put together, its tasks, and what applications see of it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::cached::Cached;
use super::cached::Kept;
use super::clock::CoarseClock;
use super::codec::Cacheable;
use super::config::Cache;
use super::front::Front;
use super::keys::Names;
use super::loader::Loadable;
use super::observer::Binding;
use super::policy::CachePolicy;
use super::remote::Remote;
use super::sink::CacheSink;
use super::stats::CacheStats;
use super::stats::Counters;
use super::stores::Stores;
use super::tail;
use super::tasks::Tasks;
use super::tier::Drops;
use super::tier::Generations;
use super::tier::Local;
use super::tier::News;
use super::tier::Tier;
use super::writer::Rewrites;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::Product;
use crate::resilience::Deadline;
use crate::spi::cache::Follower;
use crate::spi::cache::SharedCache;
use crate::spi::changes::ChangeSink;
use crate::spi::store::CommitObserver;

/// How long values are served in this process after the last proof that all news was heard: with push, and from the feed.
const WITH_PUSH: Duration = Duration::from_secs(1);
const FROM_FEED: Duration = Duration::from_secs(2);

/// The longest that a value is kept in this process where nobody tells of invalidations.
const UNTOLD: Duration = Duration::from_secs(1);

/// The cache of a shop, as applications see it.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use stockroom::{Cache, Stockroom};
///
/// let shop = Stockroom::builder().url("sqlite::memory:").cache(Cache::in_process()).open().await?;
/// assert_eq!(shop.cache().stats().hit_ratio(), None);
/// # shop.close().await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug, Default)]
pub struct ShopCache {
    parts: Option<Arc<Parts>>,
}

#[derive(Debug)]
struct Parts {
    products: Cached<Product>,
    carts: Cached<Cart>,
    shared: Option<Arc<dyn SharedCache>>,
    counters: Arc<Counters>,
    tasks: Arc<Tasks>,
    sound_until: Arc<AtomicU64>,
    /// Dropped with the last handle, and with it the tasks that run as long as the shop.
    stop: watch::Sender<bool>,
    running: Tasks,
}

/// A cache that was opened, and what the shop has to bind it to.
pub(crate) struct Opened {
    pub(crate) cache: ShopCache,
    pub(crate) observer: Arc<dyn CommitObserver>,
    /// What repeats invalidations, where there is a shared tier and a feed.
    pub(crate) sink: Option<Arc<dyn ChangeSink>>,
}

impl ShopCache {
    /// What the cache of this process did since it was opened; all zero without one.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let Some(parts) = &self.parts else {
            return CacheStats::default();
        };
        let mut stats = parts.counters.stats();
        add_tier(&mut stats, &parts.products.0);
        add_tier(&mut stats, &parts.carts.0);
        stats
    }

    /// Makes one round trip to the shared tier; none without one.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when it does not answer.
    pub async fn ping(&self) -> Result<()> {
        match self.parts.as_ref().and_then(|parts| parts.shared.as_ref()) {
            Some(shared) => shared
                .ping(Deadline::within(Duration::from_secs(1)))
                .await
                .map_err(|error| error.operation("cache.ping")),
            None => Ok(()),
        }
    }

    pub(crate) fn products(&self) -> Option<Cached<Product>> {
        self.parts.as_ref().map(|parts| parts.products.clone())
    }

    pub(crate) fn carts(&self) -> Option<Cached<Cart>> {
        self.parts
            .as_ref()
            .map(|parts| parts.carts.clone())
            .filter(|carts| {
                // Without the tier that they are kept in they are not worth a look.
                carts.0.remote.is_some() || carts.0.local.tier.is_some()
            })
    }

    /// Ends the tasks and the connections; nothing is served from this process any more.
    pub(crate) async fn close(&self) {
        let Some(parts) = &self.parts else { return };
        parts.stop.send_replace(true);
        parts.sound_until.store(0, Ordering::Release);
        parts.tasks.close().await;
        parts.running.close().await;
        parts.sound_until.store(0, Ordering::Release);
        if let Some(shared) = &parts.shared {
            shared.close().await;
        }
    }
}

impl Cache {
    /// Puts the parts together and starts what follows the news.
    pub(crate) fn open(self, stores: Stores) -> Result<Opened> {
        self.check()?;
        let (counters, tasks) = (Arc::new(Counters::default()), Arc::new(Tasks::default()));
        let (clock, sound_until) = (CoarseClock::new(), Arc::new(AtomicU64::new(0)));
        let remote = self.shared.as_ref().map(|shared| {
            let times = (self.read, self.write);
            Arc::new(Remote::new(Arc::clone(shared), times, Arc::clone(&counters)))
        });
        let has_push = remote.as_ref().is_some_and(|remote| remote.capability().push);
        let feed = stores.feed();
        let room = Room {
            names: Names::new(self.namespace.clone()),
            stores: stores.clone(),
            remote: remote.clone(),
            counters: Arc::clone(&counters),
            tasks: Arc::clone(&tasks),
            news: (Arc::clone(&clock), Arc::clone(&sound_until)),
            capacity: self.capacity,
            audit_every: self.audit_one_in,
            is_told: has_push || feed.is_some(),
        };
        let (products, carts) = (
            room.cached::<Product>(self.products),
            room.cached::<Cart>(self.carts),
        );
        let policies = vec![(Aggregate::Product, self.products), (Aggregate::Cart, self.carts)];
        let front = Arc::new(Front {
            names: room.names.clone(),
            aggregates: vec![
                (
                    Aggregate::Product,
                    Arc::clone(&products.0.local) as Arc<dyn Drops>,
                ),
                (Aggregate::Cart, Arc::clone(&carts.0.local) as Arc<dyn Drops>),
            ],
            clock: Arc::clone(&clock),
            sound_until: Arc::clone(&sound_until),
            allowance: if has_push { WITH_PUSH } else { FROM_FEED },
            counters: Arc::clone(&counters),
        });
        let (stop, stopped) = watch::channel(false);
        let running = Tasks::default();
        running.spawn(Arc::clone(&clock).run(stopped.clone()));
        match (&self.shared, &feed) {
            (Some(shared), _) if has_push => shared.follow(Arc::clone(&front) as Arc<dyn Follower>),
            (_, Some(feed)) => running.spawn(tail::follow(Arc::clone(feed), Arc::clone(&front), stopped)),
            // Nobody tells: values are kept for so short a time that nobody needs to.
            _ => sound_until.store(u64::MAX, Ordering::Release),
        }
        let sink = remote.as_ref().filter(|_| stores.have_feeds()).map(|remote| {
            Arc::new(CacheSink {
                front: Arc::clone(&front),
                remote: Arc::clone(remote),
                policies: policies.clone(),
                stores: stores.clone(),
            }) as Arc<dyn ChangeSink>
        });
        let observer = Binding {
            front,
            remote,
            policies,
            stores,
            on_cache_down: self.on_cache_down,
            rewrites: Rewrites {
                products: products.clone(),
                carts: carts.clone(),
            },
            counters: Arc::clone(&counters),
            holds: Mutex::default(),
        };
        let parts = Parts {
            products,
            carts,
            shared: self.shared,
            counters,
            tasks,
            sound_until,
            stop,
            running,
        };
        Ok(Opened {
            cache: ShopCache {
                parts: Some(Arc::new(parts)),
            },
            observer: Arc::new(observer),
            sink,
        })
    }
}

/// What the caches of all aggregates are made with.
struct Room {
    names: Names,
    stores: Stores,
    remote: Option<Arc<Remote>>,
    counters: Arc<Counters>,
    tasks: Arc<Tasks>,
    news: News,
    capacity: u64,
    audit_every: u64,
    is_told: bool,
}

impl Room {
    fn cached<T: Loadable>(&self, policy: CachePolicy) -> Cached<T> {
        let generations = Arc::new(Generations::new());
        let tier = policy
            .in_process()
            .then(|| Tier::new(self.capacity, Arc::clone(&generations), self.news.clone()));
        Cached(Arc::new(Kept {
            policy,
            local: Arc::new(Local { generations, tier }),
            keep_here: if self.is_told {
                policy.keep
            } else {
                policy.keep.min(UNTOLD)
            },
            remote: self.remote.clone().filter(|_| policy.in_shared()),
            names: self.names.clone(),
            store: Arc::clone(self.stores.of(T::KIND)),
            flights: Arc::default(),
            counters: Arc::clone(&self.counters),
            tasks: Arc::clone(&self.tasks),
            audit_every: self.audit_every,
        }))
    }
}

fn add_tier<T: Loadable + Cacheable>(stats: &mut CacheStats, kept: &Kept<T>) {
    if let Some(tier) = &kept.local.tier {
        stats.entries += tier.entries();
        stats.bytes += tier.bytes();
    }
}
