//! A cache is opened: its parts are put together, and what follows the news is started.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::aliases::Aliases;
use super::cached::Cached;
use super::cached::Kept;
use super::clock::CoarseClock;
use super::config::Cache;
use super::front::Front;
use super::hints::StockHints;
use super::holds;
use super::holds::Holds;
use super::keys::Names;
use super::listings::Listings;
use super::listings::Shelf;
use super::loader::Loadable;
use super::observer::Binding;
use super::policy::CachePolicy;
use super::policy::Consistency;
use super::products::ProductCache;
use super::remote::Remote;
use super::shop::Opened;
use super::shop::Parts;
use super::shop::ShopCache;
use super::sink::CacheSink;
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
use crate::spi::cache::Follower;
use crate::spi::changes::ChangeSink;

/// How long values are served in this process after the last proof that all news was heard: with push, and from the feed. That
/// is a tenth of a second less than is promised: the clock by which it ends is late by a tick, and by what the runtime is late.
const WITH_PUSH: Duration = Duration::from_millis(900);
const FROM_FEED: Duration = Duration::from_millis(1_900);

/// The longest that a value is kept in this process where nobody tells of invalidations.
const UNTOLD: Duration = Duration::from_secs(1);

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
        let listings = room.listings(self.listings, &products);
        let policies = vec![(Aggregate::Product, self.products), (Aggregate::Cart, self.carts)];
        let allowance = if has_push { WITH_PUSH } else { FROM_FEED };
        let front = room.front((&products, &carts), allowance);
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
                listings: listings.clone(),
                stores: stores.clone(),
            }) as Arc<dyn ChangeSink>
        });
        let holds = self.holds(remote.clone(), (&running, stop.subscribe()));
        let observer = Binding {
            front,
            remote,
            policies,
            listings: listings.clone(),
            stores,
            on_cache_down: self.on_cache_down,
            rewrites: Rewrites {
                products: products.clone(),
                carts: carts.clone(),
            },
            counters: Arc::clone(&counters),
            holds,
            margin: self.hold_margin,
        };
        let products = ProductCache {
            values: products,
            aliases: Arc::new(Aliases::default()),
            listings,
        };
        let parts = Parts {
            products,
            carts,
            hints: StockHints::new(self.hints, clock, Arc::clone(&counters)),
            shared: self.shared,
            counters,
            tasks,
            sound_until,
            stop,
            running,
            #[cfg(feature = "metrics")]
            namespace: self.namespace,
        };
        let parts = Arc::new(parts);
        #[cfg(feature = "metrics")]
        parts.running.spawn(super::metrics::publish(
            Arc::downgrade(&parts),
            parts.namespace.clone(),
            parts.stop.subscribe(),
        ));
        Ok(Opened {
            cache: ShopCache { parts: Some(parts) },
            observer: Arc::new(observer),
            sink,
        })
    }

    /// Where holds are noted, and what lengthens them where there may be any.
    fn holds(
        &self,
        remote: Option<Arc<Remote>>,
        (running, stopped): (&Tasks, watch::Receiver<bool>),
    ) -> Arc<Holds> {
        let holds = Arc::new(Holds::default());
        let is_strict = [self.products, self.carts]
            .iter()
            .any(|policy| policy.consistency == Consistency::Strict);
        if let Some(remote) = remote.filter(|_| is_strict) {
            running.spawn(holds::renew(
                Arc::clone(&holds),
                remote,
                self.hold_margin,
                stopped,
            ));
        }
        holds
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
    /// What hears of invalidations, and drops what is kept here.
    fn front(&self, (products, carts): (&Cached<Product>, &Cached<Cart>), allowance: Duration) -> Arc<Front> {
        let (clock, sound_until) = &self.news;
        let products: Arc<dyn Drops> = Arc::<Local<Product>>::clone(&products.0.local);
        let carts: Arc<dyn Drops> = Arc::<Local<Cart>>::clone(&carts.0.local);
        Arc::new(Front {
            names: self.names.clone(),
            aggregates: vec![(Aggregate::Product, products), (Aggregate::Cart, carts)],
            clock: Arc::clone(clock),
            sound_until: Arc::clone(sound_until),
            allowance,
            counters: Arc::clone(&self.counters),
        })
    }

    /// Pages of lists are kept where the processes share them: a tag that is raised counts at once then.
    fn listings(&self, policy: Option<CachePolicy>, products: &Cached<Product>) -> Option<Listings> {
        let policy = policy.filter(CachePolicy::in_shared)?;
        let remote = self.remote.clone()?;
        Some(Listings(Arc::new(Shelf {
            policy,
            remote,
            names: self.names.clone(),
            store: Arc::clone(&self.stores.products),
            products: products.clone(),
            counters: Arc::clone(&self.counters),
        })))
    }

    fn cached<T: Loadable>(&self, policy: CachePolicy) -> Cached<T> {
        let generations = Arc::new(Generations::new());
        let tier = policy.in_process().then(|| {
            let counters = Arc::clone(&self.counters);
            Tier::new(
                self.capacity,
                Arc::clone(&generations),
                self.news.clone(),
                counters,
            )
        });
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
