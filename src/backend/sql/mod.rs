//! SQLite and PostgreSQL. What they share is one level up from their two folders: the tables, the reads, the commit
//! program's steps, the plan of a batch and the committer's task. What differs is in `sqlite/` and `postgres/`.

mod answer;
mod committer;
mod coordination;
mod dialect;
mod epoch;
mod feed;
mod filter;
mod join;
mod judge;
mod letters;
mod migrate;
#[cfg(feature = "postgres")]
mod packed;
mod plan;
mod program;
mod rows;
mod tables;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "postgres")]
pub use postgres::PostgresOptions;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteOptions;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

use std::sync::Arc;

use crate::model::Aggregate;
use crate::spi::store::Capability;
use crate::spi::store::HistoryReader;
use crate::spi::store::Limits;
use crate::spi::store::Readers;

/// Aggregates that the SQL stores hold.
const AGGREGATES: &[Aggregate] = &[
    Aggregate::Product,
    Aggregate::Cart,
    Aggregate::Order,
    Aggregate::Payment,
    Aggregate::Level,
];

/// What one write set may hold: enough for an import of a thousand products, little enough for one statement.
const LIMITS: Limits = Limits {
    operations: 10_000,
    bytes: 16 * 1024 * 1024,
};

const fn capability(engine: &'static str) -> Capability {
    Capability::new(engine, AGGREGATES, LIMITS)
}

/// The readers over one engine, with its own of the history.
fn readers<R: dialect::Reads>(reads: &Arc<R>, history: Arc<dyn HistoryReader>) -> Readers {
    Readers {
        product: Some(Arc::new(tables::product::SqlProducts(reads.clone()))),
        cart: Some(Arc::new(tables::cart::SqlCarts(reads.clone()))),
        order: Some(Arc::new(tables::order::SqlOrders(reads.clone()))),
        payment: Some(Arc::new(tables::payment::SqlPayments(reads.clone()))),
        inventory: Some(Arc::new(tables::level::SqlInventory(reads.clone()))),
        claim: Some(Arc::new(tables::keys::SqlClaims(reads.clone()))),
        history: Some(history),
    }
}
