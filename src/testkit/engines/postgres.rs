//! PostgreSQL for tests.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::server::{ENGINE, Server, USER};
use super::{EngineError, setting, url};

/// The variable that gives a server instead of a child process.
const VARIABLE: &str = "STOCKROOM_TEST_POSTGRES_URL";
const PORT: u16 = 5432;

/// A PostgreSQL server for tests: a child process of its own, or the one that `STOCKROOM_TEST_POSTGRES_URL` gives.
///
/// - A child is a fresh cluster in a temporary folder, with fsync, 300 connections, scram password authentication, a
///   linguistic collation and no TLS, on a loopback port that stays the same over stops and crashes.
/// - The programs are found in `PATH` or where Debian puts them (`/usr/lib/postgresql/*/bin`, the newest version). As root
///   the server runs as user `postgres`, since it refuses to run as root.
/// - Dropping it ends the child and removes its folder, and blocks for about a tenth of a second. When the process ends in
///   any other way, a watchdog does the same.
/// - Tests share a server by giving each store a schema of its own.
pub struct Postgres {
    url: String,
    address: SocketAddr,
    server: Option<Arc<Mutex<Server>>>,
}

impl Postgres {
    /// The server that `STOCKROOM_TEST_POSTGRES_URL` gives, else a new child process; takes about two seconds.
    ///
    /// # Errors
    /// - [`EngineError::Missing`]: no server was given and none is installed; see [`require`](super::require).
    /// - [`EngineError::Setting`]: the variable holds no URL with a host that can be looked up.
    /// - [`EngineError::Failed`], [`EngineError::Io`]: it did not start.
    pub async fn start() -> Result<Self, EngineError> {
        match setting(VARIABLE) {
            Some(url) => Self::given(url).await,
            None => Self::spawn().await,
        }
    }

    /// A new child process, whatever the environment gives: for tests that stop or crash their server.
    ///
    /// # Errors
    /// Those of [`Postgres::start`], [`EngineError::Setting`] excepted.
    pub async fn spawn() -> Result<Self, EngineError> {
        blocking(Server::create).await.map(Self::child)
    }

    /// A replica that follows this server by streaming: a child process of its own, with the same role and password.
    ///
    /// - It copies the server first; takes about three seconds. Commits do not wait for it: see
    ///   [`Postgres::wait_for_replicas`].
    ///
    /// # Errors
    /// As for [`Postgres::stop`].
    pub async fn replica(&self) -> Result<Self, EngineError> {
        let server = self.ours()?;
        blocking(move || lock(&server).replica()).await.map(Self::child)
    }

    /// Makes commits wait until one replica has them on disk; returns when a replica is followed so. It outlives a restart.
    ///
    /// - Without a replica that is up, no commit is acknowledged any more.
    ///
    /// # Errors
    /// As for [`Postgres::stop`].
    pub async fn wait_for_replicas(&self) -> Result<(), EngineError> {
        self.with_server(Server::wait_for_replicas).await
    }

    /// Makes a replica a server that takes writes; it does when this returns. Its sessions go on.
    ///
    /// # Errors
    /// As for [`Postgres::stop`]; [`EngineError::Failed`] if it is no replica.
    pub async fn promote(&self) -> Result<(), EngineError> {
        self.with_server(Server::promote).await
    }

    fn child(server: Server) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        let url = format!(
            "postgres://{USER}:{}@{address}/postgres?sslmode=disable",
            server.password()
        );
        Self {
            url,
            address,
            server: Some(Arc::new(Mutex::new(server))),
        }
    }

    /// The server at `url`, which is never stopped or killed.
    ///
    /// # Errors
    /// [`EngineError::Setting`]: not a URL with a host that can be looked up.
    pub async fn given(url: impl Into<String>) -> Result<Self, EngineError> {
        let url = url.into();
        blocking(move || match url::address(&url, PORT) {
            Some(address) => Ok(Self {
                url,
                address,
                server: None,
            }),
            None => Err(EngineError::Setting {
                variable: VARIABLE,
                reason: "not a URL with a host that can be looked up",
            }),
        })
        .await
    }

    /// The one server that all tests of this process share, started by the first that asks.
    ///
    /// - It ends with the process.
    /// - Do not stop or crash it: other tests run on it. [`Postgres::spawn`] is for that.
    ///
    /// # Errors
    /// Those of [`Postgres::start`]; the next caller tries again.
    pub async fn shared() -> Result<&'static Self, EngineError> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The URL of a superuser's database, with the password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same URL through another address, such as a [`Proxy`](crate::testkit::proxy::Proxy)'s.
    #[must_use]
    pub fn url_through(&self, address: SocketAddr) -> String {
        // Checked at the start: a URL that cannot be led elsewhere was refused there.
        url::with_address(&self.url, address).unwrap_or_default()
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is a child of this process, which may be stopped and crashed.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.server.is_some()
    }

    /// Stops the server as an administrator would: sessions are ended, what they committed is kept.
    ///
    /// - Nothing to do if it is not running.
    /// - Goes on to the end when the future is dropped.
    ///
    /// # Errors
    /// [`EngineError::NotOurs`] for a given server; [`EngineError::Failed`], [`EngineError::Io`].
    pub async fn stop(&self) -> Result<(), EngineError> {
        self.with_server(Server::stop).await
    }

    /// Kills every process of the server at once (SIGKILL), as a power cut would.
    ///
    /// - No statement is still running when it returns (on Linux; elsewhere sessions end by themselves soon after).
    /// - Goes on to the end when the future is dropped.
    ///
    /// # Errors
    /// As for [`Postgres::stop`].
    pub async fn crash(&self) -> Result<(), EngineError> {
        self.with_server(Server::crash).await
    }

    /// Starts the server again on the same port with the same data; after a crash it recovers first.
    ///
    /// - A server that is running is stopped first.
    /// - It takes connections when this returns.
    /// - Goes on to the end when the future is dropped.
    ///
    /// # Errors
    /// As for [`Postgres::stop`].
    pub async fn restart(&self) -> Result<(), EngineError> {
        self.with_server(Server::restart).await
    }

    async fn with_server(&self, step: fn(&mut Server) -> Result<(), EngineError>) -> Result<(), EngineError> {
        let server = self.ours()?;
        blocking(move || step(&mut lock(&server))).await
    }

    fn ours(&self) -> Result<Arc<Mutex<Server>>, EngineError> {
        self.server.clone().ok_or(EngineError::NotOurs {
            engine: ENGINE,
            variable: VARIABLE,
        })
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it holds the password.
        formatter
            .debug_struct("Postgres")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A step that panicked has left a server that can still be stopped and started.
fn lock(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processes are waited for on a thread of their own: a test's runtime may have only one.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, EngineError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, EngineError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| {
        Err(EngineError::Failed {
            engine: ENGINE,
            step: "run a step",
            output: stopped.to_string(),
        })
    })
}
