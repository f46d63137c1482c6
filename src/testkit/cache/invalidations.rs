//! Invalidations: what was loaded before cannot come back after.

use std::time::Duration;

use super::CacheHarness;
use super::case::cases;
use super::harness::LONG;
use super::harness::fill;
use crate::model::Version;
use crate::spi::cache::Acquired;
use crate::spi::cache::Filled;
use crate::spi::cache::Invalidate;
use crate::testkit::conformance::CaseResult;
use crate::testkit::conformance::Failure;
use crate::testkit::conformance::check::ensure;
use crate::testkit::conformance::check::same;

cases! {
    "invalidate.drops": drops;
    "invalidate.voids": voids;
    "invalidate.newer": newer;
    "invalidate.repeated": repeated + Floors;
    "invalidate.stale": stale;
}

async fn drops(h: &CacheHarness) -> CaseResult {
    let key = h.key("drops");
    h.put(&key, 1, "old").await?;
    h.invalidate(&key, 2).await?;
    same!(h.get(&key).await?, None, "after the invalidation");
    same!(
        h.get_there(&key).await?,
        None,
        "after the invalidation, in the other process"
    );
    h.put(&key, 2, "new").await?;
    let found = h.get_there(&key).await?.map(|entry| entry.version);
    same!(found, Some(Version::from(2)), "the value loaded again");
    Ok(())
}

async fn voids(h: &CacheHarness) -> CaseResult {
    let absent = h.key("absent");
    let token = h.lease(&absent).await?;
    h.invalidate(&absent, 2).await?;
    same!(
        h.fill(&absent, fill(token, 1, "old")).await?,
        Filled::Void,
        "a lease of a key without a value"
    );
    same!(h.get(&absent).await?, None, "after the void fill");

    let dropped = h.key("dropped");
    h.put(&dropped, 1, "old").await?;
    h.invalidate(&dropped, 2).await?;
    let token = h.lease(&dropped).await?;
    h.invalidate(&dropped, 3).await?;
    same!(
        h.fill(&dropped, fill(token, 2, "old")).await?,
        Filled::Void,
        "a lease after an invalidation"
    );
    let next = h.lease(&dropped).await?;
    same!(
        h.fill(&dropped, fill(next, 3, "new")).await?,
        Filled::Stored,
        "the next lease"
    );
    Ok(())
}

async fn newer(h: &CacheHarness) -> CaseResult {
    let key = h.key("newer");
    h.put(&key, 5, "five").await?;
    for version in [4, 5] {
        h.invalidate(&key, version).await?;
        let found = h.get(&key).await?.map(|entry| entry.version);
        same!(
            found,
            Some(Version::from(5)),
            format!("after an invalidation of version {version}")
        );
    }
    h.invalidate(&key, 6).await?;
    same!(h.get(&key).await?, None, "after one of a newer version");
    Ok(())
}

async fn repeated(h: &CacheHarness) -> CaseResult {
    let key = h.key("repeated");
    h.invalidate(&key, 5).await?;
    let token = h.lease(&key).await?;
    h.invalidate(&key, 5).await?;
    h.invalidate(&key, 4).await?;
    same!(
        h.fill(&key, fill(token, 5, "five")).await?,
        Filled::Stored,
        "a lease after the first"
    );
    Ok(())
}

async fn stale(h: &CacheHarness) -> CaseResult {
    let key = h.key("stale");
    h.put(&key, 1, "old").await?;
    let how = Invalidate {
        writer: None,
        holdoff: LONG,
        stale_for: LONG,
    };
    h.invalidate_how(&key, 2, how).await?;
    same!(h.get(&key).await?, None, "a stale value");
    let loads = h.acquire(&key).await?;
    let Acquired::Lease { stale, .. } = loads else {
        return Err(Failure::new(format!("expected a lease, got {loads:?}")));
    };
    same!(
        stale.as_deref(),
        Some(b"old".as_slice()),
        "what is given to whoever loads"
    );
    let waits = h.acquire(&key).await?;
    let Acquired::Busy { stale } = waits else {
        return Err(Failure::new(format!("expected Busy, got {waits:?}")));
    };
    same!(
        stale.as_deref(),
        Some(b"old".as_slice()),
        "what is given to whoever waits"
    );

    let dropped = h.key("dropped");
    h.put(&dropped, 1, "old").await?;
    let how = Invalidate {
        stale_for: Duration::ZERO,
        ..how
    };
    h.invalidate_how(&dropped, 2, how).await?;
    let loads = h.acquire(&dropped).await?;
    ensure!(
        matches!(loads, Acquired::Lease { stale: None, .. }),
        "a value that was not to be kept: {loads:?}"
    );
    Ok(())
}
