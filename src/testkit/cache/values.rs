//! Values: stored under a lease, given back as they were, gone after their time.

use std::time::Duration;

use bytes::Bytes;

use super::CacheHarness;
use super::case::cases;
use super::harness::SHORT;
use super::harness::fill;
use super::harness::until;
use crate::model::Version;
use crate::spi::cache::Fill;
use crate::spi::cache::Filled;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadedFrom;
use crate::testkit::conformance::CaseResult;
use crate::testkit::conformance::check::same;

cases! {
    "get.absent": absent;
    "get.order": order;
    "fill.get": round_trip;
    "fill.expires": expires;
    "fill.void": void;
    "fill.once": once;
    "fill.floor": below_floor + Floors;
    "fill.too_large": too_large;
    "key.strange": strange_keys;
}

async fn absent(h: &CacheHarness) -> CaseResult {
    let key = h.key("absent");
    same!(h.get(&key).await?, None, "of a key that was never filled");
    h.lease(&key).await?;
    same!(h.get(&key).await?, None, "of a key that is being loaded");
    Ok(())
}

async fn order(h: &CacheHarness) -> CaseResult {
    let keys = ["a", "b", "c", "d"].map(|name| h.key(name));
    h.put(&keys[0], 1, "a").await?;
    h.put(&keys[2], 3, "c").await?;
    let asked = [&keys[2], &keys[1], &keys[0], &keys[2], &keys[3]].map(Clone::clone);
    let found = h.cache().get_many(&asked, h.deadline()).await?;
    let payloads: Vec<_> = found
        .into_iter()
        .map(|entry| entry.map(|entry| entry.payload))
        .collect();
    let some = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    same!(
        payloads,
        vec![some("c"), None, some("a"), some("c"), None],
        "the batch"
    );
    Ok(())
}

async fn round_trip(h: &CacheHarness) -> CaseResult {
    let every: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let payloads = [
        Bytes::new(),
        Bytes::from_static(b"\r\n"),
        Bytes::from_static(b"END\r\n \t"),
        Bytes::from_static(&[0]),
        Bytes::from(every),
    ];
    for (index, payload) in payloads.into_iter().enumerate() {
        let key = h.key(&format!("payload-{index}"));
        let version = Version::from(u64::MAX - index as u64);
        let token = h.lease(&key).await?;
        let fill = Fill {
            version,
            payload: payload.clone(),
            ..fill(token, 1, "")
        };
        same!(h.fill(&key, fill).await?, Filled::Stored, "the fill");
        for found in [h.get(&key).await?, h.get_there(&key).await?] {
            let found = found.map(|entry| (entry.version, entry.payload));
            same!(found, Some((version, payload.clone())), "what was filled");
        }
    }
    Ok(())
}

async fn expires(h: &CacheHarness) -> CaseResult {
    let key = h.key("expires");
    let token = h.lease(&key).await?;
    let fill = Fill {
        fresh_for: SHORT,
        ..fill(token, 1, "old")
    };
    same!(h.fill(&key, fill).await?, Filled::Stored, "the fill");
    until("the end of a value", || async {
        Ok(h.get(&key).await?.is_none())
    })
    .await?;
    h.lease(&key).await.map(drop)
}

async fn void(h: &CacheHarness) -> CaseResult {
    let (key, other) = (h.key("void"), h.key("other"));
    let invented = LeaseToken([7; 16]);
    same!(
        h.fill(&key, fill(invented, 1, "x")).await?,
        Filled::Void,
        "an invented token"
    );
    same!(h.get(&key).await?, None, "after an invented token");
    h.lease(&key).await?;
    let others = h.lease(&other).await?;
    same!(
        h.fill(&key, fill(invented, 1, "x")).await?,
        Filled::Void,
        "an invented token under a lease"
    );
    same!(
        h.fill(&key, fill(others, 1, "x")).await?,
        Filled::Void,
        "the token of another key"
    );
    same!(h.get(&key).await?, None, "after all that");
    Ok(())
}

async fn once(h: &CacheHarness) -> CaseResult {
    let key = h.key("once");
    let token = h.lease(&key).await?;
    same!(
        h.fill(&key, fill(token, 2, "new")).await?,
        Filled::Stored,
        "the fill"
    );
    same!(
        h.fill(&key, fill(token, 1, "old")).await?,
        Filled::Void,
        "a second fill"
    );
    let found = h.get(&key).await?.map(|entry| entry.payload);
    same!(found, Some(Bytes::from_static(b"new")), "the value");
    Ok(())
}

async fn below_floor(h: &CacheHarness) -> CaseResult {
    let key = h.key("floor");
    h.invalidate(&key, 5).await?;
    let replica = |token, version| Fill {
        from: LoadedFrom::Replica,
        ..fill(token, version, "replica")
    };
    let token = h.lease(&key).await?;
    same!(
        h.fill(&key, replica(token, 4)).await?,
        Filled::BelowFloor,
        "a late replica"
    );
    same!(h.get(&key).await?, None, "after a late replica");
    let token = h.lease(&key).await?;
    same!(
        h.fill(&key, replica(token, 5)).await?,
        Filled::Stored,
        "a replica at the floor"
    );
    let lower = h.key("writer");
    h.invalidate(&lower, 5).await?;
    let token = h.lease(&lower).await?;
    // The writer is never behind: after a restore its versions are lower than they were.
    same!(
        h.fill(&lower, fill(token, 3, "writer")).await?,
        Filled::Stored,
        "the writer"
    );
    Ok(())
}

async fn too_large(h: &CacheHarness) -> CaseResult {
    let key = h.key("large");
    let token = h.lease(&key).await?;
    let fill = Fill {
        payload: Bytes::from(vec![b'x'; h.cache().capability().value_limit + 1]),
        ..fill(token, 1, "")
    };
    same!(
        h.fill(&key, fill).await?,
        Filled::TooLarge,
        "a payload past the limit"
    );
    same!(h.get(&key).await?, None, "the key of what was too large");
    h.put(&h.key("small"), 1, "small").await
}

async fn strange_keys(h: &CacheHarness) -> CaseResult {
    let long = "k".repeat(10_000);
    let names = [
        "",
        " ",
        "a b",
        "a\r\nflush_all\r\n",
        "a\u{0}",
        "日本語",
        "{a}b",
        "*",
        &long,
        &long[1..],
    ];
    for (index, name) in names.iter().enumerate() {
        let (key, token) = (h.key(name), h.lease(&h.key(name)).await?);
        let fill = Fill {
            version: Version::from(index as u64 + 1),
            fresh_for: Duration::from_secs(60),
            ..fill(token, 1, "x")
        };
        same!(h.fill(&key, fill).await?, Filled::Stored, "the fill");
    }
    for (index, name) in names.iter().enumerate() {
        let version = h.get(&h.key(name)).await?.map(|entry| entry.version.get());
        same!(
            version,
            Some(index as u64 + 1),
            format!("the version of name {index}")
        );
    }
    Ok(())
}
