//! The engines, one folder each; no engine's crate is named outside of its folder.

#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

pub use crate::spi::store::Migrate;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoOptions;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoStore;
#[cfg(feature = "postgres")]
pub use sql::PostgresOptions;
#[cfg(feature = "postgres")]
pub use sql::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sql::SqliteOptions;
#[cfg(feature = "sqlite")]
pub use sql::SqliteStore;
