//! The cache of an open shop, as applications and the shop itself see it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::cached::Cached;
use super::cached::Kept;
use super::codec::Cacheable;
use super::hints::StockHints;
use super::loader::Loadable;
use super::products::ProductCache;
use super::stats::CacheStats;
use super::stats::Counters;
use super::tasks::Tasks;
use crate::error::Result;
use crate::model::Cart;
use crate::resilience::Deadline;
use crate::spi::cache::SharedCache;
use crate::spi::changes::ChangeSink;
use crate::spi::store::CommitObserver;

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
    pub(super) parts: Option<Arc<Parts>>,
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) products: ProductCache,
    pub(super) carts: Cached<Cart>,
    pub(super) hints: StockHints,
    pub(super) shared: Option<Arc<dyn SharedCache>>,
    pub(super) counters: Arc<Counters>,
    pub(super) tasks: Arc<Tasks>,
    pub(super) sound_until: Arc<AtomicU64>,
    /// Dropped with the last handle, and with it the tasks that run as long as the shop.
    pub(super) stop: watch::Sender<bool>,
    pub(super) running: Tasks,
    #[cfg(feature = "metrics")]
    pub(super) namespace: String,
}

impl Parts {
    pub(super) fn stats(&self) -> CacheStats {
        let mut stats = self.counters.stats();
        add_tier(&mut stats, &self.products.values.0);
        add_tier(&mut stats, &self.carts.0);
        stats
    }
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
        self.parts.as_ref().map(|parts| parts.stats()).unwrap_or_default()
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

    pub(crate) fn products(&self) -> Option<ProductCache> {
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

    pub(crate) fn hints(&self) -> Option<StockHints> {
        self.parts.as_ref().map(|parts| parts.hints.clone())
    }

    /// Ends the tasks and the connections; nothing is served from this process any more.
    pub(crate) async fn close(&self) {
        let Some(parts) = &self.parts else { return };
        parts.stop.send_replace(true);
        parts.sound_until.store(0, Ordering::Release);
        parts.tasks.close().await;
        parts.running.close().await;
        #[cfg(feature = "metrics")]
        super::metrics::tell(&parts.stats(), &parts.namespace);
        parts.sound_until.store(0, Ordering::Release);
        if let Some(shared) = &parts.shared {
            shared.close().await;
        }
    }
}

fn add_tier<T: Loadable + Cacheable>(stats: &mut CacheStats, kept: &Kept<T>) {
    if let Some(tier) = &kept.local.tier {
        stats.entries += tier.entries();
        stats.bytes += tier.bytes();
    }
}
