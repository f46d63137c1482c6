//! A shared cache of one's own: what has to be written, and how it is proven.
//!
//! ```text
//! cargo run --release --features testkit --example custom_cache
//! ```
//!
//! It has leases alone, as Memcached has; the test kit excludes what needs holds, floors or push, and runs the rest. It fails if
//! a case fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Result;
use stockroom::model::Version;
use stockroom::resilience::Deadline;
use stockroom::spi::cache::Acquire;
use stockroom::spi::cache::Acquired;
use stockroom::spi::cache::CacheCapability;
use stockroom::spi::cache::CacheKey;
use stockroom::spi::cache::Entry;
use stockroom::spi::cache::Fill;
use stockroom::spi::cache::Filled;
use stockroom::spi::cache::Follower;
use stockroom::spi::cache::Invalidate;
use stockroom::spi::cache::Invalidation;
use stockroom::spi::cache::LeaseToken;
use stockroom::spi::cache::LoadWhen;
use stockroom::spi::cache::NOTHING_WRITTEN;
use stockroom::spi::cache::Renewed;
use stockroom::spi::cache::SharedCache;
use stockroom::spi::cache::TagGeneration;
use stockroom::spi::cache::Writer;
use stockroom::testkit::cache;
use stockroom::testkit::cache::CacheHarness;
use stockroom::testkit::cache::CacheSetup;

const CAPABILITY: CacheCapability = CacheCapability::new("drawer", 64 * 1024);

/// A map behind a lock: every handle of a drawer sees the same.
#[derive(Debug, Default)]
struct Drawer {
    shared: Arc<Shared>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Shared {
    slots: Mutex<HashMap<CacheKey, Slot>>,
    tags: Mutex<HashMap<CacheKey, TagGeneration>>,
    tokens: AtomicU64,
}

/// A value, fresh or stale, and who may replace it.
#[derive(Clone, Debug, Default)]
struct Slot {
    value: Option<(Version, Bytes)>,
    fresh_until: Option<Instant>,
    stale_until: Option<Instant>,
    lease: Option<(LeaseToken, Instant)>,
}

impl Slot {
    fn fresh(&self) -> Option<Entry> {
        let fresh_for = self.fresh_until?.checked_duration_since(Instant::now())?;
        let (version, payload) = self.value.clone()?;
        Some(Entry {
            version,
            fresh_for,
            payload,
        })
    }

    fn stale(&self) -> Option<Bytes> {
        let is_kept = self.stale_until.is_some_and(|until| Instant::now() < until);
        self.value.clone().filter(|_| is_kept).map(|(_, payload)| payload)
    }

    fn is_leased(&self) -> bool {
        self.lease.is_some_and(|(_, until)| Instant::now() < until)
    }
}

impl Drawer {
    fn another(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            closed: AtomicBool::new(false),
        }
    }

    fn slots(&self, deadline: Deadline) -> Result<MutexGuard<'_, HashMap<CacheKey, Slot>>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, "the drawer is closed"));
        }
        if deadline.is_over() {
            return Err(Error::new(ErrorKind::Timeout, "too late"));
        }
        Ok(self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tags(&self, deadline: Deadline) -> Result<MutexGuard<'_, HashMap<CacheKey, TagGeneration>>> {
        drop(self.slots(deadline)?);
        Ok(self.shared.tags.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn token(&self) -> LeaseToken {
        let mut token = [0; 16];
        token[..8].copy_from_slice(&self.shared.tokens.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        LeaseToken(token)
    }
}

#[async_trait]
impl SharedCache for Drawer {
    fn capability(&self) -> &CacheCapability {
        &CAPABILITY
    }

    async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>> {
        let slots = self.slots(deadline)?;
        Ok(keys
            .iter()
            .map(|key| slots.get(key).and_then(Slot::fresh))
            .collect())
    }

    async fn acquire(&self, keys: &[CacheKey], ask: Acquire, deadline: Deadline) -> Result<Vec<Acquired>> {
        let mut slots = self.slots(deadline)?;
        let acquired = keys.iter().map(|key| {
            let slot = slots.entry(key.clone()).or_default();
            match slot.fresh() {
                Some(entry) if ask.when == LoadWhen::Missing || slot.is_leased() => Acquired::Filled(entry),
                _ if slot.is_leased() => Acquired::Busy { stale: slot.stale() },
                _ => {
                    let token = self.token();
                    slot.lease = Some((token, Instant::now() + ask.lease));
                    let stale = slot.stale();
                    Acquired::Lease {
                        token,
                        floor: Version::ZERO,
                        stale,
                    }
                }
            }
        });
        Ok(acquired.collect())
    }

    async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) -> Result<Vec<Filled>> {
        let mut slots = self.slots(deadline)?;
        let filled = fills.into_iter().map(|(key, fill)| {
            let slot = slots.entry(key).or_default();
            // The whole point: without the lease that was given before the load nothing is stored.
            if slot.lease.is_none_or(|(token, _)| token != fill.token) {
                return Filled::Void;
            }
            if fill.payload.len() > CAPABILITY.value_limit {
                return Filled::TooLarge;
            }
            let fresh_until = Instant::now() + fill.fresh_for;
            *slot = Slot {
                value: Some((fill.version, fill.payload)),
                fresh_until: Some(fresh_until),
                stale_until: Some(fresh_until + fill.stale_for),
                lease: None,
            };
            Filled::Stored
        });
        Ok(filled.collect())
    }

    async fn hold(&self, _: &[CacheKey], _: (Writer, Duration), _: Deadline) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a drawer has no holds"))
    }

    async fn renew(&self, _: &[CacheKey], _: (Writer, Duration), _: Deadline) -> Result<Renewed> {
        Err(Error::new(ErrorKind::Unsupported, "a drawer has no holds"))
    }

    async fn invalidate(&self, what: &[Invalidation], how: Invalidate, deadline: Deadline) -> Result<()> {
        let mut slots = self.slots(deadline)?;
        for one in what {
            let slot = slots.entry(one.key.clone()).or_default();
            let is_newer = one.version != NOTHING_WRITTEN
                && slot.fresh().is_some_and(|entry| entry.version >= one.version);
            if !is_newer {
                slot.lease = None;
                slot.fresh_until = None;
                slot.stale_until = Some(Instant::now() + how.stale_for);
            }
        }
        Ok(())
    }

    async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>> {
        let mut known = self.tags(deadline)?;
        let of = |tag: &CacheKey| match known.get(tag) {
            Some(generation) => Ok(*generation),
            None => {
                let new = TagGeneration::random()?;
                known.insert(tag.clone(), new);
                Ok(new)
            }
        };
        tags.iter().map(of).collect()
    }

    async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        // One that is not known gets a new generation when it is asked for.
        let mut known = self.tags(deadline)?;
        known.retain(|tag, _| !tags.contains(tag));
        Ok(())
    }

    fn follow(&self, _: Arc<dyn Follower>) {}

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.slots(deadline).map(drop)
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// How the suite makes one.
struct Drawers;

#[async_trait]
impl CacheSetup for Drawers {
    async fn fresh(&self) -> Result<CacheHarness> {
        let drawer = Drawer::default();
        let another = drawer.another();
        Ok(CacheHarness::new(Arc::new(drawer), Arc::new(another)))
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let report = cache::run(&Drawers).await;
    println!("{report}");
    match report.is_green() {
        true => Ok(()),
        false => Err("the drawer does not keep the contract".into()),
    }
}
