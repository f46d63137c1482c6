//! What a shop is opened with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Stockroom;
use super::open;
use super::place;
use super::place::Placed;
use crate::cache::Cache;
use crate::cache::ShopCache;
use crate::cache::Stores;
use crate::changes::Relay;
use crate::changes::Sink;
use crate::changes::SinkPolicy;
use crate::changes::StartAt;
use crate::changes::Sweep;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Clock;
use crate::model::Currency;
use crate::model::SystemClock;
use crate::spi::changes::ChangeSink;
use crate::spi::changes::Wake;
use crate::spi::store::CommitObserver;
use crate::spi::store::Migrate;
use crate::spi::store::Store;
use crate::transaction::Context;
use crate::transaction::Settings;

/// How long a call may take unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a cart lives after the last change of its lines unless told otherwise.
const CART_EXPIRY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often expired holds are swept unless told otherwise.
const SWEEP: Duration = Duration::from_secs(60);

/// The name of the sink that repeats invalidations.
const CACHE_SINK: &str = "stockroom.cache";

/// Letters in the name of a sink.
const LONGEST_NAME: usize = 64;

/// What the names of the crate's own checkpoints begin with.
const RESERVED: &str = "stockroom.";

/// The longest that a cart can live: past a hundred years, times do not fit every store.
const LONGEST_EXPIRY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What a shop is opened with; only the store has to be named.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use std::time::Duration;
/// use stockroom::{Currency, Owner, Stockroom};
///
/// let shop = Stockroom::builder()
///     .url("sqlite::memory:")
///     .currency(Currency::EUR)
///     .deadline(Duration::from_secs(3))
///     .open()
///     .await?;
/// assert_eq!(shop.carts().create(Owner::Guest).await?.currency, Currency::EUR);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
#[must_use]
pub struct Builder {
    source: Option<Source>,
    pub(super) placed: Vec<Placed>,
    schema: Migrate,
    clock: Arc<dyn Clock>,
    observers: Vec<Arc<dyn CommitObserver>>,
    deadline: Duration,
    cart_expiry: Duration,
    currency: Currency,
    sinks: Vec<(String, Arc<dyn ChangeSink>, SinkPolicy)>,
    cache: Option<Cache>,
    background: bool,
    sweep: Duration,
}

/// Where a store comes from.
pub(super) enum Source {
    Url(String),
    Store(Arc<dyn Store>),
}

impl std::fmt::Debug for Source {
    /// An address may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(_) => f.write_str("Url"),
            Self::Store(store) => f.debug_tuple("Store").field(store).finish(),
        }
    }
}

impl Source {
    async fn open(self, schema: Migrate) -> Result<Arc<dyn Store>> {
        match self {
            Self::Store(store) => Ok(store),
            Self::Url(url) => {
                let opened = open::open(&url, schema).await;
                opened.map_err(|error| error.operation("open"))
            }
        }
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            source: None,
            placed: Vec::new(),
            schema: Migrate::default(),
            clock: Arc::new(SystemClock),
            observers: Vec::new(),
            deadline: DEADLINE,
            cart_expiry: CART_EXPIRY,
            currency: Currency::USD,
            sinks: Vec::new(),
            cache: None,
            background: true,
            sweep: SWEEP,
        }
    }

    /// The system of record, by its address: see [`Stockroom::open`].
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.source = Some(Source::Url(url.into()));
        self
    }

    /// The system of record.
    pub fn store(self, store: impl Store + 'static) -> Self {
        self.store_arc(Arc::new(store))
    }

    /// The system of record, where it is shared.
    pub fn store_arc(mut self, store: Arc<dyn Store>) -> Self {
        self.source = Some(Source::Store(store));
        self
    }

    /// What to do about the schema of a store that is named by its address.
    pub fn migrate(mut self, migrate: Migrate) -> Self {
        self.schema = migrate;
        self
    }

    /// The clock that stamps what is written and decides which prices are valid.
    ///
    /// - Expiry and leases are decided by the store's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Someone who is told before and after every commit; may be called more than once.
    pub fn observer(mut self, observer: Arc<dyn CommitObserver>) -> Self {
        self.observers.push(observer);
        self
    }

    /// How long a call may take; 10 s unless told otherwise.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long a cart lives after the last change of its lines; 30 days unless told otherwise.
    pub fn cart_expiry(mut self, expiry: Duration) -> Self {
        self.cart_expiry = expiry;
        self
    }

    /// The currency of carts that do not name one; US dollars unless told otherwise.
    pub fn currency(mut self, currency: Currency) -> Self {
        self.currency = currency;
        self
    }

    /// The cache in front of the store; none unless told otherwise.
    ///
    /// - A shared one follows the change feed as a sink of its own, which repeats what a writer could not invalidate.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Someone who follows the changes of the shop, by a name of its own; may be called more than once.
    ///
    /// - Of the processes that name a sink, one feeds it at a time, from where the last one stopped.
    /// - Its name is that of its checkpoint: a sink with a new name begins anew.
    pub fn sink(self, name: impl Into<String>, sink: impl ChangeSink + 'static) -> Self {
        self.sink_with(name, Arc::new(sink), SinkPolicy::new())
    }

    /// Someone who follows the changes of the shop, and how it is fed: see [`sink`](Self::sink).
    pub fn sink_with(
        mut self,
        name: impl Into<String>,
        sink: Arc<dyn ChangeSink>,
        policy: SinkPolicy,
    ) -> Self {
        self.sinks.push((name.into(), sink, policy));
        self
    }

    /// Does no work in the background in this process: sinks are not fed, expired holds are not swept, orders in parts that
    /// nobody finishes are not given up.
    ///
    /// - Sinks may still be named: their status can be asked for, and dead letters be delivered once more.
    pub fn without_background(mut self) -> Self {
        self.background = false;
        self
    }

    /// How often holds that are past their time are taken off the books, and orders in parts that nobody finishes are given up; a
    /// minute unless told otherwise.
    ///
    /// - Availability does not wait for the holds: an expired one never counts. It does wait for the orders: see
    ///   [`Checkout::give_up_idle`](crate::Checkout::give_up_idle).
    pub fn sweep_every(mut self, period: Duration) -> Self {
        self.sweep = period;
        self
    }

    /// Opens the shop.
    ///
    /// # Errors
    /// - `Config` when no store is named, the stores do not hold what a shop needs or not as it needs it (see
    ///   [`place`](Self::place)), a length of time is out of range, a sink is named twice or badly, or there are sinks and
    ///   no store has a feed.
    /// - Those of [`Stockroom::open`].
    pub async fn open(mut self) -> Result<Stockroom> {
        if self.cart_expiry.is_zero() || self.cart_expiry > LONGEST_EXPIRY {
            return Err(config(
                "a cart must live more than nothing and at most a hundred years",
            ));
        }
        let Some(source) = self.source else {
            return Err(config(
                "name a store, as in Stockroom::builder().url(\"sqlite://shop.db\")",
            ));
        };
        let store = source.open(self.schema).await?;
        let mut placed = Vec::with_capacity(self.placed.len());
        for Placed { aggregates, source } in self.placed {
            placed.push((aggregates, source.open(self.schema).await?));
        }
        let placement = place::placement(store, placed)?;
        let mut sinks = named(self.sinks)?;
        let mut cache = ShopCache::default();
        if let Some(named) = self.cache {
            let stores = Stores {
                products: Arc::clone(placement.store(Aggregate::Product)),
                carts: Arc::clone(placement.store(Aggregate::Cart)),
            };
            let opened = named.open(stores).map_err(|error| error.operation("open"))?;
            self.observers.push(opened.observer);
            let keeps_places = placement
                .homes()
                .iter()
                .any(|home| home.store.coordination().is_some());
            if let Some(sink) = opened.sink.filter(|_| keeps_places) {
                sinks.push(Sink::new(CACHE_SINK.to_owned(), sink, cache_feed()));
            }
            cache = opened.cache;
        }
        let wake = Wake::new();
        let apart = !placement.together(Aggregate::Cart, Aggregate::Order);
        let settings = Settings {
            placement,
            clock: Arc::clone(&self.clock),
            // Otherwise nobody would hear it.
            wake: (self.background && (apart || !sinks.is_empty())).then(|| wake.clone()),
            observers: self.observers,
            cart_expiry: self.cart_expiry,
            currency: self.currency,
        };
        let context = Context::new(settings, self.deadline);
        if apart {
            sinks.push(place::closing(&context));
        }
        let changes = place::changes(&context, &self.clock, sinks, self.deadline)?;
        let relay = Relay::new();
        if self.background {
            let sweep = Sweep {
                store: Arc::clone(context.placement().store(Aggregate::Level)),
                commit: context.write_path(Aggregate::Level),
                orders: place::idle_orders(&context),
                period: self.sweep,
            };
            changes.start(&relay, &wake, sweep);
        }
        Ok(Stockroom::new(context, changes, (Arc::new(relay), cache)))
    }
}

/// How the cache is fed: from now on, for what was written before is in nobody's way, and often.
fn cache_feed() -> SinkPolicy {
    SinkPolicy::new()
        .start(StartAt::Now)
        .timeout(Duration::from_secs(5))
        .poll(Duration::from_millis(250))
}

/// The sinks, each with a name of its own that can be part of a checkpoint's.
fn named(sinks: Vec<(String, Arc<dyn ChangeSink>, SinkPolicy)>) -> Result<Vec<Sink>> {
    let mut names = BTreeSet::new();
    for (name, ..) in &sinks {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            return Err(config(format!(
                "a sink is named with 1 to {LONGEST_NAME} letters, digits, - _ or ."
            )));
        }
        if name.starts_with(RESERVED) {
            return Err(config(format!(
                "names that begin with {RESERVED} are the crate's own: name the sink otherwise"
            )));
        }
        if !names.insert(name.clone()) {
            return Err(config(format!("two sinks are named {name}")));
        }
    }
    Ok(sinks
        .into_iter()
        .map(|(name, sink, policy)| Sink::new(name, sink, policy))
        .collect())
}

pub(super) fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message).operation("open")
}
