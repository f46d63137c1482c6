//! DynamoDB: five tables under one prefix, transactions that prove what was read, keyed reads that see every commit.
//!
//! - A write set is one `TransactWriteItems`: what it rests on is read, tried in memory, and written under the condition that
//!   nothing moved (`commit/`).
//! - Reads by key are strongly consistent; lists come by indexes, which may be behind by moments (`read/`).
//! - docs/dynamodb.md tells layout, limits and cost.

mod cancelled;
mod clock;
mod commit;
mod coordination;
mod epoch;
mod error;
#[cfg(feature = "testkit")]
mod faulty;
mod fetch;
mod item;
mod json;
mod keys;
mod letters;
mod meter;
mod options;
mod policy;
mod read;
mod records;
mod regions;
mod scaling;
mod schema;
mod streams;
mod table_options;
mod tables;
mod usage;
mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use options::DynamoOptions;
pub use policy::Role;
pub use schema::Difference;
pub use schema::TableReport;
pub use schema::TableState;
pub use schema::TablesReport;
pub use table_options::Scaling;
pub use table_options::TableCapacity;
pub use table_options::TableEncryption;
pub use table_options::TableOptions;
pub use usage::DynamoUsage;
pub use usage::OperationUsage;
pub use usage::Throttles;

use self::commit::Committer;
use self::coordination::DynamoCoordination;
use self::streams::DynamoChanges;
use self::wire::Wire;
use crate::backend::epoch::Epoch;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::Sku;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::store::Capability;
use crate::spi::store::CommitStatus;
use crate::spi::store::Committed;
use crate::spi::store::Limits;
use crate::spi::store::Readers;
use crate::spi::store::Regions;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// What one transaction holds: a hundred items, one of which is the commit's own, and 4 MB.
const LIMITS: Limits = Limits {
    operations: 99,
    bytes: 4_000_000,
};

/// Two items for each line: its level and what happened to it. Beside them the order, the cart and its past where that has to be
/// moved, its claim, the key, and the item of the commit.
const ORDER_LINES: usize = (LIMITS.operations + 1 - 6) / 2;

fn capability(regions: Regions) -> Capability {
    let mut capability = Capability::new(
        "dynamodb",
        &[
            Aggregate::Product,
            Aggregate::Cart,
            Aggregate::Order,
            Aggregate::Payment,
            Aggregate::Level,
        ],
        LIMITS,
    );
    // Lists come by indexes, which the service keeps up to date a moment later.
    capability.reads_own_writes = false;
    capability.regions = regions;
    capability.order_lines = ORDER_LINES;
    capability
}

/// How long opening may take: the making of the tables included.
const OPENING: Duration = Duration::from_secs(120);

/// A shop on DynamoDB.
///
/// - One write set is one transaction of at most 100 items and 4 MB; past that it is `TooLarge`, and nothing is sent.
/// - Reads by id, slug, SKU, key, order and reference see every commit that returned before; lists of products and orders, and
///   the holds that are over, come by indexes that may be behind by moments.
/// - What expires goes by the clock of the process: keep it synchronised.
/// - Where its tables are replicated to several regions it is written in one, and elsewhere only read: commits are
///   `Unsupported` there, and it has neither feed nor coordination. [`Capability::regions`] tells.
/// - Its feed is made of the tables' streams, which keep a day: a sink that stays away for longer has to begin anew.
#[derive(Debug)]
pub struct DynamoStore {
    capability: Capability,
    wire: Arc<Wire>,
    readers: Readers,
    committer: Committer,
    epoch: Epoch,
    changes: Arc<DynamoChanges>,
}

impl DynamoStore {
    /// Opens the tables, comparing them with what is needed.
    ///
    /// # Errors
    /// - `Config`: no region, a prefix that no table can have, a table that is missing (unless
    ///   [`Migrate::Apply`](crate::backend::Migrate::Apply) creates it) or has other keys, indexes or types, or no stream;
    ///   tables in several regions without [`DynamoOptions::write_region`].
    /// - `Unsupported`: strongly consistent global tables, which have no transactions.
    /// - `Unauthenticated`: no credentials, or wrong or expired ones. `PermissionDenied`: they do not allow it.
    /// - `Unavailable`, `Timeout`: the service cannot be reached.
    pub async fn connect(options: DynamoOptions) -> Result<Self> {
        // Boxed without its type: the client library nests futures so deep that callers would run into the compiler's limits.
        let opening: Pin<Box<dyn Future<Output = Result<Self>> + Send>> = Box::pin(Self::open(options));
        opening.await
    }

    async fn open(options: DynamoOptions) -> Result<Self> {
        let wire = Arc::new(Wire::new(&options)?);
        let deadline = Deadline::within(OPENING);
        let tables = schema::prepare(&wire, &options, deadline).await?;
        let regions = regions::regions(&options, &tables)?;
        let epoch = Epoch::new(epoch::read(&wire, deadline).await?);
        Ok(Self {
            capability: capability(regions),
            readers: read::readers(&wire),
            committer: Committer::start(wire.clone(), epoch.clone()),
            changes: Arc::new(DynamoChanges::new(wire.clone(), epoch.clone())),
            wire,
            epoch,
        })
    }

    /// What the service's calls have cost since the store was opened, in this process, and how often it throttled.
    #[must_use]
    pub fn usage(&self) -> DynamoUsage {
        self.wire.meter.usage()
    }

    /// How the tables are, compared with what a store needs and what
    /// [`DynamoOptions::tables`] asks for. Nothing is opened and nothing changed.
    ///
    /// - What is not asked for is not compared: a table may well have more protection than the options name.
    /// - What the service does not tell, as the local engine does of backups and tags, is reported as not told.
    ///
    /// ```no_run
    /// # async fn report(options: stockroom::DynamoOptions) -> stockroom::Result<()> {
    /// let report = stockroom::DynamoStore::describe(&options).await?;
    /// println!("{report}");
    /// assert!(report.is_usable());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - `Config`, `Unauthenticated` for options that lack something, or credentials that are wrong or have expired.
    /// - `PermissionDenied`: they do not allow it.
    /// - `Unavailable`, `Timeout`: the service cannot be reached.
    pub async fn describe(options: &DynamoOptions) -> Result<TablesReport> {
        let wire = Wire::new(options)?;
        let deadline = Deadline::within(OPENING);
        // Boxed for the same reason as the opening.
        let describing: Pin<Box<dyn Future<Output = Result<TablesReport>> + Send + '_>> =
            Box::pin(schema::describe(&wire, options, deadline));
        describing.await
    }

    /// Spreads a level over so many items, 2 to 32, so that more transactions a second can change it;
    /// [`DynamoOptions::level_shares`] tells what that means.
    ///
    /// - What is on hand and allocated is dealt evenly; nobody who reads the level notices.
    /// - While it is sold from goes well: whoever meets it tries again. A level is not gathered again.
    ///
    /// # Errors
    /// - `NotFound` where there is no level; `InvalidInput` on `shares` for fewer than it has, or more than there can be.
    /// - `Unsupported` where the shop is only read; `Unavailable`, `Timeout`. Repeating is harmless.
    pub async fn spread_level(
        &self,
        sku: &Sku,
        location: &LocationId,
        shares: usize,
        deadline: Deadline,
    ) -> Result<()> {
        self.check_writes()?;
        let spreading: Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> =
            Box::pin(self.wire.respread((sku, location), shares, deadline));
        spreading.await
    }

    /// # Errors
    /// `Unsupported` where the shop is only read.
    fn check_writes(&self) -> Result<()> {
        if self.capability.regions.takes_writes() {
            return Ok(());
        }
        Err(regions::written_elsewhere())
    }

    /// Moves the store's clock, for tests of what expires.
    #[cfg(feature = "testkit")]
    pub fn shift_clock(&self, by: Duration) {
        self.wire.clock.shift(by);
    }
}

#[async_trait]
impl Store for DynamoStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn epoch(&self) -> i64 {
        self.epoch.get()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        let changes: Arc<dyn ChangeSource> = self.changes.clone();
        self.capability.regions.takes_writes().then_some(changes)
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        // Leases and positions are writes too.
        let coordination: Arc<dyn Coordination> = Arc::new(DynamoCoordination(self.wire.clone()));
        self.capability.regions.takes_writes().then_some(coordination)
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        self.check_writes()?;
        self.epoch.check(&set)?;
        self.committer.commit(set, deadline).await
    }

    fn commits(&self) -> CommitStatus {
        self.committer.status()
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        self.check_writes()?;
        epoch::raise(&self.epoch, &self.wire, deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        epoch::read(&self.wire, deadline).await.map(drop)
    }

    async fn close(&self) {
        self.committer.close().await;
        self.wire.close();
    }
}
