//! The ledger: every step is explained by a movement, and the sums of the movements are the level.

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::present;
use super::check::same;
use super::harness::accepted;
use super::stock::allocate;
use super::stock::at_once_steps;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Level;
use crate::model::MovementKind;
use crate::model::PageRequest;
use crate::spi::store::Delta;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::testkit::fixtures;
use crate::testkit::fixtures::hold_id;
use crate::testkit::fixtures::order_id;
use crate::testkit::fixtures::quantity;

cases! {
    "commit.ledger": ledger, [Level];
    "commit.ledger" / "put": put_leaves_counters, [Level];
    "commit.ledger" / "concurrent": ledger_concurrently, [Level];
}

async fn ledger(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 10).await?;
    let order = order_id(1);
    let hold = StockStep::hold(
        &sku,
        &main,
        quantity(3)?,
        hold_id(1),
        std::time::Duration::from_secs(600),
    );
    h.step(hold).await?;
    h.step(allocate(&sku, &main, 4)?).await?;
    h.delta(Delta::Unhold {
        hold: hold_id(1),
        levels: vec![(sku.clone(), main.clone())],
    })
    .await?;
    h.step(StockStep::ship(&sku, &main, quantity(2)?, order)).await?;
    h.step(StockStep::release(&sku, &main, quantity(1)?, order))
        .await?;
    h.step(StockStep::restock(&sku, &main, quantity(1)?, order))
        .await?;
    h.step(StockStep::adjust(&sku, &main, -2, Some("two broken".to_owned())))
        .await?;
    same!(h.counters(&sku, &main).await?, (7, 1, 0), "the level");
    let inventory = h.store().readers().inventory()?;
    let mut moves = inventory
        .movements(&sku, &main, &PageRequest::default(), h.deadline())
        .await?
        .items;
    moves.reverse();
    let told: Vec<_> = moves
        .iter()
        .map(|one| (one.kind, one.on_hand, one.allocated, one.held))
        .collect();
    let expected = vec![
        (MovementKind::Receive, 10, 0, 0),
        (MovementKind::Hold, 0, 0, 3),
        (MovementKind::Allocate, 0, 4, 0),
        (MovementKind::Unhold, 0, 0, -3),
        (MovementKind::Ship, -2, -2, 0),
        (MovementKind::Release, 0, -1, 0),
        (MovementKind::Restock, 1, 0, 0),
        (MovementKind::Adjust, -2, 0, 0),
    ];
    same!(told, expected, "the movements");
    same!(
        moves.get(2).and_then(|one| one.reference),
        Some(order.uuid()),
        "what an allocation refers to"
    );
    same!(
        moves.last().and_then(|one| one.note.clone()),
        Some("two broken".to_owned()),
        "the remark"
    );
    ensure!(
        inventory.verify(h.deadline()).await?.is_consistent(),
        "the ledger and the level differ"
    );
    Ok(())
}

async fn ledger_concurrently(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 12).await?;
    let mixed = |number: i64| -> Result<Vec<StockStep>> {
        let restock = StockStep::restock(&sku, &main, quantity(1)?, order_id(1));
        Ok(if number % 4 == 0 {
            vec![restock]
        } else {
            vec![allocate(&sku, &main, 1 + number % 3)?]
        })
    };
    let answers = at_once_steps(h, (0..24).map(mixed).collect::<Result<_>>()?).await?;
    let applied = accepted(&answers, ErrorKind::InsufficientStock)?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    let inventory = h.store().readers().inventory()?;
    let moves = inventory
        .movements(&sku, &main, &PageRequest::new(100)?, h.deadline())
        .await?
        .items;
    same!(moves.len(), applied + 1, "the movements");
    let sums = moves
        .iter()
        .fold((0, 0), |sum, one| (sum.0 + one.on_hand, sum.1 + one.allocated));
    same!(
        sums,
        (level.on_hand, level.allocated),
        "the sums of the movements"
    );
    ensure!(level.available() >= 0, "oversold: {level:?}");
    ensure!(
        inventory.verify(h.deadline()).await?.is_consistent(),
        "the ledger and the level differ"
    );
    Ok(())
}

/// A put of a level sets what it may owe, never what it counts.
async fn put_leaves_counters(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    h.step(allocate(&sku, &main, 2)?).await?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    let forged = Level {
        on_hand: 99,
        allocated: 0,
        held: 7,
        backorder_limit: 1,
        ..level.clone()
    };
    h.put(Put::update(&level, forged)).await?;
    same!(h.counters(&sku, &main).await?, (5, 2, 0), "the level");
    let inventory = h.store().readers().inventory()?;
    ensure!(
        inventory.verify(h.deadline()).await?.is_consistent(),
        "the ledger and the level differ"
    );
    Ok(())
}
