//! Inventory: units that are kept for someone for a while.

use std::time::Duration;

use super::Inventory;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Expiry;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::HoldLine;
use crate::spi::store::Delta;
use crate::spi::store::Durability;
use crate::transaction::parts;
use crate::transaction::stock;

impl Inventory {
    /// Keeps units for someone until `ttl` has passed by the store's clock.
    ///
    /// - All lines or none; lines of the same level are added up.
    /// - It has no idempotency key: after `OutcomeUnknown` a hold may be there, and ends by itself.
    ///
    /// # Errors
    /// - `InsufficientStock` with every short level.
    /// - `InvalidInput` without lines, or on `ttl` of nothing or past 30 days.
    /// - `TooLarge` past the store's limit of one commit: see [`hold_in_parts`](Self::hold_in_parts).
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves all lines held or none; a hold that nobody knows ends by itself.
    pub async fn hold(&self, lines: &[HoldLine], ttl: Duration) -> Result<Hold> {
        self.hold_with(lines, ttl, Durability::Durable).await
    }

    /// [`hold`](Self::hold), answered when the caller chooses: [`Durability::Relaxed`] does not wait for the disk.
    ///
    /// - A machine that crashes may forget a relaxed hold of the last second: an order that names it is then placed as if
    ///   the hold had ended.
    /// - It saves time only where relaxed holds share their commit with nothing else.
    ///
    /// # Errors
    /// As of [`hold`](Self::hold).
    ///
    /// # Cancel safety
    /// As of [`hold`](Self::hold).
    pub async fn hold_with(&self, lines: &[HoldLine], ttl: Duration, durability: Durability) -> Result<Hold> {
        let hold = async {
            let id = HoldId::new();
            let mut set = self.context.write_set();
            set.durability = durability;
            for step in stock::hold(lines, id, ttl)? {
                set.delta(Delta::Stock(step));
            }
            let committed = self.context.commit(set, self.context.deadline()).await?;
            let expires_at = Expiry::In(ttl).resolved(committed.at);
            Ok(Hold {
                id,
                lines: stock::merged(lines)?,
                expires_at,
                alive: true,
            })
        };
        hold.await
            .map_err(|error: Error| advised(error).operation("inventory.hold"))
    }

    /// [`hold`](Self::hold) for more lines than one commit takes: in several commits, each of some lines.
    ///
    /// - When a part is refused, what was held before is given back.
    /// - Others see the parts come one by one. All of them end `ttl` after they came; the hold tells the end of the first.
    ///
    /// # Errors
    /// As of [`hold`](Self::hold); of the short levels those of the first part that is short.
    ///
    /// # Cancel safety
    /// Dropping the future leaves some of the lines held; a hold that nobody knows ends by itself.
    pub async fn hold_in_parts(&self, lines: &[HoldLine], ttl: Duration) -> Result<Hold> {
        let hold = parts::hold(&self.context, lines, ttl, self.context.deadline()).await;
        hold.map_err(|error| error.operation("inventory.hold_in_parts"))
    }

    /// Ends a hold; what it still keeps is available again.
    ///
    /// - A hold that is absent was released, used up, or never was: there is nothing to do.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the whole hold or nothing of it; of one that is too large for one commit perhaps a part.
    pub async fn release_hold(&self, id: HoldId) -> Result<()> {
        let release = async {
            let deadline = self.context.deadline();
            let Some(hold) = self.context.inventory()?.hold(id, deadline).await? else {
                return Ok(());
            };
            let mut set = self.context.write_set();
            set.delta(Delta::unhold(id, &hold.lines));
            match self.context.commit(set, deadline).await {
                Err(error) if error.is(ErrorKind::TooLarge) => {
                    parts::unhold_all(&self.context, id, &hold.lines, deadline).await
                }
                released => released.map(drop),
            }
        };
        release
            .await
            .map_err(|error| error.operation("inventory.release_hold"))
    }

    /// What a hold keeps, and whether it is alive by the store's clock; `None` once it was released or used
    /// up.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn hold_status(&self, id: HoldId) -> Result<Option<Hold>> {
        let reader = self.context.shown(Aggregate::Level).inventory()?;
        let found = reader.hold(id, self.context.deadline()).await;
        found.map_err(|error| error.operation("inventory.hold_status"))
    }
}

/// A hold that is too large for one commit can be opened in several.
fn advised(error: Error) -> Error {
    if !error.is(ErrorKind::TooLarge) {
        return error;
    }
    let message = "the hold does not fit into one write: use inventory().hold_in_parts";
    Error::new(ErrorKind::TooLarge, message).caused_by(error)
}
