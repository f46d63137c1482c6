//! Runs a closure as a unit of work, again where another one moved first.

use super::attempts::Attempts;
use super::attempts::lost_race;
use super::context::Context;
use super::stage::Staged;
use super::unit_of_work::Tx;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::WriteSet;

const OPERATION: &str = "transaction";

const STAGE: &str = "stage";

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
        let (outcome, set, has_reads) = attempt(context, deadline, &work).await;
        let Err(error) = commit(context, set, deadline).await else {
            return outcome;
        };
        pause(&mut attempts, error.operation(OPERATION), has_reads).await?;
    }
}

/// Runs the closure and keeps what it staged, for a transaction of the caller.
///
/// An error of the closure is given back only while its reads hold; a success is checked where it is joined.
pub(crate) async fn stage<F, Fut, T, E>(context: &Context, work: F) -> Result<Staged<T>, E>
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    let deadline = context.deadline();
    let mut attempts = Attempts::few(deadline);
    loop {
        let (outcome, set, has_reads) = attempt(context, deadline, &work).await;
        let ended = match outcome {
            Ok(value) => context.stage(set, value).map(Ok),
            Err(error) => commit(context, set, deadline).await.map(|()| Err(error)),
        };
        match ended {
            Ok(outcome) => return outcome,
            Err(error) => pause(&mut attempts, error.operation(STAGE), has_reads).await?,
        }
    }
}

/// Runs the closure once: what it gave, what it staged, and whether it read anything.
async fn attempt<F, Fut, T, E>(
    context: &Context,
    deadline: Deadline,
    work: &F,
) -> (Result<T, E>, WriteSet, bool)
where
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: Send,
{
    let tx = Tx::begin(context.clone(), deadline);
    let outcome = work(tx.clone()).await;
    let (set, has_reads) = tx.finish(outcome.is_ok());
    (outcome, set, has_reads)
}

/// Pauses before the closure runs again; gives the error back where that would not help.
async fn pause(attempts: &mut Attempts, error: Error, has_reads: bool) -> Result<()> {
    // What was read may be gone by now: the closure, run again, will see that.
    let again = lost_race(&error) || (has_reads && error.is(ErrorKind::NotFound));
    if !again {
        return Err(error);
    }
    attempts.pause(error).await
}

/// Commits what was staged, or, when nothing was, asks whether what was read still holds.
async fn commit(context: &Context, set: WriteSet, deadline: Deadline) -> Result<()> {
    if set.is_read_only() {
        return context.check(set, deadline).await;
    }
    context.commit(set, deadline).await.map(drop)
}
