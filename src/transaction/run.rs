//! Runs a closure as a unit of work, again where another one moved first.

use super::attempts::Attempts;
use super::attempts::lost_race;
use super::context::Context;
use super::unit_of_work::Tx;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::WriteSet;

const OPERATION: &str = "transaction";

/// Runs the closure until its reads and writes hold together.
pub(crate) async fn run<F, Fut, T, E>(context: &Context, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    let deadline = context.deadline();
    let mut attempts = Attempts::few(deadline);
    loop {
        let tx = Tx::begin(context.clone(), deadline);
        let outcome = work(tx.clone()).await;
        let (set, has_reads) = tx.finish(outcome.is_ok());
        let Err(error) = commit(context, set, deadline).await else {
            return outcome;
        };
        // What was read may be gone by now: the closure, run again, will see that.
        let again = lost_race(&error) || (has_reads && error.is(ErrorKind::NotFound));
        if !again {
            return Err(error.operation(OPERATION).into());
        }
        attempts.pause(error.operation(OPERATION)).await?;
    }
}

/// Commits what was staged, or, when nothing was, asks whether what was read still holds.
async fn commit(context: &Context, set: WriteSet, deadline: Deadline) -> Result<()> {
    if set.is_read_only() && set.reads.is_empty() {
        return Ok(());
    }
    context.commit(set, deadline).await.map(drop)
}
