//! Idempotency keys: a request is applied at most once, and its repetition is told what the first one did.

use std::sync::Arc;

use uuid::Uuid;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::refused;
use super::check::same;
use super::harness::accepted;
use super::harness::at_once;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::Aggregate;
use crate::model::IdempotencyKey;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::testkit::fixtures;
use crate::testkit::fixtures::changed;
use crate::testkit::fixtures::record;
use crate::testkit::fixtures::uuid;

cases! {
    "commit.replay": replay, [] + Puts;
    "commit.replay" / "failing_checks": replay_with_failing_checks, [Product, Level];
    "commit.replay" / "concurrent": replay_concurrently, [Level];
    "commit.key_reused": reused, [] + Puts;
    "commit.key_scoped": scoped, [] + Puts;
}

fn key(scope: &str, name: &str, fingerprint: u8, owner: Uuid) -> CaseResult<Idempotency> {
    let key = IdempotencyKey::new(name)?;
    Ok(Idempotency {
        scope: scope.to_owned(),
        key,
        fingerprint: [fingerprint; 32],
        owner,
    })
}

async fn replay(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let (first, second) = (record(kind, 1)?, record(kind, 2)?);
    let mut original = set();
    original
        .put(Put::create(first.clone()))
        .idempotent(key("test", "k", 1, uuid(9, 1))?);
    let committed = h.commit(original).await?;
    same!(committed.replay, None, "the replay of the first");
    same!(committed.versions.len(), 1, "the versions of the first");
    let mut repeated = set();
    repeated
        .put(Put::create(second.clone()))
        .idempotent(key("test", "k", 1, uuid(9, 2))?);
    let answer = h.commit(repeated).await?;
    same!(answer.replay, Some(uuid(9, 1)), "the replay of the repetition");
    ensure!(answer.versions.is_empty(), "a replay wrote {:?}", answer.versions);
    h.ensure_stored(&first, 1).await?;
    h.ensure_absent(&[second]).await
}

async fn replay_with_failing_checks(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 3).await?;
    let repeatable = || -> CaseResult<_> {
        let mut order = set();
        order.put(Put::create(record(Aggregate::Product, 1)?));
        let step = StockStep::allocate(&sku, &main, fixtures::quantity(2)?, fixtures::order_id(1));
        order
            .delta(Delta::Stock(step))
            .idempotent(key("test", "k", 1, uuid(9, 1))?);
        Ok(order)
    };
    h.commit(repeatable()?).await?;
    // The product exists by now and one unit is left: only the key saves the repetition.
    let answer = h.commit(repeatable()?).await?;
    same!(answer.replay, Some(uuid(9, 1)), "the replay");
    same!(h.counters(&sku, &main).await?, (3, 2, 0), "the level");
    Ok(())
}

async fn replay_concurrently(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = fixtures::location("main")?;
    let mut commits = Vec::new();
    for seed in 0..16 {
        let mut one = set();
        one.delta(Delta::Stock(StockStep::receive(
            &sku,
            &main,
            fixtures::quantity(1)?,
        )));
        one.idempotent(key("test", "k", 1, uuid(9, seed))?);
        let (store, deadline) = (Arc::clone(h.store()), h.deadline());
        commits.push(async move { store.commit(one, deadline).await });
    }
    let answers = at_once(commits).await?;
    same!(accepted(&answers, ErrorKind::InFlight)?, 16, "the answers");
    let replays: Vec<_> = answers
        .iter()
        .flatten()
        .filter_map(|answer| answer.replay)
        .collect();
    same!(replays.len(), 15, "the replays");
    ensure!(
        replays.windows(2).all(|pair| pair[0] == pair[1]),
        "the replays differ: {replays:?}"
    );
    same!(h.counters(&sku, &main).await?, (1, 0, 0), "the level");
    Ok(())
}

async fn reused(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let first = record(kind, 1)?;
    let mut original = set();
    original
        .put(Put::create(first.clone()))
        .idempotent(key("test", "k", 1, uuid(9, 1))?);
    h.commit(original).await?;
    let mut other = set();
    other
        .put(Put::create(record(kind, 2)?))
        .idempotent(key("test", "k", 2, uuid(9, 1))?);
    refused(h.commit(other).await, ErrorKind::KeyReused)?;
    // Also before the other checks are judged.
    let mut conflicting = set();
    conflicting
        .put(Put::create(changed(&first)?))
        .idempotent(key("test", "k", 2, uuid(9, 1))?);
    refused(h.commit(conflicting).await, ErrorKind::KeyReused)?;
    h.ensure_stored(&first, 1).await?;
    h.ensure_absent(&[record(kind, 2)?]).await
}

async fn scoped(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    for (seed, scope) in [(1, "place/ann"), (2, "place/bob"), (3, "pay/ann")] {
        let new = record(kind, seed)?;
        let mut one = set();
        one.put(Put::create(new.clone()))
            .idempotent(key(scope, "k", 1, uuid(9, seed))?);
        same!(
            h.commit(one).await?.replay,
            None,
            format!("the replay in {scope}")
        );
        h.ensure_stored(&new, 1).await?;
    }
    Ok(())
}
