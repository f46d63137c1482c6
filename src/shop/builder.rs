//! What a shop is opened with.

use std::sync::Arc;
use std::time::Duration;

use super::Stockroom;
use super::open;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Clock;
use crate::model::Currency;
use crate::model::SystemClock;
use crate::spi::store::CommitObserver;
use crate::spi::store::Migrate;
use crate::spi::store::Store;
use crate::transaction::Context;
use crate::transaction::Settings;

/// How long a call may take unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a cart lives after the last change of its lines unless told otherwise.
const CART_EXPIRY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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
    schema: Migrate,
    clock: Arc<dyn Clock>,
    observers: Vec<Arc<dyn CommitObserver>>,
    deadline: Duration,
    cart_expiry: Duration,
    currency: Currency,
}

/// Where the store comes from.
enum Source {
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

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            source: None,
            schema: Migrate::default(),
            clock: Arc::new(SystemClock),
            observers: Vec::new(),
            deadline: DEADLINE,
            cart_expiry: CART_EXPIRY,
            currency: Currency::USD,
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

    /// Opens the shop.
    ///
    /// # Errors
    /// - `Config` when no store is named, the store does not hold what a shop needs, or a length of time is
    ///   out of range.
    /// - Those of [`Stockroom::open`].
    pub async fn open(self) -> Result<Stockroom> {
        if self.cart_expiry.is_zero() || self.cart_expiry > LONGEST_EXPIRY {
            return Err(config(
                "a cart must live more than nothing and at most a hundred years",
            ));
        }
        let store = match self.source {
            Some(Source::Store(store)) => store,
            Some(Source::Url(url)) => open::open(&url, self.schema)
                .await
                .map_err(|error| error.operation("open"))?,
            None => {
                return Err(config(
                    "name a store, as in Stockroom::builder().url(\"sqlite://shop.db\")",
                ));
            }
        };
        check_readers(&*store)?;
        let settings = Settings {
            store,
            clock: self.clock,
            observers: self.observers,
            cart_expiry: self.cart_expiry,
            currency: self.currency,
        };
        Ok(Stockroom::new(Context::new(settings, self.deadline)))
    }
}

/// A store that lacks a reader would fail at the first call; it fails here.
fn check_readers(store: &dyn Store) -> Result<()> {
    let readers = store.readers();
    let present = [
        ("products", readers.product.is_some()),
        ("carts", readers.cart.is_some()),
        ("orders", readers.order.is_some()),
        ("payments", readers.payment.is_some()),
        ("inventory", readers.inventory.is_some()),
        ("unique keys", readers.claim.is_some()),
        ("history", readers.history.is_some()),
    ];
    match present.into_iter().find(|(_, present)| !present) {
        Some((what, _)) => {
            let engine = store.capability().engine;
            Err(config(format!("the store ({engine}) does not hold {what}")))
        }
        None => Ok(()),
    }
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message).operation("open")
}
