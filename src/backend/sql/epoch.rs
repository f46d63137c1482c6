//! Which restore of the database writes are made after, as this process knows it.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use super::dialect::Reads;
use super::dialect::Statement;
use super::dialect::Text;
use super::dialect::statement;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::WriteSet;

const RAISE: Statement = statement!("epoch.raise":
    "UPDATE stockroom_meta SET value = value + 1 WHERE name = 'epoch' RETURNING value");

/// The epoch, shared by all parts of a store. The database has the truth: every commit and every read of the feed
/// compares, so that a process learns at its next step that another one restored the shop.
#[derive(Debug, Clone)]
pub(super) struct Epoch(Arc<AtomicI64>);

impl Epoch {
    pub(super) fn new(known: i64) -> Self {
        Self(Arc::new(AtomicI64::new(known)))
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Learns what the database has.
    pub(super) fn saw(&self, found: i64) {
        self.0.store(found, Ordering::Release);
    }

    /// A write set made before a restore must not be applied to what was restored.
    pub(super) fn check(&self, set: &WriteSet) -> Result<()> {
        let known = self.get();
        if set.epoch == known {
            return Ok(());
        }
        Err(restored(set.epoch, known))
    }

    /// Raises the epoch in the database.
    pub(super) async fn raise<R: Reads>(&self, reads: &R, deadline: Deadline) -> Result<i64> {
        let rows = reads.fetch(Text::Constant(RAISE), Vec::new(), deadline).await?;
        let row = rows.first().ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                "the epoch is missing: restore the table stockroom_meta",
            )
        })?;
        let raised = R::int(row, 0)?;
        self.saw(raised);
        Ok(raised)
    }
}

/// Which shop a database holds, and which restore it is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// The shop's own number.
    pub(super) shop: i64,
    pub(super) epoch: i64,
}

/// What was made in one epoch is used in another.
pub(super) fn restored(made: i64, found: i64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("the store was restored since (epoch {made}, now {found}): read again what this rests on"),
    )
}
