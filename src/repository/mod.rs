//! What applications call: typed access to each aggregate.
//!
//! - Reads go to the system of record. A batch read keeps the order asked and gives `None` for what is
//!   absent.
//! - Every write is one write set: whole or not at all. Whoever drops the future of a write loses the answer,
//!   never half of the write.
//! - Every call ends within the deadline of the shop that it was made on.

mod carts;
mod holds;
mod inventory;
mod orders;
mod payments;
mod products;

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "testkit"))]
mod tests;

pub use carts::Carts;
pub use carts::NewCartLine;
pub use inventory::Inventory;
pub use orders::Orders;
pub use payments::Payments;
pub use payments::Recorded;
pub use products::Products;

pub(crate) use payments::charge_claim;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::Committed;

/// The only answer to a question about one key.
pub(crate) fn single<T>(answers: Vec<Option<T>>) -> Option<T> {
    answers.into_iter().next().flatten()
}

/// What was written, at the version that the commit gave it.
pub(crate) fn written<T: AggregateRoot>(committed: &Committed, written: T) -> Result<T> {
    let version = version_of(committed, T::KIND, &written.key())?;
    Ok(written.at_version(version))
}

/// The version that the commit gave a row.
pub(crate) fn version_of(committed: &Committed, aggregate: Aggregate, key: &RowKey) -> Result<Version> {
    committed.version(aggregate, key).ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "the store did not tell the version that it wrote",
        )
        .concerning(aggregate.name(key))
    })
}

/// A value given as a string, a number or itself.
pub(crate) fn parsed<T>(value: impl TryInto<T, Error: Into<Error>>) -> Result<T> {
    value.try_into().map_err(Into::into)
}
