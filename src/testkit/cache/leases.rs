//! Leases: one loads, the others wait; a lease ends by its fill or by its time.

use std::sync::Arc;

use super::CacheHarness;
use super::case::cases;
use super::harness::LONG;
use super::harness::SHORT;
use super::harness::fill;
use super::harness::until;
use crate::model::Version;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::Filled;
use crate::spi::cache::LoadWhen;
use crate::testkit::conformance::CaseResult;
use crate::testkit::conformance::Failure;
use crate::testkit::conformance::check::ensure;
use crate::testkit::conformance::check::same;

/// How many ask at once.
const CROWD: usize = 32;

cases! {
    "acquire.one": one;
    "acquire.filled": filled;
    "acquire.early": early;
    "acquire.expires": expires;
    "acquire.floor": floor + Floors;
}

async fn one(h: &CacheHarness) -> CaseResult {
    for round in 0..4 {
        let key = h.key(&format!("crowd-{round}"));
        let ask = Acquire {
            lease: LONG,
            when: LoadWhen::Missing,
        };
        let asked = (0..CROWD).map(|index| {
            let cache = Arc::clone(if index % 2 == 0 { h.cache() } else { h.another() });
            let (key, deadline) = (key.clone(), h.deadline());
            tokio::spawn(async move { cache.acquire(&[key], ask, deadline).await })
        });
        let asked: Vec<_> = asked.collect();
        let (mut leases, mut busy) = (0, 0);
        for answer in asked {
            let answer = answer.await.map_err(|error| Failure::new(error.to_string()))??;
            match answer.as_slice() {
                [Acquired::Lease { .. }] => leases += 1,
                [Acquired::Busy { .. }] => busy += 1,
                other => return Err(Failure::new(format!("expected a lease or Busy, got {other:?}"))),
            }
        }
        same!((leases, busy), (1, CROWD - 1), "leases and refusals");
    }
    Ok(())
}

async fn filled(h: &CacheHarness) -> CaseResult {
    let key = h.key("filled");
    h.put(&key, 7, "there").await?;
    let acquired = h.acquire(&key).await?;
    let Acquired::Filled(entry) = acquired else {
        return Err(Failure::new(format!("expected the value, got {acquired:?}")));
    };
    same!(entry.version, Version::from(7), "its version");
    same!(entry.payload.as_ref(), b"there", "its payload");
    Ok(())
}

async fn early(h: &CacheHarness) -> CaseResult {
    let key = h.key("early");
    h.put(&key, 1, "old").await?;
    let first = h.acquire_for(&key, LONG, LoadWhen::Early).await?;
    let Acquired::Lease { token, .. } = first else {
        return Err(Failure::new(format!("expected an early lease, got {first:?}")));
    };
    let second = h.acquire_for(&key, LONG, LoadWhen::Early).await?;
    ensure!(
        !matches!(second, Acquired::Lease { .. }),
        "a second early lease was given"
    );
    let found = h.get(&key).await?.map(|entry| entry.version);
    same!(
        found,
        Some(Version::from(1)),
        "the value while it is loaded again"
    );
    same!(
        h.fill(&key, fill(token, 2, "new")).await?,
        Filled::Stored,
        "the early fill"
    );
    let found = h.get(&key).await?.map(|entry| entry.version);
    same!(found, Some(Version::from(2)), "the value after the early fill");

    let again = h.acquire_for(&key, LONG, LoadWhen::Early).await?;
    let Acquired::Lease { token, .. } = again else {
        return Err(Failure::new(format!(
            "expected another early lease, got {again:?}"
        )));
    };
    h.invalidate(&key, 3).await?;
    same!(
        h.fill(&key, fill(token, 2, "new")).await?,
        Filled::Void,
        "an early fill from before an invalidation"
    );
    Ok(())
}

async fn expires(h: &CacheHarness) -> CaseResult {
    let key = h.key("lease");
    let late = h.acquire_for(&key, SHORT, LoadWhen::Missing).await?;
    let Acquired::Lease { token: late, .. } = late else {
        return Err(Failure::new(format!("expected a lease, got {late:?}")));
    };
    let free = || async { Ok(matches!(h.acquire(&key).await?, Acquired::Lease { .. })) };
    until("the end of a lease", free).await?;
    same!(
        h.fill(&key, fill(late, 1, "late")).await?,
        Filled::Void,
        "the late fill"
    );
    same!(h.get(&key).await?, None, "after the late fill");
    Ok(())
}

async fn floor(h: &CacheHarness) -> CaseResult {
    let key = h.key("floor");
    h.invalidate(&key, 8).await?;
    h.invalidate(&key, 3).await?;
    match h.acquire(&key).await? {
        Acquired::Lease { floor, .. } => same!(floor, Version::from(8), "the floor"),
        other => return Err(Failure::new(format!("expected a lease, got {other:?}"))),
    }
    let huge = h.key("huge");
    h.invalidate(&huge, u64::MAX - 1).await?;
    h.invalidate(&huge, u64::from(u32::MAX)).await?;
    match h.acquire(&huge).await? {
        Acquired::Lease { floor, .. } => same!(floor, Version::from(u64::MAX - 1), "a huge floor"),
        other => return Err(Failure::new(format!("expected a lease, got {other:?}"))),
    }
    Ok(())
}
