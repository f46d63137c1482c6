//! Where the sale takes place: a temporary SQLite file, or a schema of its own on a PostgreSQL server.

use std::path::PathBuf;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;
use stockroom::OrderId;
use stockroom::SqliteOptions;
use stockroom::SqliteStore;
use stockroom::Stockroom;

use crate::Outcome;
use crate::usual::Usual;

#[cfg(feature = "postgres")]
mod schema;

#[cfg(feature = "postgres")]
use self::schema::Schema;

/// Where the sale takes place; nothing of it is left behind.
#[derive(Debug)]
pub(crate) enum Venue {
    Sqlite(Folder),
    #[cfg(feature = "postgres")]
    Postgres(Schema),
}

impl Venue {
    pub(crate) async fn open(url: Option<&str>) -> Outcome<Self> {
        match url {
            None => Ok(Self::Sqlite(Folder::create()?)),
            #[cfg(feature = "postgres")]
            Some(url) => Ok(Self::Postgres(Schema::create(url).await?)),
            #[cfg(not(feature = "postgres"))]
            Some(_) => {
                Err("--url needs the feature postgres: cargo run --release --features postgres …".into())
            }
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite, in a temporary file",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "PostgreSQL, in a schema of its own",
        }
    }

    /// A new shop.
    pub(crate) async fn shop(&self) -> Outcome<Stockroom> {
        match self {
            Self::Sqlite(folder) => {
                let url = format!("sqlite://{}", folder.file("shop").display());
                let store = SqliteStore::open(SqliteOptions::new(url)).await?;
                Ok(Stockroom::builder().store(store).open().await?)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => schema.shop().await,
        }
    }

    /// Connections of who does it by hand, as durable as the shop's own.
    pub(crate) async fn usual(&self) -> Outcome<Usual> {
        match self {
            Self::Sqlite(folder) => {
                let connect = SqliteConnectOptions::new()
                    .filename(folder.file("usual"))
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full);
                // One connection can write at a time: others would only find the file locked.
                let pool = SqlitePoolOptions::new()
                    .max_connections(1)
                    .test_before_acquire(false);
                Ok(Usual::Sqlite(pool.connect_with(connect).await?))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => Ok(Usual::Postgres(schema.pool().await?)),
        }
    }

    pub(crate) async fn close(self) -> Outcome {
        match self {
            Self::Sqlite(folder) => Ok(folder.remove()?),
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => schema.remove().await,
        }
    }
}

/// A folder for the files; they have companions while they are open.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn create() -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("stockroom-flash-sale-{}", OrderId::new()));
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.db"))
    }

    fn remove(self) -> std::io::Result<()> {
        std::fs::remove_dir_all(self.0)
    }
}
