//! The scheme table: which engine opens which address. A new engine adds its line.

use std::sync::Arc;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::store::Migrate;
use crate::spi::store::Store;

/// Opens the store at an address. The address is never repeated in an error: it may contain a password.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "dynamodb")),
    expect(
        unused_variables,
        reason = "without an engine that has one there is no schema"
    )
)]
pub(super) async fn open(url: &str, schema: Migrate) -> Result<Arc<dyn Store>> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        #[cfg(feature = "sqlite")]
        Some("sqlite") => sqlite(url, schema).await,
        #[cfg(feature = "postgres")]
        Some("postgres" | "postgresql") => postgres(url, schema).await,
        #[cfg(feature = "dynamodb")]
        Some("dynamodb") => dynamodb(url, schema).await,
        #[cfg(feature = "redis")]
        Some(scheme) if is_redis(scheme) => redis(url).await,
        Some(known)
            if ["sqlite", "postgres", "postgresql", "dynamodb"].contains(&known) || is_redis(known) =>
        {
            Err(config(format!(
                "this build has no engine for {known}: enable the crate's feature"
            )))
        }
        _ => Err(config(
            "the address must begin with sqlite:, postgres:, dynamodb: or redis:".to_owned(),
        )),
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(url: &str, schema: Migrate) -> Result<Arc<dyn Store>> {
    use crate::backend::SqliteOptions;
    use crate::backend::SqliteStore;
    Ok(Arc::new(
        SqliteStore::open(SqliteOptions::new(url).migrate(schema)).await?,
    ))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, schema: Migrate) -> Result<Arc<dyn Store>> {
    use crate::backend::PostgresOptions;
    use crate::backend::PostgresStore;
    Ok(Arc::new(
        PostgresStore::connect(PostgresOptions::new(url).migrate(schema)).await?,
    ))
}

#[cfg(feature = "dynamodb")]
async fn dynamodb(url: &str, schema: Migrate) -> Result<Arc<dyn Store>> {
    use crate::backend::DynamoOptions;
    use crate::backend::DynamoStore;
    Ok(Arc::new(
        DynamoStore::connect(DynamoOptions::from_url(url)?.migrate(schema)).await?,
    ))
}

/// One server, a cluster or a sentinel, with or without TLS.
fn is_redis(scheme: &str) -> bool {
    let (server, kind) = scheme.split_once('-').unwrap_or((scheme, ""));
    ["redis", "rediss", "valkey", "valkeys"].contains(&server) && ["", "cluster", "sentinel"].contains(&kind)
}

/// There is no schema to create: the first key that is written makes it.
#[cfg(feature = "redis")]
async fn redis(url: &str) -> Result<Arc<dyn Store>> {
    use crate::backend::RedisStore;
    use crate::backend::RedisStoreOptions;
    Ok(Arc::new(
        RedisStore::connect(RedisStoreOptions::from_url(url)?).await?,
    ))
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}
