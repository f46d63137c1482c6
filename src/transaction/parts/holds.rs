//! A hold that is larger than one write set.

use std::time::Duration;

use super::LEVELS;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Expiry;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::HoldLine;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::spi::store::StockStep;
use crate::transaction::Context;
use crate::transaction::stock;

/// Opens a hold in parts; gives back what it has when a part is refused.
///
/// # Errors
/// Those of the part that was refused.
pub(crate) async fn hold(
    context: &Context,
    lines: &[HoldLine],
    ttl: Duration,
    deadline: Deadline,
) -> Result<Hold> {
    let id = HoldId::new();
    let merged = stock::merged(lines)?;
    let mut expires_at = None;
    for (number, part) in stock::hold(lines, id, ttl)?.chunks(LEVELS).enumerate() {
        let mut set = context.write_set();
        for step in part {
            set.delta(Delta::Stock(step.clone()));
        }
        match context.commit(set, deadline).await {
            // The first part ends first.
            Ok(committed) => expires_at = expires_at.or(Some(Expiry::In(ttl).resolved(committed.at))),
            Err(error) => {
                // What may have been held in doubt, too: giving back what is not there is harmless.
                let parts = number + usize::from(error.is(ErrorKind::OutcomeUnknown));
                let held = &merged[..(parts * LEVELS).min(merged.len())];
                if let Err(error) = unhold_all(context, id, held, deadline).await {
                    tracing::debug!(kind = ?error.kind(), "parts of a hold are left to end by themselves");
                }
                return Err(error);
            }
        }
    }
    Ok(Hold {
        id,
        lines: merged,
        expires_at: expires_at.unwrap_or_else(|| context.now()),
        alive: true,
    })
}

/// Ends a hold in parts.
pub(crate) async fn unhold_all(
    context: &Context,
    hold: HoldId,
    lines: &[HoldLine],
    deadline: Deadline,
) -> Result<()> {
    for part in lines.chunks(LEVELS) {
        let mut set = context.write_set();
        set.delta(Delta::unhold(hold, part));
        context.commit(set, deadline).await?;
    }
    Ok(())
}

/// The end of what a hold keeps on the levels of a part, if it keeps anything there.
pub(super) fn unhold(hold: &Hold, part: &[StockStep]) -> Option<Delta> {
    let of_part = |line: &&HoldLine| {
        part.iter()
            .any(|step| step.sku == line.sku && step.location == line.location)
    };
    let lines: Vec<HoldLine> = hold.lines.iter().filter(of_part).cloned().collect();
    (!lines.is_empty()).then(|| Delta::unhold(hold.id, &lines))
}
