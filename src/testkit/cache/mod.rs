//! One suite that every shared cache passes: each case proves a behaviour bullet of
//! [`SharedCache`](crate::spi::cache::SharedCache).
//!
//! A case that needs holds, floors or push is excluded where the capability leaves them out, and says so. Every case has
//! keys of its own, so that one server serves them all.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use stockroom::testkit::cache::{self, CacheHarness, CacheSetup};
//! use stockroom::{InProcessCache, Result};
//!
//! struct Mine;
//!
//! #[async_trait]
//! impl CacheSetup for Mine {
//!     async fn fresh(&self) -> Result<CacheHarness> {
//!         let cache = InProcessCache::new();
//!         let other = cache.another();
//!         Ok(CacheHarness::new(Arc::new(cache), Arc::new(other)))
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let report = cache::run_only(&Mine, &["acquire.one", "invalidate.voids"]).await;
//! println!("{report}");
//! assert!(report.is_green());
//! # });
//! ```

mod calls;
mod case;
mod fault;
mod faulty;
mod harness;
mod holds;
mod invalidations;
mod leases;
mod report;
mod tags;
mod values;

use crate::model::Product;

pub use case::CacheCase;
pub use case::CacheNeed;
pub use fault::CacheFault;
pub use faulty::FaultyCache;
pub use faulty::FaultyCacheSetup;
pub use harness::CacheHarness;
pub use harness::CacheSetup;
pub use report::CacheOutcome;
pub use report::CacheReport;
pub use report::run;
pub use report::run_only;

/// The product of a payload, as the cache reads it; `None` for one that is absent, damaged or of another version.
///
/// For a bench that reads by hand what the cache keeps.
#[must_use]
pub fn decode_product(payload: &[u8]) -> Option<Product> {
    crate::cache::decode_product(payload)
}

/// Every case of the suite with the bullet that it proves, in the order in which they run.
#[must_use]
pub fn manifest() -> Vec<&'static CacheCase> {
    let groups: [&'static [CacheCase]; 6] = [
        values::CASES,
        leases::CASES,
        invalidations::CASES,
        holds::CASES,
        tags::CASES,
        calls::CASES,
    ];
    groups.into_iter().flatten().collect()
}
