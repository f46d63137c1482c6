//! What a shop's cache is opened with.

use std::sync::Arc;
use std::time::Duration;

use super::observer::OnCacheDown;
use super::policy::CachePolicy;
use super::policy::Consistency;
use super::policy::Tiers;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::cache::SharedCache;

/// What a shop's cache is opened with: its tiers, and how the values of each aggregate are kept.
///
/// - Products are kept in both tiers, carts in the shared one alone: what a customer does through one process is seen through
///   all others at once.
/// - Nothing else is cached. Orders, payments and whatever has addresses or passwords never are, and stock that a decision
///   rests on never is.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use stockroom::{Cache, Currency, Money, NewProduct, Stockroom};
///
/// let shop = Stockroom::builder().url("sqlite::memory:").cache(Cache::in_process()).open().await?;
/// let new = NewProduct::new("Mug").variant("MUG", Money::new(9_00, Currency::USD));
/// let mug = shop.products().create(new).await?;
/// for _ in 0..10 {
///     shop.products().require(mug.id).await?;
/// }
/// // The first one loads; whether the others find it at once depends on the feed's first proof.
/// assert!(shop.cache().stats().loads >= 1);
/// # shop.close().await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Cache {
    pub(super) shared: Option<Arc<dyn SharedCache>>,
    pub(super) namespace: String,
    pub(super) capacity: u64,
    pub(super) products: CachePolicy,
    pub(super) carts: CachePolicy,
    pub(super) listings: Option<CachePolicy>,
    pub(super) on_cache_down: OnCacheDown,
    pub(super) hints: Duration,
    pub(super) hold_margin: Duration,
    pub(super) read: Duration,
    pub(super) write: Duration,
    pub(super) audit_one_in: u64,
}

impl Cache {
    /// A cache in this process alone, which follows the store's change feed.
    pub fn in_process() -> Self {
        Self {
            shared: None,
            namespace: "stockroom".to_owned(),
            capacity: 64 * 1024 * 1024,
            products: CachePolicy::new(),
            carts: CachePolicy::new().tiers(Tiers::Shared),
            listings: Some(
                CachePolicy::new()
                    .tiers(Tiers::Shared)
                    .keep(Duration::from_secs(60)),
            ),
            on_cache_down: OnCacheDown::default(),
            hints: Duration::from_secs(2),
            hold_margin: Duration::from_secs(20),
            read: Duration::from_millis(100),
            write: Duration::from_secs(1),
            audit_one_in: 8192,
        }
    }

    /// A cache in this process in front of one that processes share.
    pub fn shared(cache: impl SharedCache + 'static) -> Self {
        Self::shared_arc(Arc::new(cache))
    }

    /// A cache in this process in front of one that processes share, where somebody else uses it as well.
    pub fn shared_arc(cache: Arc<dyn SharedCache>) -> Self {
        Self {
            shared: Some(cache),
            ..Self::in_process()
        }
    }

    /// What keeps this shop's entries apart from others' on the same servers; `stockroom` unless told otherwise.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// About how many bytes of values are kept in this process; 64 MiB unless told otherwise.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// How products are kept.
    pub fn products(mut self, policy: CachePolicy) -> Self {
        self.products = policy;
        self
    }

    /// How carts are kept. A cart that has expired is never given, by the clock of the shop.
    pub fn carts(mut self, policy: CachePolicy) -> Self {
        self.carts = policy;
        self
    }

    /// How pages of lists of products are kept: in the shared tier or not at all, for a minute unless told otherwise.
    ///
    /// - `Invalidate`: nothing older than an invalidation that has returned; `Ttl`: as old as the time that they are kept.
    /// - Lists of what is in stock are never kept.
    pub fn listings(mut self, policy: CachePolicy) -> Self {
        self.listings = Some(policy);
        self
    }

    /// Keeps no pages of lists: a write of products then need not read where they belong now.
    pub fn without_listings(mut self) -> Self {
        self.listings = None;
        self
    }

    /// How long `inventory().hints` may tell what it once read, in this process; 2 s unless told otherwise, zero for never.
    pub fn hints(mut self, keep: Duration) -> Self {
        self.hints = keep;
        self
    }

    /// What happens to a write of `Strict` aggregates whose keys cannot be held; it fails unless told otherwise.
    pub fn on_cache_down(mut self, what: OnCacheDown) -> Self {
        self.on_cache_down = what;
        self
    }

    /// How long the holds of a `Strict` write last beyond its deadline; 20 s unless told otherwise, at least 100 ms.
    ///
    /// - While the write is under way they are lengthened. When its process dies its keys are held for as long, and readers go
    ///   to the store: shorter is cheaper then, longer covers a process that stands still.
    pub fn hold_margin(mut self, margin: Duration) -> Self {
        self.hold_margin = margin.max(Duration::from_millis(100));
        self
    }

    /// How long a read may wait for the shared tier before it asks the store; 100 ms unless told otherwise.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read = timeout;
        self
    }

    /// How long a write may wait for the shared tier; 1 s unless told otherwise.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write = timeout;
        self
    }

    /// One hit in this process of so many is compared with the store, rounded up to a power of two; 8192 unless told
    /// otherwise, 0 for none.
    pub fn audit_one_in(mut self, hits: u64) -> Self {
        self.audit_one_in = match hits {
            0 => 0,
            hits => hits.checked_next_power_of_two().unwrap_or(1 << 63),
        };
        self
    }

    /// Refuses what cannot be kept.
    pub(super) fn check(&self) -> Result<()> {
        if self
            .listings
            .is_some_and(|policy| policy.consistency == Consistency::Strict)
        {
            return Err(config(
                "pages of lists cannot be Strict, for nobody can hold all that may come to be listed: use Invalidate".to_owned(),
            ));
        }
        for (what, policy) in [("products", &self.products), ("carts", &self.carts)] {
            if policy.consistency != Consistency::Strict {
                continue;
            }
            let Some(shared) = &self.shared else {
                return Err(config(format!(
                    "{what} can be Strict in a shared cache only: name one"
                )));
            };
            let capability = shared.capability();
            if !capability.holds {
                let engine = capability.engine;
                return Err(config(format!(
                    "{engine} cannot hold keys back for several writers, so {what} cannot be Strict there: use Invalidate"
                )));
            }
            if policy.tiers == Tiers::InProcess {
                return Err(config(format!("{what} cannot be Strict in one process alone")));
            }
        }
        Ok(())
    }
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}
