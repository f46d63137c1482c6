//! Declared effects: holds that are past their time are taken off the books, and orders in parts that nobody finishes are given up.
//!
//! Availability never waits for the first: guards and readers take expired holds off by themselves. The sweep makes the
//! ledger, the level's counters and the feed say so too, where nobody touches the level. What was taken for an order that was
//! left half way is given back by the second alone.

use std::sync::Arc;
use std::time::Duration;

use super::reader::Tools;
use super::relay::Stop;
use crate::error::Result;
use crate::model::Actor;
use crate::model::Hold;
use crate::resilience::Deadline;
use crate::spi::changes::LeaseRequest;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// The checkpoint under whose lease one process sweeps.
const CHECKPOINT: &str = "stockroom.sweep/holds";

/// Holds in one look at most.
const STEP: u32 = 100;

/// Operations of a write set for each line of a hold that it ends: the level, its history, the line.
const OPERATIONS: usize = 4;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is swept, by whom, and how often.
pub(crate) struct Sweep<C, O> {
    pub(crate) store: Arc<dyn Store>,
    /// The one write path.
    pub(crate) commit: C,
    /// Gives up the orders that nobody finishes.
    pub(crate) orders: O,
    pub(crate) period: Duration,
}

/// Sweeps the holds of a store.
pub(super) struct Sweeper<C, O> {
    pub(super) tools: Tools,
    pub(super) sweep: Sweep<C, O>,
    pub(super) stop: Stop,
}

impl<C, F, O, G> Sweeper<C, O>
where
    C: Fn(WriteSet, Deadline) -> F + Send + Sync,
    F: Future<Output = Result<Committed>> + Send,
    O: Fn(Deadline) -> G + Send + Sync,
    G: Future<Output = Result<u64>> + Send,
{
    /// Sweeps once a period, in one process at a time.
    pub(super) async fn run(mut self) {
        loop {
            self.stop.pause(self.sweep.period).await;
            if self.stop.is_set() {
                return;
            }
            if let Err(error) = self.once().await {
                tracing::debug!(kind = ?error.kind(), "expired holds and idle orders could not be swept");
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
        let given_up = (self.sweep.orders)(Deadline::within(PATIENCE)).await;
        coordination.release(&lease, Deadline::within(PATIENCE)).await?;
        swept.and(given_up.map(drop))
    }

    async fn expired(&self) -> Result<()> {
        loop {
            let store = &self.sweep.store;
            let deadline = Deadline::within(PATIENCE);
            let expired = store.readers().inventory()?.expired(STEP, deadline).await?;
            if expired.is_empty() {
                return Ok(());
            }
            for ended in sets(expired, store.capability().limits.operations / OPERATIONS) {
                let mut set = WriteSet::new(Actor::system());
                set.epoch = store.epoch();
                for delta in ended {
                    set.delta(delta);
                }
                (self.sweep.commit)(set, deadline).await?;
            }
            if self.stop.is_set() {
                return Ok(());
            }
        }
    }
}

/// The ends of these holds, with at most so many lines in a set; a hold that has more is ended in several.
fn sets(holds: Vec<Hold>, most: usize) -> Vec<Vec<Delta>> {
    let most = most.max(1);
    let (mut sets, mut left): (Vec<Vec<Delta>>, usize) = (Vec::new(), 0);
    for hold in holds {
        for lines in hold.lines.chunks(most) {
            if left < lines.len() {
                sets.push(Vec::new());
                left = most;
            }
            left -= lines.len();
            if let Some(set) = sets.last_mut() {
                // Releasing what another one has swept meanwhile is harmless.
                set.push(Delta::unhold(hold.id, lines));
            }
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HoldId;
    use crate::model::HoldLine;
    use crate::model::LocationId;
    use crate::model::Quantity;
    use crate::model::Sku;
    use crate::model::from_micros;

    fn hold(lines: usize) -> Hold {
        let line = |number| HoldLine {
            sku: Sku::new(format!("MUG-{number}")).unwrap(),
            location: LocationId::new("berlin").unwrap(),
            quantity: Quantity::new(1).unwrap(),
        };
        Hold {
            id: HoldId::new(),
            lines: (0..lines).map(line).collect(),
            expires_at: from_micros(0).unwrap(),
            alive: false,
        }
    }

    #[test]
    fn no_set_of_a_sweep_has_more_lines_than_a_store_takes() {
        let lines = |sets: Vec<Vec<Delta>>| {
            let of = |set: &Vec<Delta>| set.iter().map(|delta| delta.touched().len()).sum::<usize>();
            sets.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(lines(sets(vec![hold(10), hold(10), hold(10)], 24)), [20, 10]);
        assert_eq!(lines(sets(vec![hold(60)], 24)), [24, 24, 12]);
        assert_eq!(lines(sets(vec![hold(1), hold(60)], 24)), [1, 24, 24, 12]);
        assert_eq!(lines(sets(vec![hold(1); 3], 0)), [1, 1, 1]);
    }
}
