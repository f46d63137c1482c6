//! The engines, one folder each; no engine's crate is named outside of its folder.

#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "dynamodb"))]
mod epoch;
#[cfg(any(
    feature = "sqlite",
    feature = "postgres",
    feature = "dynamodb",
    feature = "redis"
))]
mod feed;
#[cfg(any(
    feature = "sqlite",
    feature = "postgres",
    feature = "dynamodb",
    feature = "redis"
))]
mod gauge;
mod in_process;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

/// The tables of a shop on DynamoDB: how they are made, how they are, and who may do what with them.
#[cfg(feature = "dynamodb")]
pub mod dynamo {
    pub use super::dynamodb::Difference;
    pub use super::dynamodb::Role;
    pub use super::dynamodb::Scaling;
    pub use super::dynamodb::TableCapacity;
    pub use super::dynamodb::TableEncryption;
    pub use super::dynamodb::TableOptions;
    pub use super::dynamodb::TableReport;
    pub use super::dynamodb::TableState;
    pub use super::dynamodb::TablesReport;
}

pub use crate::spi::store::Migrate;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoOptions;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoStore;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoUsage;
#[cfg(feature = "dynamodb")]
pub use dynamodb::OperationUsage;
#[cfg(feature = "dynamodb")]
pub use dynamodb::Throttles;
pub use in_process::InProcessCache;
#[cfg(feature = "memcached")]
pub use memcached::MemcachedCache;
#[cfg(feature = "memcached")]
pub use memcached::MemcachedOptions;
#[cfg(feature = "redis")]
pub use redis::RedisCache;
#[cfg(feature = "redis")]
pub use redis::RedisOptions;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
#[cfg(feature = "redis")]
pub use redis::RedisStoreOptions;
#[cfg(feature = "postgres")]
pub use sql::PostgresOptions;
#[cfg(feature = "postgres")]
pub use sql::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sql::SqliteOptions;
#[cfg(feature = "sqlite")]
pub use sql::SqliteStore;
