//! One server: its connections, and which life of the server each of them belongs to.

use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;

use async_memcached::Client;
use async_memcached::Error as ClientError;
use sha2::Digest;
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::error::error;
use super::error::is_lost;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// Connections are tried anew so often: a server that was restarted leaves dead ones behind.
const TRIES: usize = 2;

/// A server and its idle connections.
pub(super) struct Server {
    address: String,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// A connection, and the life of the server that it leads to.
///
/// A restarted server counts its entries' numbers from the beginning: a lease of before could fit an entry of after. A
/// connection cannot outlive the server's process, so a lease is good only for connections to the same life.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) life: u64,
}

/// What a caller does with a connection.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = core::result::Result<T, ClientError>> + Send + 'a>>;

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(address: &str, connections: usize) -> Self {
        Self {
            address: address.to_owned(),
            permits: Semaphore::new(connections),
            idle: Mutex::default(),
        }
    }

    /// Does what may be done twice, on a connection of its own; again on a new one where an idle one turns out to be dead.
    ///
    /// - A call that is dropped or fails takes its connection with it: an answer that is on its way belongs to nobody else.
    pub(super) async fn run<T>(
        &self,
        work: impl for<'a> Fn(&'a mut Connection) -> Work<'a, T> + Send + Sync,
    ) -> Result<core::result::Result<T, ClientError>> {
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        for attempt in 1.. {
            let (mut connection, was_idle) = match self.take() {
                Some(connection) => (connection, true),
                None => (self.connect().await?, false),
            };
            match work(&mut connection).await {
                Err(lost) if is_lost(&lost) => {
                    if was_idle && attempt < TRIES {
                        // Those opened with it are as dead as it is.
                        self.drain();
                        continue;
                    }
                    return Err(error(lost));
                }
                answer => {
                    self.put_back(connection);
                    return Ok(answer);
                }
            }
        }
        Err(closed())
    }

    async fn connect(&self) -> Result<Connection> {
        let mut client = Client::new(format!("tcp://{}", self.address))
            .await
            .map_err(error)?;
        let facts = client.stats().await.map_err(error)?;
        let fact = |name: &str| facts.get(name).cloned().unwrap_or_default();
        // Both count whole seconds of the same tick: their difference is the same for all of a server's life.
        let seconds = |name: &str| fact(name).parse::<i64>().unwrap_or(0);
        let started = seconds("time") - seconds("uptime");
        Ok(Connection {
            client,
            life: life(&fact("pid"), started),
        })
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if !connection.client.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put_back(&self, connection: Connection) {
        if !connection.client.is_closed() && !self.permits.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }

    fn drain(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn close(&self) {
        self.permits.close();
        self.drain();
    }
}

fn life(pid: &str, started: i64) -> u64 {
    let digest = Sha256::digest(format!("{pid}@{started}").as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the cache is closed")
}
