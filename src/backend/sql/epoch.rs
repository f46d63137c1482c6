//! The epoch in the database.

use super::dialect::Arg;
use super::dialect::Reads;
use super::dialect::Statement;
use super::dialect::Text;
use super::dialect::statement;
use crate::backend::epoch;
use crate::backend::epoch::Epoch;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;

/// `$1` the least epoch that it may become.
const RAISE: Statement = statement!("epoch.raise":
    "UPDATE stockroom_meta SET value = CASE WHEN value < $1 THEN $1 ELSE value + 1 END \
     WHERE name = 'epoch' RETURNING value");

/// Raises the epoch in the database.
pub(super) async fn raise<R: Reads>(epoch: &Epoch, reads: &R, deadline: Deadline) -> Result<i64> {
    let args = vec![Arg::Int(epoch::next())];
    let rows = reads.fetch(Text::Constant(RAISE), args, deadline).await?;
    let row = rows.first().ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            "the epoch is missing: restore the table stockroom_meta",
        )
    })?;
    let raised = R::int(row, 0)?;
    epoch.saw(raised);
    Ok(raised)
}

/// Which shop a database holds, and which restore it is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// The shop's own number.
    pub(super) shop: i64,
    pub(super) epoch: i64,
}
