//! Stock: never more than there is.

use std::sync::Arc;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::absent;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::accepted;
use super::harness::at_once;
use super::harness::set;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Sku;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::testkit::fixtures;
use crate::testkit::fixtures::hold_id;
use crate::testkit::fixtures::order_id;
use crate::testkit::fixtures::quantity;

cases! {
    "commit.stock_guard": guard, [Level];
    "commit.stock_guard" / "same_level": guard_same_level, [Level];
    "commit.stock_guard" / "hold": guard_hold, [Level];
    "commit.stock_exact": exact, [Level];
    "commit.stock_exact" / "concurrent": exact_concurrently, [Level];
    "commit.stock_exact" / "two_levels": exact_in_opposite_order, [Level];
    "commit.stock_creates": creates, [Level];
    "commit.stock_physical": physical, [Level];
    "commit.stock_physical" / "overflow": overflow, [Level];
    "commit.stock_backorder": backorder, [Level];
}

pub(super) fn allocate(sku: &Sku, location: &LocationId, units: i64) -> Result<StockStep> {
    Ok(StockStep::allocate(sku, location, quantity(units)?, order_id(1)))
}

/// What an `InsufficientStock` told: SKU and units available, sorted.
fn shortages(error: &Error) -> Vec<(String, i64)> {
    let mut short: Vec<_> = error
        .shortages()
        .iter()
        .map(|one| (one.sku.clone(), one.available))
        .collect();
    short.sort();
    short
}

async fn guard(h: &Harness) -> CaseResult {
    let ([few, fewer], [plenty, _]) = (fixtures::skus(1)?, fixtures::skus(2)?);
    let main = h.receive(&few, 5).await?;
    h.receive(&fewer, 2).await?;
    h.receive(&plenty, 50).await?;
    let mut order = set();
    for (sku, units) in [(&few, 6), (&plenty, 10), (&fewer, 3)] {
        order.delta(Delta::Stock(allocate(sku, &main, units)?));
    }
    let error = refused(h.commit(order).await, ErrorKind::InsufficientStock)?;
    same!(
        shortages(&error),
        vec![(few.to_string(), 5), (fewer.to_string(), 2)],
        "the shortages"
    );
    let located = error
        .shortages()
        .iter()
        .all(|short| short.location.as_deref() == Some(main.as_str()));
    ensure!(
        located,
        "a shortage does not name its location: {:?}",
        error.shortages()
    );
    let requested = error.shortages().iter().map(|short| short.requested).sum::<i64>();
    same!(requested, 9, "the units requested of the short ones");
    for (sku, units) in [(&few, 5), (&fewer, 2), (&plenty, 50)] {
        same!(
            h.counters(sku, &main).await?,
            (units, 0, 0),
            format!("the level of {sku}")
        );
    }
    Ok(())
}

/// Two steps on one level that fit alone, and not together.
async fn guard_same_level(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    let mut order = set();
    order
        .delta(Delta::Stock(allocate(&sku, &main, 3)?))
        .delta(Delta::Stock(allocate(&sku, &main, 3)?));
    let error = refused(h.commit(order).await, ErrorKind::InsufficientStock)?;
    same!(error.shortages().len(), 1, "the shortages");
    same!(h.counters(&sku, &main).await?, (5, 0, 0), "the level");
    let mut order = set();
    order
        .delta(Delta::Stock(allocate(&sku, &main, 3)?))
        .delta(Delta::Stock(allocate(&sku, &main, 2)?));
    h.commit(order).await?;
    same!(h.counters(&sku, &main).await?, (5, 5, 0), "the level");
    Ok(())
}

async fn guard_hold(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    h.step(allocate(&sku, &main, 2)?).await?;
    let hold = StockStep::hold(
        &sku,
        &main,
        quantity(4)?,
        hold_id(1),
        std::time::Duration::from_secs(60),
    );
    let error = refused(h.step(hold).await, ErrorKind::InsufficientStock)?;
    same!(shortages(&error), vec![(sku.to_string(), 3)], "the shortages");
    same!(h.counters(&sku, &main).await?, (5, 2, 0), "the level");
    let found = h
        .store()
        .readers()
        .inventory()?
        .hold(hold_id(1), h.deadline())
        .await?;
    absent(&found, "the refused hold")
}

async fn exact(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 3).await?;
    h.step(allocate(&sku, &main, 2)?).await?;
    h.step(allocate(&sku, &main, 1)?).await?;
    let error = refused(
        h.step(allocate(&sku, &main, 1)?).await,
        ErrorKind::InsufficientStock,
    )?;
    same!(shortages(&error), vec![(sku.to_string(), 0)], "the shortages");
    same!(h.counters(&sku, &main).await?, (3, 3, 0), "the level");
    Ok(())
}

/// Commits these steps at once, one set each.
pub(super) async fn at_once_steps(
    h: &Harness,
    steps: Vec<Vec<StockStep>>,
) -> CaseResult<Vec<Result<Committed>>> {
    let deadline = h.deadline();
    at_once(steps.into_iter().map(|steps| {
        let store = Arc::clone(h.store());
        let mut one = set();
        one.deltas = steps.into_iter().map(Delta::Stock).collect();
        async move { store.commit(one, deadline).await }
    }))
    .await
}

async fn exact_concurrently(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 20).await?;
    let steps = (0..32)
        .map(|_| Ok(vec![allocate(&sku, &main, 1)?]))
        .collect::<Result<_>>()?;
    let answers = at_once_steps(h, steps).await?;
    same!(
        accepted(&answers, ErrorKind::InsufficientStock)?,
        20,
        "the units sold"
    );
    same!(h.counters(&sku, &main).await?, (20, 20, 0), "the level");
    Ok(())
}

/// Two SKUs taken in opposite orders: no deadlock reaches a caller, and both run out together.
async fn exact_in_opposite_order(h: &Harness) -> CaseResult {
    let [first, second] = fixtures::skus(1)?;
    let main = h.receive(&first, 20).await?;
    h.receive(&second, 20).await?;
    let both = |number: i32| -> Result<Vec<StockStep>> {
        let mut steps = vec![allocate(&first, &main, 1)?, allocate(&second, &main, 1)?];
        if number % 2 == 0 {
            steps.reverse();
        }
        Ok(steps)
    };
    let answers = at_once_steps(h, (0..32).map(both).collect::<Result<_>>()?).await?;
    same!(
        accepted(&answers, ErrorKind::InsufficientStock)?,
        20,
        "the pairs sold"
    );
    same!(h.counters(&first, &main).await?, (20, 20, 0), "the first level");
    same!(h.counters(&second, &main).await?, (20, 20, 0), "the second level");
    Ok(())
}

async fn creates(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let (main, outlet) = (fixtures::location("main")?, fixtures::location("outlet")?);
    absent(&h.level(&sku, &main).await?, "a level before the first receipt")?;
    h.step(StockStep::receive(&sku, &main, quantity(4)?)).await?;
    h.step(StockStep::receive(&sku, &outlet, quantity(7)?)).await?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    same!(
        (level.on_hand, level.allocated, level.held, level.version.get()),
        (4, 0, 0, 1),
        "the new level"
    );
    same!(level.available(), 4, "the units available");
    same!(
        h.counters(&sku, &outlet).await?,
        (7, 0, 0),
        "the level at the other location"
    );
    Ok(())
}

async fn physical(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    h.step(allocate(&sku, &main, 2)?).await?;
    for step in [
        StockStep::adjust(&sku, &main, -6, None),
        StockStep::release(&sku, &main, quantity(3)?, order_id(1)),
        StockStep::ship(&sku, &main, quantity(3)?, order_id(1)),
    ] {
        let kind = step.kind;
        refused(h.step(step).await, ErrorKind::InvalidInput)?;
        same!(
            h.counters(&sku, &main).await?,
            (5, 2, 0),
            format!("the level after {kind:?}")
        );
    }
    // Fewer units than promised is a fact that a count may find; fewer than none is not.
    h.step(StockStep::adjust(&sku, &main, -4, None)).await?;
    same!(
        present(h.level(&sku, &main).await?, "the level")?.available(),
        -1,
        "the units available"
    );
    Ok(())
}

async fn overflow(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    let all = StockStep::adjust(&sku, &main, i64::MAX, None);
    refused(h.step(all).await, ErrorKind::InvalidInput)?;
    same!(h.counters(&sku, &main).await?, (5, 0, 0), "the level");
    h.step(allocate(&sku, &main, 5)?).await?;
    Ok(())
}

async fn backorder(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 2).await?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    h.put(Put::update(
        &level,
        Level {
            backorder_limit: 3,
            ..level.clone()
        },
    ))
    .await?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    same!(
        (level.on_hand, level.backorder_limit, level.available()),
        (2, 3, 5),
        "the level"
    );
    h.step(allocate(&sku, &main, 5)?).await?;
    refused(
        h.step(allocate(&sku, &main, 1)?).await,
        ErrorKind::InsufficientStock,
    )?;
    same!(h.counters(&sku, &main).await?, (2, 5, 0), "the level");
    Ok(())
}
