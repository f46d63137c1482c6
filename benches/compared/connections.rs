//! Connections of who writes by hand, kept open and lent one by one.
//!
//! Not sqlx's pool: it makes a round trip to the server whenever a connection comes back to it, so that each transaction
//! would hold its connection for longer than it has to.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use sqlx::Connection as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteConnection;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqliteSynchronous;
use tokio::sync::Semaphore;

use crate::support::Result;

/// Connections of who writes by hand on PostgreSQL.
pub(crate) const CONNECTIONS: usize = 16;

/// Connections that wait to be used; who comes first is served first.
#[derive(Debug)]
pub(crate) struct Connections<C> {
    idle: Arc<Mutex<Vec<C>>>,
    free: Arc<Semaphore>,
}

impl<C> Clone for Connections<C> {
    fn clone(&self) -> Self {
        Self {
            idle: Arc::clone(&self.idle),
            free: Arc::clone(&self.free),
        }
    }
}

impl<C> Connections<C> {
    fn new(connections: Vec<C>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections.len())),
            idle: Arc::new(Mutex::new(connections)),
        }
    }

    pub(crate) async fn take(&self) -> Result<C> {
        self.free.acquire().await?.forget();
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(connection.ok_or("a connection was lost")?)
    }

    pub(crate) fn give(&self, connection: C) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        self.free.add_permits(1);
    }

    fn all(&self) -> Vec<C> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Connections to the tables of a shop.
#[derive(Debug, Clone)]
pub(crate) enum ByHand {
    Postgres(Connections<PgConnection>),
    Sqlite(Connections<SqliteConnection>),
}

impl ByHand {
    /// On the tables of the shop in this schema.
    pub(crate) async fn postgres(url: &str, schema: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?.options([("search_path", schema)]);
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(PgConnection::connect_with(&options).await?);
        }
        Ok(Self::Postgres(Connections::new(connections)))
    }

    /// On the tables of the shop in this file, as durable as the shop itself. One connection: more would only find the file
    /// locked.
    pub(crate) async fn sqlite(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let connection = SqliteConnection::connect_with(&options).await?;
        Ok(Self::Sqlite(Connections::new(vec![connection])))
    }

    pub(crate) async fn close(&self) -> Result<()> {
        match self {
            Self::Postgres(connections) => {
                for connection in connections.all() {
                    connection.close().await?;
                }
            }
            Self::Sqlite(connections) => {
                for connection in connections.all() {
                    connection.close().await?;
                }
            }
        }
        Ok(())
    }
}
