//! Limits, deadlines, the epoch and the end of a store.

use std::time::Duration;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::refused;
use super::check::same;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::ClaimKey;
use crate::model::PageRequest;
use crate::model::Record;
use crate::resilience::Deadline;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;
use crate::testkit::fixtures::record;

cases! {
    "commit.too_large": too_large, [] + Puts;
    "commit.too_large" / "bytes": too_many_bytes, [Product];
    "commit.deadline": deadline, [] + Puts;
    "commit.epoch": epoch, [] + Puts;
    "commit.epoch" / "raised": epoch_raised, [] + Puts;
    "restore.epoch": restore, [] + Puts;
    "commit.audit" / "clock": audit_clock, [] + Puts + History;
    "close.refuses": close, [] + Puts;
    "close.refuses" / "finishes": close_finishes, [] + Puts;
}

fn creating(record: &Record) -> WriteSet {
    let mut set = set();
    set.put(Put::create(record.clone()));
    set
}

async fn too_large(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let limit = h.store().capability().limits.operations;
    let new = record(kind, 1)?;
    let mut large = creating(&new);
    let own = large.operations();
    for number in own..=limit {
        let key = ClaimKey::new(ClaimKey::PAYMENT_EVENT, format!("acme:{number}"));
        large.claim(key, fixtures::uuid(9, 1));
    }
    same!(large.operations(), limit + 1, "the operations of the set");
    refused(h.commit(large).await, ErrorKind::TooLarge)?;
    h.ensure_absent(std::slice::from_ref(&new)).await?;
    // Nothing of it claims a key either.
    let mut one = creating(&new);
    one.claim(
        ClaimKey::new(ClaimKey::PAYMENT_EVENT, format!("acme:{limit}")),
        fixtures::uuid(9, 2),
    );
    h.commit(one).await?;
    h.ensure_stored(&new, 1).await
}

/// Longest description of the model.
const DESCRIPTION: usize = 20_000;

async fn too_many_bytes(h: &Harness) -> CaseResult {
    let limit = h.store().capability().limits.bytes;
    let mut large = set();
    for seed in 0..=u64::try_from(limit / DESCRIPTION).unwrap_or_default() {
        let mut product = fixtures::bare_product(seed)?;
        product.description = "x".repeat(DESCRIPTION);
        large.put(Put::create(product));
    }
    refused(h.commit(large).await, ErrorKind::TooLarge)?;
    h.ensure_absent(&[fixtures::bare_product(0)?.into()]).await
}

async fn deadline(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let new = record(kind, 1)?;
    let answer = h
        .store()
        .commit(creating(&new), Deadline::within(Duration::ZERO))
        .await;
    refused(answer, ErrorKind::Timeout)?;
    h.ensure_absent(std::slice::from_ref(&new)).await?;
    h.create(new.clone()).await?;
    h.ensure_stored(&new, 1).await
}

async fn epoch(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let new = record(kind, 1)?;
    for epoch in [1, -1] {
        let foreign = WriteSet {
            epoch,
            ..creating(&new)
        };
        refused(h.commit(foreign).await, ErrorKind::Conflict)?;
        h.ensure_absent(std::slice::from_ref(&new)).await?;
    }
    h.create(new.clone()).await?;
    h.ensure_stored(&new, 1).await
}

/// A set that was made before another process raised the epoch.
async fn epoch_raised(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let (old, new) = (record(kind, 1)?, record(kind, 2)?);
    let before = h.store().epoch();
    let another = h.another().await?;
    another.after_restore(h.deadline()).await?;
    let made_before = WriteSet {
        epoch: before,
        ..creating(&old)
    };
    refused(h.commit(made_before).await, ErrorKind::Conflict)?;
    h.ensure_absent(std::slice::from_ref(&old)).await?;
    // The refusal told the process: what it makes now is of the new epoch.
    same!(h.store().epoch(), another.epoch(), "the epoch that is known");
    let made_since = WriteSet {
        epoch: h.store().epoch(),
        ..creating(&new)
    };
    h.commit(made_since).await?;
    h.ensure_stored(&new, 1).await
}

async fn restore(h: &Harness) -> CaseResult {
    let mut last = h.store().epoch();
    for _ in 0..2 {
        let raised = h.store().after_restore(h.deadline()).await?;
        ensure!(raised > last, "the epoch went from {last} to {raised}");
        same!(
            h.store().epoch(),
            raised,
            "the epoch of the process that raised it"
        );
        last = raised;
    }
    // Whoever opens it later is in that epoch.
    let another = h.another().await?;
    same!(another.epoch(), last, "the epoch of another process");
    let again = another.after_restore(h.deadline()).await?;
    ensure!(again > last, "the epoch went from {last} to {again}");
    Ok(())
}

/// The change record bears the time of the commit, by the store's clock.
async fn audit_clock(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let first = h.create(record(kind, 1)?).await?;
    h.shift(Duration::from_secs(86_400));
    let second = h.create(record(kind, 2)?).await?;
    ensure!(
        second.at - first.at >= Duration::from_secs(86_400),
        "the clock went from {} to {}",
        first.at,
        second.at
    );
    let history = h.store().readers().history()?;
    for (seed, committed) in [(1, first), (2, second)] {
        let key = record(kind, seed)?.key();
        let page = history
            .list(kind, &key, &PageRequest::default(), h.deadline())
            .await?;
        let times: Vec<_> = page.items.iter().map(|change| change.at).collect();
        same!(times, vec![committed.at], "the time of the change");
    }
    Ok(())
}

async fn close(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    h.create(record(kind, 1)?).await?;
    h.store().ping(h.deadline()).await?;
    h.store().close().await;
    refused(h.create(record(kind, 2)?).await, ErrorKind::Unavailable)?;
    h.store().close().await;
    refused(
        h.commit(creating(&record(kind, 2)?)).await,
        ErrorKind::Unavailable,
    )?;
    refused(h.store().ping(h.deadline()).await, ErrorKind::Unavailable)?;
    Ok(())
}

/// Commits that compete with the end are refused or done; none hangs.
async fn close_finishes(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let deadline = h.deadline();
    let mut commits = Vec::new();
    for seed in 1..=8 {
        let (store, set) = (std::sync::Arc::clone(h.store()), creating(&record(kind, seed)?));
        commits.push(async move { store.commit(set, deadline).await });
    }
    let (answers, ()) = tokio::join!(super::harness::at_once(commits), h.store().close());
    super::harness::accepted(&answers?, ErrorKind::Unavailable)?;
    refused(h.create(record(kind, 9)?).await, ErrorKind::Unavailable)?;
    Ok(())
}
