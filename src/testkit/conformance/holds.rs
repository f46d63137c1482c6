//! Holds: units set aside for a while, and never lost or counted twice.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::absent;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::at_once;
use super::harness::set;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Hold;
use crate::model::LocationId;
use crate::model::Sku;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;
use crate::testkit::fixtures::hold_id;
use crate::testkit::fixtures::order_id;
use crate::testkit::fixtures::quantity;

cases! {
    "commit.hold": hold, [Level];
    "commit.hold" / "two_levels": hold_two_levels, [Level];
    "commit.hold_expires": expires, [Level];
    "commit.hold_expires" / "taken": expires_and_is_taken, [Level];
    "commit.unhold": unhold, [Level];
    "commit.unhold" / "expired": unhold_expired, [Level];
    "commit.hold_consumed": consumed, [Level];
    "commit.hold_consumed" / "alone": consumed_alone, [Level];
    "commit.hold_consumed" / "expired": consumed_late, [Level];
}

const TTL: Duration = Duration::from_secs(600);
const PAST_TTL: Duration = Duration::from_secs(601);

/// Sets `units` aside under the hold of seed 1.
async fn hold_units(h: &Harness, sku: &Sku, location: &LocationId, units: i64) -> Result<Committed> {
    h.step(StockStep::hold(sku, location, quantity(units)?, hold_id(1), TTL))
        .await
}

fn release(sku: &Sku, location: &LocationId) -> Delta {
    Delta::Unhold {
        hold: hold_id(1),
        levels: vec![(sku.clone(), location.clone())],
    }
}

fn take(sku: &Sku, location: &LocationId, units: i64) -> Result<StockStep> {
    Ok(StockStep::allocate(sku, location, quantity(units)?, order_id(1)))
}

async fn found(h: &Harness) -> CaseResult<Option<Hold>> {
    Ok(h.store()
        .readers()
        .inventory()?
        .hold(hold_id(1), h.deadline())
        .await?)
}

async fn ensure_consistent(h: &Harness) -> CaseResult {
    let report = h.store().readers().inventory()?.verify(h.deadline()).await?;
    ensure!(
        report.is_consistent(),
        "the ledger and the level differ: {report:?}"
    );
    Ok(())
}

async fn hold(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 3).await?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    same!(
        (level.on_hand, level.held, level.available()),
        (5, 3, 2),
        "on hand, held, available"
    );
    refused(h.step(take(&sku, &main, 3)?).await, ErrorKind::InsufficientStock)?;
    h.step(take(&sku, &main, 2)?).await?;
    h.delta(release(&sku, &main)).await?;
    h.step(take(&sku, &main, 3)?).await?;
    same!(h.counters(&sku, &main).await?, (5, 5, 0), "the level");
    ensure_consistent(h).await
}

async fn hold_two_levels(h: &Harness) -> CaseResult {
    let [first, second] = fixtures::skus(1)?;
    let main = h.receive(&first, 5).await?;
    h.receive(&second, 5).await?;
    let mut both = set();
    both.delta(Delta::Stock(StockStep::hold(
        &first,
        &main,
        quantity(2)?,
        hold_id(1),
        TTL,
    )));
    both.delta(Delta::Stock(StockStep::hold(
        &second,
        &main,
        quantity(4)?,
        hold_id(1),
        TTL,
    )));
    h.commit(both).await?;
    h.step(StockStep::hold(&second, &main, quantity(1)?, hold_id(2), TTL))
        .await?;
    same!(h.counters(&first, &main).await?, (5, 0, 2), "the first level");
    same!(h.counters(&second, &main).await?, (5, 0, 5), "the second level");
    let levels = vec![(first.clone(), main.clone()), (second.clone(), main.clone())];
    h.delta(Delta::Unhold {
        hold: hold_id(1),
        levels,
    })
    .await?;
    same!(
        h.counters(&first, &main).await?,
        (5, 0, 0),
        "the first level after the release"
    );
    same!(
        h.counters(&second, &main).await?,
        (5, 0, 1),
        "the second level keeps what another hold holds"
    );
    ensure_consistent(h).await
}

async fn expires(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 3).await?;
    h.shift(TTL / 2);
    same!(
        h.counters(&sku, &main).await?,
        (5, 0, 3),
        "the level before the hold is over"
    );
    refused(h.step(take(&sku, &main, 3)?).await, ErrorKind::InsufficientStock)?;
    h.shift(PAST_TTL / 2);
    same!(
        h.counters(&sku, &main).await?,
        (5, 0, 0),
        "the level once the hold is over"
    );
    ensure_consistent(h).await
}

async fn expires_and_is_taken(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 3).await?;
    h.shift(PAST_TTL);
    h.step(take(&sku, &main, 5)?).await?;
    same!(h.counters(&sku, &main).await?, (5, 5, 0), "the level");
    refused(h.step(take(&sku, &main, 1)?).await, ErrorKind::InsufficientStock)?;
    // The same once more on a level whose hold was never looked at in between.
    h.step(StockStep::hold(&sku, &main, quantity(1)?, hold_id(2), TTL))
        .await
        .map_or(Ok(()), |_| {
            Err(super::Failure::new("a hold was opened on a level without units"))
        })?;
    ensure_consistent(h).await
}

async fn unhold(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 3).await?;
    h.delta(release(&sku, &main)).await?;
    same!(
        h.counters(&sku, &main).await?,
        (5, 0, 0),
        "the level after the release"
    );
    absent(&found(h).await?, "the released hold")?;
    h.delta(release(&sku, &main)).await?;
    same!(
        h.counters(&sku, &main).await?,
        (5, 0, 0),
        "the level after the second release"
    );
    refused(h.step(take(&sku, &main, 6)?).await, ErrorKind::InsufficientStock)?;
    ensure_consistent(h).await
}

async fn unhold_expired(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 3).await?;
    h.step(StockStep::hold(&sku, &main, quantity(1)?, hold_id(2), TTL * 10))
        .await?;
    h.shift(PAST_TTL);
    h.step(take(&sku, &main, 1)?).await?;
    h.delta(release(&sku, &main)).await?;
    same!(
        h.counters(&sku, &main).await?,
        (5, 1, 1),
        "the level after the release of what was over"
    );
    refused(h.step(take(&sku, &main, 4)?).await, ErrorKind::InsufficientStock)?;
    ensure_consistent(h).await
}

/// Turns the hold into an allocation of as many units.
fn consume(sku: &Sku, location: &LocationId, units: i64) -> Result<WriteSet> {
    let mut set = set();
    set.delta(release(sku, location))
        .delta(Delta::Stock(take(sku, location, units)?));
    Ok(set)
}

async fn consumed(h: &Harness) -> CaseResult {
    const RIVALS: usize = 8;
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 5).await?;
    let over = Arc::new(AtomicBool::new(false));
    let deadline = h.deadline();
    let rivals = (0..RIVALS).map(|_| {
        let (store, over, step) = (Arc::clone(h.store()), Arc::clone(&over), take(&sku, &main, 1));
        async move {
            let mut answers = Vec::new();
            // One more after the end: also then nothing may be left.
            loop {
                let last = over.load(Ordering::SeqCst);
                let mut one = set();
                one.delta(Delta::Stock(step.clone()?));
                answers.push(store.commit(one, deadline).await);
                if last {
                    return Ok::<_, crate::error::Error>(answers);
                }
            }
        }
    });
    let (rivals, consumed) = tokio::join!(at_once(rivals), async {
        for _ in 0..RIVALS {
            tokio::task::yield_now().await;
        }
        let set = consume(&sku, &main, 5);
        let answer = match set {
            Ok(set) => h.commit(set).await,
            Err(error) => Err(error),
        };
        over.store(true, Ordering::SeqCst);
        answer
    });
    for answer in rivals?
        .into_iter()
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
    {
        refused(answer, ErrorKind::InsufficientStock)?;
    }
    consumed?;
    same!(h.counters(&sku, &main).await?, (5, 5, 0), "the level");
    ensure_consistent(h).await
}

async fn consumed_alone(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 5).await?;
    // More than was held and is left: the hold stays.
    refused(
        h.commit(consume(&sku, &main, 6)?).await,
        ErrorKind::InsufficientStock,
    )?;
    same!(
        h.counters(&sku, &main).await?,
        (5, 0, 5),
        "the level after the refusal"
    );
    ensure!(
        found(h).await?.is_some_and(|hold| hold.alive),
        "the hold did not survive the refusal"
    );
    h.commit(consume(&sku, &main, 5)?).await?;
    same!(h.counters(&sku, &main).await?, (5, 5, 0), "the level");
    absent(&found(h).await?, "the consumed hold")?;
    ensure_consistent(h).await
}

/// A hold that is over gives no right: what is left can be taken, what another took cannot.
async fn consumed_late(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    hold_units(h, &sku, &main, 4).await?;
    h.shift(PAST_TTL);
    h.step(take(&sku, &main, 2)?).await?;
    refused(
        h.commit(consume(&sku, &main, 4)?).await,
        ErrorKind::InsufficientStock,
    )?;
    same!(
        h.counters(&sku, &main).await?,
        (5, 2, 0),
        "the level after the refusal"
    );
    h.commit(consume(&sku, &main, 3)?).await?;
    same!(h.counters(&sku, &main).await?, (5, 5, 0), "the level");
    ensure_consistent(h).await
}
