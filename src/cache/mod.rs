//! The cache: a tier in this process in front of one that processes share, never silently stale.
//!
//! A read is answered here, by the shared tier, or by the store under a lease ([`cached`]). A write holds keys before it where
//! that is promised and invalidates them after it ([`observer`]); the change feed repeats what a writer could not do
//! ([`sink`]). News of other processes' writes comes by push or from the feed ([`front`], [`tail`]), and what is kept here is
//! served only while the news is known to be complete.

mod aliases;
mod audit;
mod breaker;
mod cached;
mod clock;
mod codec;
mod config;
mod flights;
mod front;
mod hints;
mod hits;
mod holds;
mod keys;
mod leased;
mod listings;
mod loader;
mod many;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
mod open;
mod policy;
mod products;
mod remote;
mod shop;
mod sink;
mod stats;
mod stores;
mod tail;
mod tasks;
mod tier;
mod writer;

pub use config::Cache;
pub use hints::StockHint;
pub use observer::OnCacheDown;
pub use policy::CachePolicy;
pub use policy::Consistency;
pub use policy::Strategy;
pub use policy::Tiers;
pub use shop::ShopCache;
pub use stats::CacheStats;

pub(crate) use cached::Cached;
pub(crate) use hints::StockHints;
pub(crate) use products::ProductCache;
pub(crate) use stores::Stores;

/// The product of a payload, as it is read here.
#[cfg(feature = "testkit")]
pub(crate) fn decode_product(payload: &[u8]) -> Option<crate::model::Product> {
    codec::decode(payload)?.value
}
