//! What the levels promise, counted; and that plain cache-aside, and each planted fault, breaks it in the same harness.

use std::sync::Arc;
use std::time::Duration;

use stockroom::CachePolicy;
use stockroom::Consistency;
use stockroom::InProcessCache;
use stockroom::MemcachedCache;
use stockroom::MemcachedOptions;
use stockroom::RedisCache;
use stockroom::Strategy;
use stockroom::Tiers;
use stockroom::spi::cache::SharedCache;
use stockroom::testkit::cache::CacheFault;
use stockroom::testkit::cache::FaultyCache;
use stockroom::testkit::engines;
use stockroom::testkit::engines::Memcached;
use stockroom::testkit::engines::Redis;

use super::outcome::Outcome;
use super::outcome::is_left_out;
use super::outcome::keep;
use super::outcome::tell;
use super::trial::Trial;

pub(super) type Pair = [Arc<dyn SharedCache>; 2];

pub(super) fn in_process() -> Pair {
    let cache = InProcessCache::new();
    let another = cache.another();
    [Arc::new(cache), Arc::new(another)]
}

pub(super) async fn on_redis() -> Option<Pair> {
    let server = engines::require(Redis::shared().await).unwrap()?;
    let one = RedisCache::connect(server.url().as_str()).await.unwrap();
    let other = RedisCache::connect(server.url().as_str()).await.unwrap();
    Some([Arc::new(one), Arc::new(other)])
}

pub(super) async fn on_memcached() -> Option<Pair> {
    let server = engines::require(Memcached::shared().await).unwrap()?;
    let options = MemcachedOptions::new([server.address().to_string()]);
    let one = MemcachedCache::connect(options.clone()).await.unwrap();
    let other = MemcachedCache::connect(options).await.unwrap();
    Some([Arc::new(one), Arc::new(other)])
}

/// The shared tier alone: nothing older than an invalidation that returned.
fn shared_only() -> CachePolicy {
    CachePolicy::new().tiers(Tiers::Shared)
}

fn strict() -> CachePolicy {
    CachePolicy::new().consistency(Consistency::Strict)
}

/// Both tiers, with as many early loads as can be.
fn both() -> CachePolicy {
    CachePolicy::new()
        .strategy(Strategy::RefreshAhead)
        .keep(Duration::from_secs(2))
}

/// Runs a trial in which nothing may be stale, and in which this must have happened too.
async fn holds(name: &str, trial: Trial, happened: impl Fn(&Outcome) -> bool) {
    if is_left_out(name) {
        return;
    }
    let outcome = trial.run(false).await;
    tell(name, &outcome);
    assert_eq!(outcome.stale, 0, "{name}: {outcome}");
    assert!(
        outcome.writes > 20 && happened(&outcome),
        "{name}: {outcome} {:?}",
        outcome.stats
    );
    keep(name, &outcome);
}

fn hits_the_shared_tier(outcome: &Outcome) -> bool {
    outcome.stats.iter().any(|stats| stats.hits_shared > 0)
}

fn hits_both_fronts(outcome: &Outcome) -> bool {
    outcome.stats.iter().all(|stats| stats.hits_in_process > 0)
}

fn meets_a_replica_that_is_behind(outcome: &Outcome) -> bool {
    outcome.stats.iter().any(|stats| stats.replica_behind > 0)
}

/// Runs until something stale was read, at most so many times.
async fn breaks(name: &str, trial: impl Fn() -> Trial) {
    for _ in 0..5 {
        let outcome = trial().run(true).await;
        tell(name, &outcome);
        if outcome.stale > 0 {
            return;
        }
    }
    panic!("{name}: nothing stale was read");
}

/// Every level on one engine.
async fn every_level(name: &str, pair: impl AsyncFn() -> Option<Pair>) {
    let Some(caches) = pair().await else { return };
    let capability = *caches[0].capability();
    let plain = Trial::new(Some(caches), shared_only());
    holds(&format!("{name}, Invalidate"), plain, hits_the_shared_tier).await;

    // What a writer that died wrote is not promised to anybody; what the others wrote is.
    let trial = Trial {
        dies: 5,
        ..Trial::new(pair().await, shared_only())
    };
    let name_of_dying = format!("{name}, Invalidate, writers die");
    holds(&name_of_dying, trial, |outcome| outcome.deaths > 0).await;

    let behind = Duration::from_secs(if capability.push { 1 } else { 2 });
    let trial = Trial::new(pair().await, both()).behind(behind);
    holds(
        &format!("{name}, Invalidate, both tiers"),
        trial,
        hits_both_fronts,
    )
    .await;

    if capability.floors {
        let policy = shared_only().replica_bound(Duration::from_secs(5));
        let trial = Trial::new(pair().await, policy);
        let name = format!("{name}, Invalidate, lagging replica");
        holds(&name, trial, meets_a_replica_that_is_behind).await;
    }

    if capability.holds {
        let trial = Trial::new(pair().await, strict());
        holds(&format!("{name}, Strict"), trial, hits_the_shared_tier).await;
        let trial = Trial {
            keys: 100,
            dies: 20,
            counts_the_dead: true,
            ..Trial::new(pair().await, strict())
        };
        let name = format!("{name}, Strict, writers die");
        holds(&name, trial, |outcome| outcome.deaths > 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_stale_in_process() {
    every_level("in process", async || Some(in_process())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_stale_on_redis() {
    every_level("Redis", on_redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_stale_on_memcached() {
    every_level("Memcached", on_memcached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_shops_without_a_shared_tier_follow_each_other_by_the_feed() {
    let trial = Trial::new(None, CachePolicy::new()).behind(Duration::from_secs(2));
    holds("the feed, Invalidate", trial, hits_both_fronts).await;
}

/// Both shops through one cache that is wrong in one way.
fn faulty(fault: CacheFault, policy: CachePolicy) -> Trial {
    let cache: Arc<dyn SharedCache> = Arc::new(FaultyCache::new(Arc::new(InProcessCache::new()), fault));
    Trial {
        // As long as it takes, up to a point: it ends with the first stale read.
        lasts: Duration::from_secs(10),
        ..Trial::new(Some([Arc::clone(&cache), cache]), policy)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_cache_aside_is_seen_to_fail() {
    breaks("cache-aside", || {
        faulty(CacheFault::StoresWithoutLease, shared_only())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn invalidations_that_are_forgotten_are_seen_to_fail() {
    breaks("forgotten", || {
        faulty(CacheFault::ForgetsInvalidations, shared_only())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn news_that_nobody_hears_is_seen_to_fail() {
    let trial = || faulty(CacheFault::ProvesTooMuch, CachePolicy::new()).behind(Duration::from_secs(1));
    breaks("unheard", trial).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_without_a_hold_is_seen_to_fail_when_writers_die() {
    let trial = || Trial {
        dies: 5,
        counts_the_dead: true,
        ..faulty(CacheFault::ForgetsHolds, strict())
    };
    breaks("no hold", trial).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn room_for_one_writer_is_seen_to_fail_when_writers_die() {
    let trial = || Trial {
        keys: 1,
        dies: 3,
        counts_the_dead: true,
        ..faulty(CacheFault::KeepsOneHold, strict())
    };
    breaks("one hold", trial).await;
}
