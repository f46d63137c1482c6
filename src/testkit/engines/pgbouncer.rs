//! PgBouncer in front of a PostgreSQL server, for tests of what works behind a pooler.

use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::folder::Folder;
use super::locate::folder_with;
use super::postgres::blocking;
use super::server::{PATIENCE, POLL, PORT_TRIES, Process, server_account};
use super::{EngineError, Postgres, port, url};

const ENGINE: &str = "PgBouncer";
const PROGRAM: &str = "pgbouncer";
/// Debian keeps it where only root's `PATH` has it.
const PLACES: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
const INSTALL: &str = "run tests/run prepare, or apt-get install pgbouncer";

/// A PgBouncer in transaction mode in front of a server, with two sessions on it: a child process on a loopback port.
///
/// - So few sessions are handed from client to client all the time, as those of RDS Proxy are.
/// - It takes any user and password, and logs in with those of the server's URL. It has no TLS.
/// - Ends as [`Postgres`] does.
pub struct PgBouncer {
    url: String,
    address: SocketAddr,
    // Dropped in this order: the process before its folder.
    _process: Process,
    _folder: Folder,
}

impl PgBouncer {
    /// Starts one in front of `server`.
    ///
    /// # Errors
    /// - [`EngineError::Missing`]: it is not installed; see [`require`](super::require).
    /// - [`EngineError::Failed`], [`EngineError::Io`]: it did not start.
    pub async fn in_front_of(server: &Postgres) -> Result<Self, EngineError> {
        let (url, target) = (server.url().to_owned(), server.address());
        blocking(move || Self::start(&url, target)).await
    }

    /// The URL of the server's database through it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(server: &str, target: SocketAddr) -> Result<Self, EngineError> {
        let programs = folder_with(&[PROGRAM], &PLACES).ok_or(EngineError::Missing {
            engine: ENGINE,
            install: INSTALL,
        })?;
        let (user, password) =
            url::credentials(server).ok_or_else(|| failed("read the server's URL", String::new()))?;
        let mut folder = Folder::create(PROGRAM)?;
        let account = server_account(&folder)?;
        if let Some(account) = account {
            Folder::give(folder.path(), account)?;
        }
        let (settings, log) = (
            folder.path().join("pgbouncer.ini"),
            folder.path().join("pgbouncer.log"),
        );
        for _ in 0..PORT_TRIES {
            let port = port::free()
                .ok_or_else(|| failed("find a free port", "no loopback port is free".to_owned()))?;
            let text = format!(
                "[databases]\n* = host={} port={} user={user} password={password}\n\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
                 pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 500\n\
                 ignore_startup_parameters = extra_float_digits\n",
                target.ip(),
                target.port(),
            );
            std::fs::write(&settings, text).map_err(EngineError::io("write PgBouncer's settings"))?;
            if let Some(account) = account {
                Folder::give(&settings, account)?;
            }
            let output = File::create(&log).map_err(EngineError::io("create PgBouncer's log"))?;
            let mut command = Command::new(programs.join(PROGRAM));
            command
                .arg(&settings)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(output)
                .process_group(0);
            if let Some(account) = account {
                command.gid(account.group).uid(account.user);
            }
            let child = command.spawn().map_err(EngineError::io("start PgBouncer"))?;
            let mut process = Process { child };
            folder.watch(process.child.id())?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if answers(&mut process, address)? {
                return Ok(Self {
                    url: url::with_address(server, address).unwrap_or_default(),
                    address,
                    _process: process,
                    _folder: folder,
                });
            }
            drop(process);
            folder.watch(0)?;
        }
        Err(failed("start", std::fs::read_to_string(log).unwrap_or_default()))
    }
}

impl fmt::Debug for PgBouncer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it holds the password.
        formatter
            .debug_struct("PgBouncer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Waits until it takes connections; false when it ended, as when another process took the port.
fn answers(process: &mut Process, address: SocketAddr) -> Result<bool, EngineError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let ended = process
            .child
            .try_wait()
            .map_err(EngineError::io("look after PgBouncer"))?;
        if ended.is_some() {
            return Ok(false);
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(true);
        }
        std::thread::sleep(POLL);
    }
    Ok(false)
}

fn failed(step: &'static str, output: String) -> EngineError {
    EngineError::Failed {
        engine: ENGINE,
        step,
        output,
    }
}
