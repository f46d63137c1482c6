//! Write sets in a transaction of the caller's own: the committer's plan, program and judge for a batch of one, behind a
//! savepoint.
//!
//! The caller's transaction is as it was after every error, and without what the set did. There is no doubt about the
//! outcome here: the caller sends the COMMIT.

use async_trait::async_trait;
use uuid::Uuid;

use super::answer::committed;
use super::answer::replay;
use super::committer::ROUNDS;
use super::committer::Ran;
use super::committer::prepare;
use super::epoch::Identity;
use super::judge::Verdict;
use super::judge::judge;
use super::plan::History;
use super::plan::Plan;
use super::plan::Prepared;
use super::plan::lay_out;
use crate::backend::epoch::Epoch;
use crate::backend::epoch::restored;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::Committed;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;
use crate::transaction::Pending;
use crate::transaction::Staged;

const OPERATION: &str = "join";

/// The caller's connection, in the hands of one engine.
#[async_trait]
pub(super) trait Guest: Send {
    /// Sets the savepoint and tells whose database this is. After an error there is no savepoint.
    async fn enter(&mut self) -> Result<Identity>;

    /// Runs the program under this commit id. What it did is undone by [`again`](Self::again) or [`undo`](Self::undo).
    async fn run(&mut self, commit: Uuid, plan: &mut Plan) -> Ran;

    /// Back to the savepoint, which stays.
    async fn again(&mut self) -> Result<()>;

    /// Takes the savepoint away, and keeps what was done since.
    async fn keep(&mut self) -> Result<()>;

    /// Back to the savepoint, and takes it away.
    async fn undo(&mut self) -> Result<()>;
}

/// The store's side: what it knows of its own database.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) shop: i64,
    pub(super) history: History,
    pub(super) epoch: &'a Epoch,
}

/// Checks what can be checked without the caller's connection, lets the observers get ready, and runs the set.
pub(super) async fn join<T: Send>(
    host: Host<'_>,
    staged: Staged<T>,
    deadline: Deadline,
    guest: &mut dyn Guest,
) -> Result<Pending<T>> {
    if !staged.is_for(host.store) {
        return Err(Error::new(
            ErrorKind::Config,
            "staged for another store: join by the store that the shop was opened with",
        )
        .operation(OPERATION));
    }
    let (set, value, mut telling) = staged.into_parts();
    let joined = async {
        host.epoch.check(&set)?;
        let one = prepare(set, host.store.capability(), host.history)?;
        telling.before(deadline).await?;
        if deadline.is_over() {
            return Err(Error::new(
                ErrorKind::Timeout,
                "the deadline ended before the set was joined",
            ));
        }
        within(&host, &one, guest).await
    };
    match joined.await {
        Ok(committed) => Ok(Pending::new(committed, value, telling)),
        Err(error) => {
            telling.aborted().await;
            Err(error.operation(OPERATION))
        }
    }
}

/// The set between savepoint and release.
async fn within(host: &Host<'_>, one: &Prepared, guest: &mut dyn Guest) -> Result<Committed> {
    let found = guest.enter().await?;
    let outcome = match same_shop(host, found, &one.set) {
        Ok(()) => rounds(one, guest).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(committed) if committed.replay.is_none() => guest.keep().await.map(|()| committed),
        // Nothing was written: the locks are given back.
        Ok(committed) => guest.undo().await.map(|()| committed),
        Err(error) => {
            // Where this fails the connection is lost or the transaction is over; the first error tells why.
            let _ = guest.undo().await;
            Err(error)
        }
    }
}

fn same_shop(host: &Host<'_>, found: Identity, set: &WriteSet) -> Result<()> {
    if found.shop != host.shop {
        return Err(elsewhere());
    }
    // A snapshot of the caller may be older than what is known here; only news is taken from it.
    if found.epoch > host.epoch.get() {
        host.epoch.saw(found.epoch);
    }
    if found.epoch != set.epoch {
        return Err(restored(set.epoch, found.epoch));
    }
    Ok(())
}

/// The caller's connection does not lead to this shop.
pub(super) fn elsewhere() -> Error {
    Error::new(
        ErrorKind::Config,
        "the transaction is not on this shop's database",
    )
}

async fn rounds(one: &Prepared, guest: &mut dyn Guest) -> Result<Committed> {
    for _ in 0..ROUNDS {
        let mut plan = lay_out(&[one])?;
        match guest.run(Uuid::now_v7(), &mut plan).await {
            Ran::Applied(applied, _) => return committed(&applied, one),
            Ran::Refused(facts) => match judge(&[one], &plan, &facts).pop() {
                Some(Verdict::Refuse(error)) => return Err(error),
                Some(Verdict::Replay(owner)) => return replay(&facts, owner),
                Some(Verdict::Admit | Verdict::Later | Verdict::Alone) | None => {}
            },
            // It comes after nothing.
            Ran::Early => {}
            Ran::Failed { again: true, .. } => guest.again().await?,
            Ran::Restored(found) => return Err(restored(one.set.epoch, found)),
            Ran::Failed { error, .. } | Ran::Blocked(error) | Ran::Unknown(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::Conflict, "the facts kept moving"))
}

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "testkit"))]
mod tests;
