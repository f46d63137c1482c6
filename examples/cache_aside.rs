//! Cache-aside by hand, for data of the application's own: the shared cache of a shop gives leases, so that what was loaded
//! before a change cannot come back after it.
//!
//! ```text
//! cargo run --release --example cache_aside
//! ```
//!
//! It plays the race through that plain cache-aside loses, and fails if the old value is served.

use std::time::Duration;

use bytes::Bytes;
use stockroom::InProcessCache; // in place of it: RedisCache, MemcachedCache
use stockroom::Result;
use stockroom::model::Version;
use stockroom::resilience::Deadline;
use stockroom::spi::cache::Acquire;
use stockroom::spi::cache::Acquired;
use stockroom::spi::cache::CacheKey;
use stockroom::spi::cache::Fill;
use stockroom::spi::cache::Filled;
use stockroom::spi::cache::Invalidate;
use stockroom::spi::cache::Invalidation;
use stockroom::spi::cache::LeaseToken;
use stockroom::spi::cache::LoadWhen;
use stockroom::spi::cache::LoadedFrom;
use stockroom::spi::cache::SharedCache;

/// The opening hours of a branch: a row of the application's own, with a version.
struct Row {
    version: u64,
    text: &'static str,
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(1))
}

/// Asks for the value, or for the right to load it.
async fn look(cache: &dyn SharedCache, key: &CacheKey) -> Result<Result<Bytes, Option<LeaseToken>>> {
    let keys = std::slice::from_ref(key);
    if let Some(entry) = cache.get_many(keys, soon()).await?.remove(0) {
        return Ok(Ok(entry.payload));
    }
    let ask = Acquire {
        lease: Duration::from_secs(3),
        when: LoadWhen::Missing,
    };
    Ok(match cache.acquire(keys, ask, soon()).await?.remove(0) {
        Acquired::Filled(entry) => Ok(entry.payload),
        Acquired::Lease { token, .. } => Err(Some(token)),
        // Somebody else loads, or writes: load for yourself, and store nothing.
        Acquired::Busy { .. } | Acquired::Held => Err(None),
    })
}

/// Stores what was loaded, if nothing was changed since the right was given.
async fn store(cache: &dyn SharedCache, key: &CacheKey, (token, row): (LeaseToken, &Row)) -> Result<Filled> {
    let fill = Fill {
        token,
        version: Version::from(row.version),
        from: LoadedFrom::Writer,
        fresh_for: Duration::from_secs(60),
        stale_for: Duration::ZERO,
        payload: Bytes::from_static(row.text.as_bytes()),
    };
    Ok(cache.fill(vec![(key.clone(), fill)], soon()).await?.remove(0))
}

/// Tells the cache that a row was changed: after the COMMIT, with the version that it led to.
async fn changed(cache: &dyn SharedCache, key: &CacheKey, row: &Row) -> Result<()> {
    let what = Invalidation {
        key: key.clone(),
        version: Version::from(row.version),
    };
    let how = Invalidate {
        writer: None,
        holdoff: Duration::from_secs(15),
        stale_for: Duration::ZERO,
    };
    cache.invalidate(&[what], how, soon()).await
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let cache = InProcessCache::new();
    let key = CacheKey::new("my-app", "opening-hours", "Berlin, Kantstraße 1");
    println!("the key is sent as {key}");

    let old = Row {
        version: 1,
        text: "9 to 18",
    };
    let Err(Some(late)) = look(&cache, &key).await? else {
        return Err("an empty cache gives the right to load".into());
    };
    println!(
        "a slow reader has loaded {:?} and has not stored it yet",
        old.text
    );

    let new = Row {
        version: 2,
        text: "9 to 20",
    };
    changed(&cache, &key, &new).await?;
    println!("a writer has changed it to {:?} and has told the cache", new.text);

    let filled = store(&cache, &key, (late, &old)).await?;
    println!("the slow reader stores what it has: {filled:?}");

    let Err(Some(token)) = look(&cache, &key).await? else {
        return Err("the old value was served".into());
    };
    println!(
        "the next reader loads: {:?}",
        store(&cache, &key, (token, &new)).await?
    );
    match look(&cache, &key).await? {
        Ok(text) if text == new.text.as_bytes() => println!("and everybody reads {:?}", new.text),
        _ => return Err("the new value is not served".into()),
    }
    Ok(())
}
