//! A declared effect: holds that are past their time are taken off the books.
//!
//! Availability never waits for this: guards and readers take expired holds off by themselves. The sweep makes the
//! ledger, the level's counters and the feed say so too, where nobody touches the level.

use std::sync::Arc;
use std::time::Duration;

use super::reader::Tools;
use super::relay::Stop;
use crate::error::Result;
use crate::model::Actor;
use crate::resilience::Deadline;
use crate::spi::changes::LeaseRequest;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// The checkpoint under whose lease one process sweeps.
const CHECKPOINT: &str = "stockroom.sweep/holds";

/// Holds in one write set at most.
const STEP: u32 = 100;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is swept, by whom, and how often.
pub(crate) struct Sweep<C> {
    pub(crate) store: Arc<dyn Store>,
    /// The one write path.
    pub(crate) commit: C,
    pub(crate) period: Duration,
}

/// Sweeps the holds of a store.
pub(super) struct Sweeper<C> {
    pub(super) tools: Tools,
    pub(super) sweep: Sweep<C>,
    pub(super) stop: Stop,
}

impl<C, F> Sweeper<C>
where
    C: Fn(WriteSet, Deadline) -> F + Send + Sync,
    F: Future<Output = Result<Committed>> + Send,
{
    /// Sweeps once a period, in one process at a time.
    pub(super) async fn run(mut self) {
        loop {
            self.stop.pause(self.sweep.period).await;
            if self.stop.is_set() {
                return;
            }
            if let Err(error) = self.once().await {
                tracing::debug!(kind = ?error.kind(), "expired holds could not be swept");
            }
        }
    }

    async fn once(&self) -> Result<()> {
        let request = LeaseRequest {
            checkpoint: CHECKPOINT,
            holder: self.tools.holder,
            ttl: PATIENCE * 3,
        };
        let coordination = &self.tools.coordination;
        let Some(lease) = coordination.acquire(request, Deadline::within(PATIENCE)).await? else {
            return Ok(());
        };
        let swept = self.expired().await;
        coordination.release(&lease, Deadline::within(PATIENCE)).await?;
        swept
    }

    async fn expired(&self) -> Result<()> {
        loop {
            let store = &self.sweep.store;
            let deadline = Deadline::within(PATIENCE);
            let expired = store.readers().inventory()?.expired(STEP, deadline).await?;
            if expired.is_empty() {
                return Ok(());
            }
            let mut set = WriteSet::new(Actor::system());
            set.epoch = store.epoch();
            for hold in expired {
                let levels = hold.lines.into_iter().map(|line| (line.sku, line.location));
                // Releasing what another one has swept meanwhile is harmless.
                set.delta(Delta::Unhold {
                    hold: hold.id,
                    levels: levels.collect(),
                });
            }
            (self.sweep.commit)(set, deadline).await?;
            if self.stop.is_set() {
                return Ok(());
            }
        }
    }
}
