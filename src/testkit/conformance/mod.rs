//! One suite that every store passes: each case proves a behaviour bullet of the SPI.
//!
//! A bullet such as `commit.atomic` has a case of that name; more cases of one bullet carry a suffix, as in
//! `commit.atomic/stock`. [`manifest`] lists them all. A case that needs an aggregate or a query that the
//! [`Capability`](crate::spi::store::Capability) of the store leaves out is excluded and says why: a store for carts
//! runs what concerns carts.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # {
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use stockroom::testkit::conformance::{self, Harness, Options, Setup};
//! use stockroom::{Result, SqliteOptions, SqliteStore};
//!
//! struct InMemory;
//!
//! #[async_trait]
//! impl Setup for InMemory {
//!     async fn fresh(&self) -> Result<Harness> {
//!         let store = Arc::new(SqliteStore::open(SqliteOptions::new("sqlite::memory:")).await?);
//!         let clock = Arc::clone(&store);
//!         Ok(Harness::new(store, move |by| clock.shift_clock(by)))
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let options = Options::new().only(["commit.atomic", "cart.round_trip"]).progress(|case| println!("{case}"));
//! let report = conformance::run(&InMemory, &options).await;
//! println!("{report}");
//! assert!(report.is_green());
//! # });
//! # }
//! ```

mod atomic;
mod carts;
mod case;
mod changes;
pub(in crate::testkit) mod check;
mod claims;
mod coordination;
mod deltas;
mod extremes;
mod feed;
mod harness;
mod holds;
mod inventory;
mod keys;
mod ledger;
mod letters;
mod lifecycle;
mod lists;
mod orders;
mod payments;
mod products;
mod races;
mod reads;
mod report;
mod roots;
mod run;
mod stock;

pub use case::Case;
pub use case::Need;
pub use check::CaseResult;
pub use check::Failure;
pub use harness::Harness;
pub use harness::Setup;
pub use report::Outcome;
pub use report::Report;
pub use report::Verdict;
pub use run::Options;
pub use run::run;

/// Every case of the suite with the bullet that it proves, in the order in which they run.
#[must_use]
pub fn manifest() -> Vec<&'static Case> {
    let groups: [&'static [Case]; 21] = [
        roots::CASES,
        reads::CASES,
        extremes::CASES,
        races::CASES,
        atomic::CASES,
        claims::CASES,
        keys::CASES,
        stock::CASES,
        ledger::CASES,
        holds::CASES,
        inventory::CASES,
        deltas::CASES,
        carts::CASES,
        products::CASES,
        lists::CASES,
        orders::CASES,
        payments::CASES,
        lifecycle::CASES,
        changes::CASES,
        coordination::CASES,
        letters::CASES,
    ];
    groups.into_iter().flatten().collect()
}
