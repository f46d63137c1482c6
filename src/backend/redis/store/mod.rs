//! Carts on Redis: one hash a cart, one script a commit, a stream as the feed.
//!
//! - All keys of a shop have one tag and lie in one slot, so that one script can change any of them together: two carts of a
//!   merge, the unique key that goes from one to the other, the record of the commit, the feed.
//! - The server's clock decides what has ended; that the server removes it later only frees the memory.
//! - docs/redis-carts.md tells layout, limits, and what a restart or a failover can lose.

mod answer;
mod changes;
mod commit;
mod keys;
mod message;
mod options;
mod position;
mod read;
mod record;
mod scripts;
mod server;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use options::RedisStoreOptions;

use self::changes::RedisChanges;
use self::commit::Committer;
use self::keys::Keys;
use self::read::Carts;
use self::wire::Wire;
use self::wire::late;
use super::fred::FredClient;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::store::Capability;
use crate::spi::store::CommitStatus;
use crate::spi::store::Committed;
use crate::spi::store::Limits;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// What one script is given at most: the server does nothing else while it runs.
const LIMITS: Limits = Limits {
    operations: 256,
    bytes: 4_000_000,
};

const CAPABILITY: Capability = capability();

const fn capability() -> Capability {
    let mut capability = Capability::new("redis", &[Aggregate::Cart], LIMITS);
    capability.product_lists = false;
    capability
}

/// How long opening may take.
const OPENING: Duration = Duration::from_secs(10);

/// Carts on Redis 6.2 or later, on Valkey, or on one shard of a cluster of either: a store to place carts on.
///
/// - It holds carts and nothing else, keeps no history, and no positions of sinks: those lie with the orders.
/// - A commit lasts as the server makes it last. With `appendonly yes` and `appendfsync always` what was answered survives a crash of
///   the server; with `everysec` the last second may be lost; without a log every cart is lost with the server.
///   [`has_log`](Self::has_log) tells. A failover may lose what was not replicated yet.
/// - Carts end by the server's clock, and leave its memory a day later.
///
/// ```no_run
/// # #[cfg(feature = "sqlite")]
/// # async fn open() -> stockroom::Result<()> {
/// use stockroom::{Aggregate, RedisStore, Stockroom};
///
/// let carts = RedisStore::connect("rediss://app:secret@carts.internal:6379").await?;
/// let shop = Stockroom::builder()
///     .url("sqlite://shop.db")
///     .place([Aggregate::Cart], carts)
///     .open()
///     .await?;
/// # drop(shop);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisStore {
    wire: Arc<Wire>,
    readers: Readers,
    committer: Committer,
    changes: Arc<RedisChanges>,
    has_log: bool,
}

impl RedisStore {
    /// Connects, and looks whether the server can keep carts.
    ///
    /// # Errors
    /// - `Config`: the address or the prefix cannot be used, the server is too old, it evicts keys when its memory is full,
    ///   or the carts there are of another version of the crate.
    /// - `Unauthenticated`, `PermissionDenied`: the server refuses.
    /// - `Unavailable`, `Timeout`: it cannot be reached, or is a replica.
    pub async fn connect(options: impl Into<RedisStoreOptions> + Send) -> Result<Self> {
        let options = options.into();
        let opening = Self::open(options).await;
        opening.map_err(|error: Error| error.operation("redis.connect"))
    }

    async fn open(options: RedisStoreOptions) -> Result<Self> {
        let keys = Keys::new(&options.prefix)?;
        let deadline = Deadline::within(OPENING);
        let client = deadline.bound(FredClient::connect(&options.connection)).await;
        let client = client.ok_or_else(late)??;
        let wire = Arc::new(Wire::new(Box::new(client), keys));
        let server = server::look(&wire, deadline).await?;
        if !server.has_log {
            tracing::warn!("the server of the carts has no append-only file: a restart of it loses them");
        }
        let readers = Readers {
            cart: Some(Arc::new(Carts(Arc::clone(&wire)))),
            ..Readers::default()
        };
        Ok(Self {
            readers,
            committer: Committer::new(Arc::clone(&wire), options.feed_length),
            changes: Arc::new(RedisChanges(Arc::clone(&wire))),
            has_log: server.has_log,
            wire,
        })
    }

    /// Whether the server had an append-only file when the store was opened: without one a restart of the server loses
    /// every cart, or falls back to its last snapshot.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.has_log
    }

    /// Moves the clock of this store, for tests of what expires.
    #[cfg(feature = "testkit")]
    pub fn shift_clock(&self, by: Duration) {
        self.wire.move_clock(by);
    }
}

#[async_trait]
impl Store for RedisStore {
    fn capability(&self) -> &Capability {
        &CAPABILITY
    }

    fn readers(&self) -> &Readers {
        &self.readers
    }

    fn epoch(&self) -> i64 {
        self.wire.epoch()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        Some(Arc::clone(&self.changes) as Arc<dyn ChangeSource>)
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        self.committer.commit(set, deadline).await
    }

    fn commits(&self) -> CommitStatus {
        self.committer.status()
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        let keys = vec![self.wire.keys.epoch()];
        let reply = self
            .wire
            .ask(&self.wire.programs.raise, (keys, Vec::new()), deadline)
            .await?;
        let raised = reply.number()?;
        self.wire.saw(raised);
        Ok(raised)
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.wire.ping(deadline).await
    }

    async fn close(&self) {
        let closed = self.wire.shut();
        self.committer.finish().await;
        if !closed {
            self.wire.client.close().await;
        }
    }
}
