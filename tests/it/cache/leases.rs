//! Leases taken and filled by hand, for tests that ask a shared cache without a shop.

use std::time::Duration;

use bytes::Bytes;
use stockroom::model::Version;
use stockroom::resilience::Deadline;
use stockroom::spi::cache::Acquire;
use stockroom::spi::cache::Acquired;
use stockroom::spi::cache::CacheKey;
use stockroom::spi::cache::Fill;
use stockroom::spi::cache::Filled;
use stockroom::spi::cache::LeaseToken;
use stockroom::spi::cache::LoadWhen;
use stockroom::spi::cache::LoadedFrom;
use stockroom::spi::cache::SharedCache;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

pub(super) fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

/// The lease of a key that is free.
pub(super) async fn lease(cache: &dyn SharedCache, key: &CacheKey) -> LeaseToken {
    let ask = Acquire {
        lease: LONG,
        when: LoadWhen::Missing,
    };
    let answers = cache
        .acquire(std::slice::from_ref(key), ask, soon())
        .await
        .unwrap();
    match answers.into_iter().next() {
        Some(Acquired::Lease { token, .. }) => token,
        other => panic!("the key is not free: {other:?}"),
    }
}

/// Fills a key under a lease.
pub(super) async fn fill(
    cache: &dyn SharedCache,
    key: &CacheKey,
    token: LeaseToken,
    payload: impl Into<Bytes>,
) -> Filled {
    let fill = Fill {
        token,
        version: Version::from(1),
        from: LoadedFrom::Writer,
        fresh_for: LONG,
        stale_for: Duration::ZERO,
        payload: payload.into(),
    };
    let filled = cache.fill(vec![(key.clone(), fill)], soon()).await.unwrap();
    filled[0]
}

/// A value under this name that nothing else has.
pub(super) async fn put(cache: &dyn SharedCache, key: &CacheKey) {
    let token = lease(cache, key).await;
    let name = Bytes::copy_from_slice(key.as_str().as_bytes());
    assert_eq!(fill(cache, key, token, name).await, Filled::Stored);
}
