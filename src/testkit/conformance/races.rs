//! Writers that meet on one aggregate: one wins, and nobody is lost in silence.

use std::sync::Arc;

use super::CaseResult;
use super::Harness;
use super::carts::add;
use super::case::cases;
use super::check::conflict;
use super::check::ensure;
use super::check::refused;
use super::check::same;
use super::harness::accepted;
use super::harness::at_once;
use super::harness::replace;
use super::harness::set;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Cart;
use crate::model::Record;
use crate::model::Version;
use crate::spi::store::Committed;
use crate::spi::store::Put;
use crate::spi::store::ReadCheck;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;
use crate::testkit::fixtures::changed;
use crate::testkit::fixtures::record;

cases! {
    "commit.create_existing" / "concurrent": create_concurrently, [] + Puts;
    "commit.update_stale" / "concurrent": update_concurrently, [] + Puts;
    "commit.update_stale" / "after_delta": update_after_delta, [Cart];
    "commit.read_check" / "skew": skew, [] + Puts;
}

const RIVALS: usize = 16;

async fn race(h: &Harness, sets: Vec<WriteSet>) -> CaseResult<Vec<Result<Committed>>> {
    let deadline = h.deadline();
    at_once(sets.into_iter().map(|set| {
        let store = Arc::clone(h.store());
        async move { store.commit(set, deadline).await }
    }))
    .await
}

fn putting(put: Put) -> WriteSet {
    let mut set = set();
    set.put(put);
    set
}

async fn create_concurrently(h: &Harness) -> CaseResult {
    let new = record(h.any()?, 1)?;
    let answers = race(h, vec![putting(Put::create(new.clone())); RIVALS]).await?;
    same!(accepted(&answers, ErrorKind::Conflict)?, 1, "the sets accepted");
    h.ensure_stored(&new, 1).await
}

async fn update_concurrently(h: &Harness) -> CaseResult {
    let old = record(h.any()?, 1)?;
    h.create(old.clone()).await?;
    let new = changed(&old)?;
    let answers = race(h, vec![putting(replace(&old, new.clone(), 1)); RIVALS]).await?;
    same!(accepted(&answers, ErrorKind::Conflict)?, 1, "the sets accepted");
    h.ensure_stored(&new, 2).await
}

async fn update_after_delta(h: &Harness) -> CaseResult {
    let cart = fixtures::guest_cart(1)?;
    let [sku, _] = fixtures::skus(1)?;
    h.create(cart.clone()).await?;
    h.delta(add(&cart, fixtures::line(&sku, &[], 1)?)).await?;
    let emptied = Cart {
        lines: Vec::new(),
        ..cart.clone()
    };
    conflict(h.put(Put::update(&cart, emptied)).await, 2)
}

/// Each of two sets replaces one aggregate after a look at the other: both can never be right.
async fn skew(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let pair = [record(kind, 1)?, record(kind, 2)?];
    for new in &pair {
        h.create(new.clone()).await?;
    }
    let mut versions = [1_u64, 1];
    for round in 0..8 {
        let crossing = |write: usize, read: usize| -> CaseResult<WriteSet> {
            let mut one = putting(replace(&pair[write], pair[write].clone(), versions[write]));
            let (key, version) = (pair[read].key(), Some(Version::from(versions[read])));
            one.read(ReadCheck {
                aggregate: kind,
                key,
                version,
            });
            Ok(one)
        };
        let answers = race(h, vec![crossing(0, 1)?, crossing(1, 0)?]).await?;
        let applied = accepted(&answers, ErrorKind::Conflict)?;
        ensure!(
            applied <= 1,
            "round {round}: both sets saw the other's aggregate as it was before"
        );
        for (version, answer) in versions.iter_mut().zip(&answers) {
            *version += u64::from(answer.is_ok());
        }
    }
    let [first, _]: [Record; 2] = pair;
    refused(h.create(first).await, ErrorKind::Conflict)?;
    Ok(())
}
