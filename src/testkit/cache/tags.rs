//! Tags: one generation for everybody, another one after each raise.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::CacheHarness;
use super::case::cases;
use crate::error::Result;
use crate::spi::cache::CacheKey;
use crate::spi::cache::SharedCache;
use crate::spi::cache::TagGeneration;
use crate::testkit::conformance::CaseResult;
use crate::testkit::conformance::Failure;
use crate::testkit::conformance::check::ensure;
use crate::testkit::conformance::check::same;

/// Processes that ask for a tag at once.
const CROWD: usize = 20;

cases! {
    "tags.same": one_generation;
    "tags.raised": raised;
}

async fn generation(
    h: &CacheHarness,
    cache: &Arc<dyn SharedCache>,
    tag: &CacheKey,
) -> CaseResult<TagGeneration> {
    let found = cache.tags(std::slice::from_ref(tag), h.deadline()).await?;
    found
        .first()
        .copied()
        .ok_or_else(|| Failure::new("no answer for the tag"))
}

async fn one_generation(h: &CacheHarness) -> CaseResult {
    let (new, other) = (h.key("new"), h.key("other"));
    let asked = [new.clone()];
    let asks = (0..CROWD).map(|turn| {
        let cache = if turn % 2 == 0 { h.cache() } else { h.another() };
        cache.tags(&asked, h.deadline())
    });
    let found: Result<Vec<_>> = try_join_all(asks).await;
    let found: Vec<_> = found?.into_iter().flatten().collect();
    let first = generation(h, h.cache(), &new).await?;
    same!(found, vec![first; CROWD], "what many who ask at once are told");
    h.cache()
        .raise(std::slice::from_ref(&other), h.deadline())
        .await?;
    same!(
        generation(h, h.another(), &new).await?,
        first,
        "after another was raised"
    );

    // A batch keeps its order, and the tags are each their own.
    let second = generation(h, h.cache(), &other).await?;
    ensure!(first != second, "two tags have one generation");
    let both = [other, new.clone(), new];
    let found = h.another().tags(&both, h.deadline()).await?;
    same!(found, vec![second, first, first], "a batch");
    Ok(())
}

async fn raised(h: &CacheHarness) -> CaseResult {
    let tag = h.key("tag");
    let mut seen = vec![generation(h, h.cache(), &tag).await?];
    for turn in 0..5 {
        let (raises, reads) = if turn % 2 == 0 {
            (h.cache(), h.another())
        } else {
            (h.another(), h.cache())
        };
        raises.raise(std::slice::from_ref(&tag), h.deadline()).await?;
        let now = generation(h, reads, &tag).await?;
        ensure!(!seen.contains(&now), "a raised tag has a generation of before");
        same!(generation(h, raises, &tag).await?, now, "in both processes");
        seen.push(now);
    }
    // One that nobody has asked for yet can be raised as well.
    let unknown = h.key("unknown");
    h.cache()
        .raise(std::slice::from_ref(&unknown), h.deadline())
        .await?;
    generation(h, h.another(), &unknown).await.map(drop)
}
