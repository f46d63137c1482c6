//! Which restore of the shop writes are made after, as this process knows it. The table of keys has the truth: every commit and
//! every read of the feed compares.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValue;

use super::commit::EPOCH;
use super::item::Read as _;
use super::keys::Key;
use super::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::WriteSet;

/// The epoch, shared by all parts of a store.
#[derive(Clone, Debug)]
pub(super) struct Epoch(Arc<AtomicI64>);

impl Epoch {
    /// The epoch that the shop is in.
    ///
    /// # Errors
    /// Those of a read.
    pub(super) async fn read(wire: &Wire, deadline: Deadline) -> Result<i64> {
        let found = wire.get([Key::epoch()], deadline).await?;
        found.get(&Key::epoch()).map_or(Ok(0), |item| item.get_int(EPOCH))
    }

    pub(super) fn new(known: i64) -> Self {
        Self(Arc::new(AtomicI64::new(known)))
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Learns what the table has.
    pub(super) fn saw(&self, found: i64) {
        // Readers may come back in another order than they asked; an epoch is never lowered.
        self.0.fetch_max(found, Ordering::AcqRel);
    }

    /// A write set made before a restore must not be applied to what was restored.
    pub(super) fn check(&self, set: &WriteSet) -> Result<()> {
        let known = self.get();
        if set.epoch == known {
            return Ok(());
        }
        Err(restored(set.epoch, known))
    }

    /// Raises the epoch in the table; sent twice it is raised twice, which is harmless.
    pub(super) async fn raise(&self, wire: &Wire, deadline: Deadline) -> Result<i64> {
        let key = Key::epoch();
        let send = || {
            wire.client
                .update_item()
                .table_name(wire.name(key.table))
                .set_key(Some(key.attributes()))
                .update_expression("ADD #value :one")
                .expression_attribute_names("#value", EPOCH)
                .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
                .return_values(ReturnValue::UpdatedNew)
                .send()
        };
        let answer = wire.read(deadline, send).await?;
        let raised = answer.attributes.unwrap_or_default().get_int(EPOCH)?;
        self.saw(raised);
        Ok(raised)
    }
}

/// What was made in one epoch is used in another.
pub(super) fn restored(made: i64, found: i64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("the store was restored since (epoch {made}, now {found}): read again what this rests on"),
    )
}
