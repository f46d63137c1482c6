//! The engines, one folder each; no engine's crate is named outside of its folder.

#[cfg(feature = "dynamodb")]
mod dynamodb;
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

pub use crate::spi::store::Migrate;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoOptions;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoStore;
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
