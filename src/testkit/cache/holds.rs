//! Holds: while a writer is at work nothing old is given, and nothing can be filled.

use super::CacheHarness;
use super::case::cases;
use super::harness::LONG;
use super::harness::SHORT;
use super::harness::fill;
use super::harness::until;
use crate::spi::cache::Acquired;
use crate::spi::cache::Filled;
use crate::spi::cache::Renewed;
use crate::testkit::conformance::CaseResult;
use crate::testkit::conformance::check::same;

cases! {
    "hold.blocks": blocks + Holds;
    "hold.voids": voids + Holds;
    "hold.several": several + Holds;
    "hold.expires": expires + Holds;
    "hold.renew": renew + Holds;
}

async fn blocks(h: &CacheHarness) -> CaseResult {
    let (there, absent) = (h.key("there"), h.key("absent"));
    h.put(&there, 1, "old").await?;
    for key in [&there, &absent] {
        let writer = h.hold(key, LONG).await?;
        same!(h.get(key).await?, None, "a value under a hold");
        same!(h.acquire(key).await?, Acquired::Held, "a lease under a hold");
        h.invalidate_by(key, 2, Some(writer)).await?;
        h.put(key, 2, "new").await?;
    }
    Ok(())
}

async fn voids(h: &CacheHarness) -> CaseResult {
    let key = h.key("voids");
    let token = h.lease(&key).await?;
    h.hold(&key, LONG).await?;
    same!(
        h.fill(&key, fill(token, 1, "old")).await?,
        Filled::Void,
        "a lease from before the hold"
    );
    same!(h.get(&key).await?, None, "after the void fill");
    Ok(())
}

async fn several(h: &CacheHarness) -> CaseResult {
    let key = h.key("several");
    let (first, second) = (h.hold(&key, LONG).await?, h.hold(&key, LONG).await?);
    for writer in [second, first] {
        same!(h.acquire(&key).await?, Acquired::Held, "a lease under a hold");
        same!(h.get(&key).await?, None, "a value under a hold");
        h.invalidate_by(&key, 2, Some(writer)).await?;
    }
    h.put(&key, 2, "new").await?;
    // An invalidation by somebody else ends no hold.
    let writer = h.hold(&key, LONG).await?;
    h.invalidate(&key, 3).await?;
    same!(
        h.acquire(&key).await?,
        Acquired::Held,
        "after another's invalidation"
    );
    h.invalidate_by(&key, 3, Some(writer)).await?;
    h.lease(&key).await.map(drop)
}

async fn expires(h: &CacheHarness) -> CaseResult {
    let (there, absent) = (h.key("there"), h.key("absent"));
    h.put(&there, 1, "old").await?;
    for key in [&there, &absent] {
        h.hold(key, SHORT).await?;
        let free = || async {
            same!(h.get(key).await?, None, "the value of before the hold");
            Ok(matches!(h.acquire(key).await?, Acquired::Lease { .. }))
        };
        until("the end of a hold", free).await?;
    }
    Ok(())
}

async fn renew(h: &CacheHarness) -> CaseResult {
    let key = h.key("renew");
    let keys = std::slice::from_ref(&key);
    let writer = h.hold(&key, SHORT).await?;
    let renewed = h.another().renew(keys, (writer, LONG), h.deadline()).await?;
    same!(renewed, Renewed::Renewed, "a hold that is in force");
    let other = h.hold(&key, SHORT).await?;
    let renew = || async {
        let renewed = h.another().renew(keys, (other, SHORT), h.deadline()).await?;
        tokio::time::sleep(SHORT).await;
        Ok(renewed == Renewed::Lapsed)
    };
    until("the lapse of a hold", renew).await?;
    same!(h.acquire(&key).await?, Acquired::Held, "under the renewed hold");
    Ok(())
}
