//! What is told about stock.

use std::time::Duration;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::absent;
use super::check::ensure;
use super::check::present;
use super::check::same;
use super::harness::set;
use crate::model::MovementKind;
use crate::model::PageRequest;
use crate::spi::store::Delta;
use crate::spi::store::StockStep;
use crate::testkit::fixtures;
use crate::testkit::fixtures::hold_id;
use crate::testkit::fixtures::quantity;

cases! {
    "inventory.levels": levels, [Level];
    "inventory.levels" / "order": levels_in_byte_order, [Level];
    "inventory.levels" / "expired_hold": levels_after_expiry, [Level];
    "inventory.hold": hold, [Level];
    "inventory.expired": expired, [Level];
    "inventory.movements": movements, [Level];
    "inventory.verify": verify, [Level];
}

const TTL: Duration = Duration::from_secs(600);

async fn levels(h: &Harness) -> CaseResult {
    let ([first, second], [third, unknown]) = (fixtures::skus(1)?, fixtures::skus(2)?);
    for (sku, location, units) in [
        (&second, "outlet", 1),
        (&first, "outlet", 2),
        (&third, "main", 3),
        (&first, "main", 4),
        (&first, "annex", 5),
    ] {
        let location = fixtures::location(location)?;
        h.step(StockStep::receive(sku, &location, quantity(units)?))
            .await?;
    }
    let inventory = h.store().readers().inventory()?;
    let found = inventory
        .levels(&[unknown, second.clone(), first.clone()], h.deadline())
        .await?;
    let told: Vec<_> = found
        .iter()
        .map(|level| (level.sku.as_str(), level.location.as_str(), level.on_hand))
        .collect();
    let (first, second) = (first.as_str(), second.as_str());
    let expected = vec![
        (first, "annex", 5),
        (first, "main", 4),
        (first, "outlet", 2),
        (second, "outlet", 1),
    ];
    same!(told, expected, "the levels by SKU and location");
    same!(
        inventory.levels(&[], h.deadline()).await?.len(),
        0,
        "the levels of no SKU"
    );
    Ok(())
}

/// SKUs sort by their bytes, whatever the language of the store.
async fn levels_in_byte_order(h: &Harness) -> CaseResult {
    let mut skus = Vec::new();
    for text in ["b-1", "B-1", "a_1", "a.1", "a-1", "A-1", "a-10", "a-2"] {
        skus.push(fixtures::sku(text)?);
    }
    for sku in &skus {
        h.receive(sku, 1).await?;
    }
    let found = h
        .store()
        .readers()
        .inventory()?
        .levels(&skus, h.deadline())
        .await?;
    skus.sort();
    same!(
        found.into_iter().map(|level| level.sku).collect::<Vec<_>>(),
        skus,
        "the SKUs of the levels"
    );
    Ok(())
}

async fn levels_after_expiry(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 9).await?;
    h.step(StockStep::hold(&sku, &main, quantity(2)?, hold_id(1), TTL))
        .await?;
    h.step(StockStep::hold(&sku, &main, quantity(3)?, hold_id(2), TTL * 2))
        .await?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    same!(
        (level.held, level.available()),
        (5, 4),
        "held and available while both are alive"
    );
    h.shift(TTL + Duration::from_secs(1));
    let level = present(h.level(&sku, &main).await?, "the level")?;
    same!(
        (level.held, level.available()),
        (3, 6),
        "held and available once the first is over"
    );
    Ok(())
}

async fn hold(h: &Harness) -> CaseResult {
    let [first, second] = fixtures::skus(1)?;
    let main = h.receive(&first, 9).await?;
    h.receive(&second, 9).await?;
    let inventory = h.store().readers().inventory()?;
    absent(
        &inventory.hold(hold_id(1), h.deadline()).await?,
        "an unknown hold",
    )?;
    let mut both = set();
    both.delta(Delta::Stock(StockStep::hold(
        &second,
        &main,
        quantity(3)?,
        hold_id(1),
        TTL,
    )));
    both.delta(Delta::Stock(StockStep::hold(
        &first,
        &main,
        quantity(2)?,
        hold_id(1),
        TTL,
    )));
    let committed = h.commit(both).await?;
    let hold = present(inventory.hold(hold_id(1), h.deadline()).await?, "the hold")?;
    let mut lines: Vec<_> = hold
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity.get()))
        .collect();
    lines.sort_unstable();
    same!(
        lines,
        vec![(first.as_str(), 2), (second.as_str(), 3)],
        "the lines of the hold"
    );
    ensure!(hold.alive, "the hold is over at once");
    let length = (hold.expires_at - committed.at).whole_seconds();
    ensure!(
        (590..=610).contains(&length),
        "the hold lasts {length} seconds instead of 600"
    );
    h.shift(TTL + Duration::from_secs(60));
    let over = inventory.hold(hold_id(1), h.deadline()).await?;
    ensure!(
        over.as_ref().is_none_or(|hold| !hold.alive),
        "the hold is alive past its expiry: {over:?}"
    );
    let levels = vec![(first, main.clone()), (second, main)];
    h.delta(Delta::Unhold {
        hold: hold_id(1),
        levels,
    })
    .await?;
    absent(
        &inventory.hold(hold_id(1), h.deadline()).await?,
        "the released hold",
    )
}

async fn expired(h: &Harness) -> CaseResult {
    let ([sku, other], main) = (fixtures::skus(1)?, fixtures::location("main")?);
    for sku in [&sku, &other] {
        h.step(StockStep::receive(sku, &main, quantity(9)?)).await?;
    }
    // Of the three, the first has two lines and ends second, the second ends first, the third goes on.
    let mut both = set();
    for sku in [&sku, &other] {
        both.delta(Delta::Stock(StockStep::hold(
            sku,
            &main,
            quantity(1)?,
            hold_id(1),
            TTL * 2,
        )));
    }
    h.commit(both).await?;
    h.step(StockStep::hold(&sku, &main, quantity(2)?, hold_id(2), TTL))
        .await?;
    h.step(StockStep::hold(&sku, &main, quantity(3)?, hold_id(3), TTL * 9))
        .await?;
    let inventory = h.store().readers().inventory()?;
    same!(
        inventory.expired(9, h.deadline()).await?.len(),
        0,
        "holds past their time, at first"
    );
    h.shift(TTL * 3);
    let found = inventory.expired(9, h.deadline()).await?;
    let told: Vec<_> = found
        .iter()
        .map(|hold| (hold.id, hold.lines.len(), hold.alive))
        .collect();
    same!(
        told,
        vec![(hold_id(2), 1, false), (hold_id(1), 2, false)],
        "holds past their time"
    );
    let first = inventory.expired(1, h.deadline()).await?;
    same!(first, found[..1].to_vec(), "the first of them");
    h.delta(Delta::Unhold {
        hold: hold_id(1),
        levels: vec![(sku.clone(), main.clone()), (other, main.clone())],
    })
    .await?;
    // Whoever touches a level sweeps it.
    same!(
        inventory.expired(9, h.deadline()).await?,
        Vec::new(),
        "holds past their time, in the end"
    );
    let history = inventory
        .movements(&sku, &main, &PageRequest::default(), h.deadline())
        .await?;
    let ended = history
        .items
        .iter()
        .filter(|movement| movement.kind == MovementKind::Expire);
    same!(ended.count(), 2, "movements of holds that ended by themselves");
    Ok(())
}

async fn movements(h: &Harness) -> CaseResult {
    let [sku, other] = fixtures::skus(1)?;
    let main = h.receive(&sku, 1).await?;
    h.receive(&other, 100).await?;
    let outlet = fixtures::location("outlet")?;
    h.step(StockStep::receive(&sku, &outlet, quantity(50)?)).await?;
    for units in 2..=8 {
        h.receive(&sku, units).await?;
    }
    let inventory = h.store().readers().inventory()?;
    let mut page = PageRequest::new(3)?;
    let mut units = Vec::new();
    for _ in 0..4 {
        let found = inventory.movements(&sku, &main, &page, h.deadline()).await?;
        ensure!(
            found.items.len() <= 3,
            "a page of 3 has {} movements",
            found.items.len()
        );
        units.extend(found.items.iter().map(|one| one.on_hand));
        page.after = found.next;
        if page.after.is_none() {
            break;
        }
    }
    same!(
        units,
        vec![8, 7, 6, 5, 4, 3, 2, 1],
        "the units received, latest first"
    );
    Ok(())
}

async fn verify(h: &Harness) -> CaseResult {
    let inventory = h.store().readers().inventory()?;
    let empty = inventory.verify(h.deadline()).await?;
    same!(
        (empty.levels, empty.movements),
        (0, 0),
        "levels and movements of an empty store"
    );
    let [first, second] = fixtures::skus(1)?;
    h.receive(&first, 1).await?;
    h.receive(&first, 2).await?;
    h.receive(&second, 3).await?;
    let report = inventory.verify(h.deadline()).await?;
    same!((report.levels, report.movements), (2, 3), "levels and movements");
    ensure!(
        report.is_consistent(),
        "drift in a fresh store: {:?}",
        report.drift
    );
    Ok(())
}
