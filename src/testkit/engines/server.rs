//! One PostgreSQL server as a child process: initdb, start, stop, crash. Blocking; `Postgres` moves it off the runtime.

mod replica;

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::EngineError;
use super::folder::{Folder, random_hex};
use super::locate::{Account, account, folder_with};
use super::port;

/// The engine's name in messages.
pub(super) const ENGINE: &str = "PostgreSQL";
/// The role that initdb creates; a superuser of a server that only tests see.
pub(super) const USER: &str = "stockroom";

const PROGRAMS: [&str; 2] = ["initdb", "postgres"];
/// Where Debian, Homebrew and the PostgreSQL project's own packages put the programs, which `PATH` often lacks.
const PLACES: [&str; 4] = [
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@15/bin",
    "/usr/local/pgsql/bin",
    "/usr/pgsql-15/bin",
];
const INSTALL: &str = "run tests/run, or apt-get install postgresql-15, or set STOCKROOM_TEST_POSTGRES_URL to a server for tests";

/// Longer than any start seen, crash recovery on a busy machine included: a test must not fail because CI is slow.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const POLL: Duration = Duration::from_millis(20);
/// Between our look for a free port and the server's bind another process may take it.
pub(super) const PORT_TRIES: u8 = 5;

/// A server, running or stopped, and all that is its own.
#[derive(Debug)]
pub(super) struct Server {
    process: Option<Process>,
    programs: PathBuf,
    account: Option<Account>,
    password: String,
    port: u16,
    folder: Folder,
}

impl Server {
    /// Creates a cluster in a new folder and starts it on a free loopback port.
    pub(super) fn create() -> Result<Self, EngineError> {
        let programs = folder_with(&PROGRAMS, &PLACES).ok_or(EngineError::Missing {
            engine: ENGINE,
            install: INSTALL,
        })?;
        let folder = Folder::create("postgres")?;
        let account = server_account(&folder)?;
        if let Some(account) = account {
            Folder::give(folder.path(), account)?;
        }
        let password = random_hex::<16>()?;
        let mut server = Self {
            process: None,
            programs,
            account,
            password,
            port: 0,
            folder,
        };
        server.initialize()?;
        server.start_on_a_free_port()?;
        Ok(server)
    }

    /// The loopback port, the same over stops and crashes.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The password of [`USER`].
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The fast shutdown: sessions are ended, what they committed is written out. Nothing to do if it is not running.
    pub(super) fn stop(&mut self) -> Result<(), EngineError> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        process.end("INT")?;
        self.folder.watch(0)
    }

    /// Kills every process of the server at once, as a power cut would. Nothing to do if it is not running.
    pub(super) fn crash(&mut self) -> Result<(), EngineError> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        process.end("KILL")?;
        // Sessions outlive their parent by a moment, and one that is in the middle of a statement may still commit it.
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let left = processes_in(&self.data());
            if left.is_empty() {
                break;
            }
            for pid in left {
                // It may have ended by itself since.
                drop(signal("KILL", pid));
            }
            std::thread::sleep(POLL);
        }
        self.folder.watch(0)
    }

    /// Starts it again on the same port with the same data, after a fast stop if it is running.
    pub(super) fn restart(&mut self) -> Result<(), EngineError> {
        self.stop()?;
        self.start()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn initialize(&self) -> Result<(), EngineError> {
        let word = self.folder.path().join("password");
        std::fs::write(&word, &self.password).map_err(EngineError::io("write the password file"))?;
        if let Some(account) = self.account {
            Folder::give(&word, account)?;
        }
        // Production databases sort by a language's rules, not by bytes: code that compares text in both places must show
        // it here. Servers before 15 know no such option; they get the plain locale.
        let linguistic = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"];
        match self.initdb(&word, &linguistic) {
            Err(EngineError::Failed { .. }) => self.initdb(&word, &["--no-locale"]),
            outcome => outcome,
        }
    }

    fn initdb(&self, word: &Path, locale: &[&str]) -> Result<(), EngineError> {
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8"])
            // The cluster is worth nothing before its first start; the server itself runs with fsync.
            .arg("--no-sync")
            .arg("--pwfile")
            .arg(word)
            .args(locale)
            .output()
            .map_err(EngineError::io("run initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(EngineError::Failed {
            engine: ENGINE,
            step: "initdb",
            output,
        })
    }

    fn start_on_a_free_port(&mut self) -> Result<(), EngineError> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.port = port::free().ok_or(EngineError::Failed {
                engine: ENGINE,
                step: "find a free port",
                output: "no loopback port is free".to_owned(),
            })?;
            match self.start() {
                Err(EngineError::Failed { .. }) if tries < PORT_TRIES => {}
                outcome => return outcome,
            }
        }
    }

    fn start(&mut self) -> Result<(), EngineError> {
        let log = File::create(self.log()).map_err(EngineError::io("create the server's log"))?;
        let errors = log
            .try_clone()
            .map_err(EngineError::io("create the server's log"))?;
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "fsync=on", "-c", "max_connections=300"])
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(EngineError::io("start postgres"))?;
        let mut process = Process { child };
        self.folder.watch(process.child.id())?;
        if let Err(error) = self.await_ready(&mut process) {
            drop(process);
            self.folder.watch(0)?;
            return Err(error);
        }
        self.process = Some(process);
        Ok(())
    }

    /// The eighth line of the server's pid file says "ready" once it takes connections; `pg_ctl` waits for the same.
    fn await_ready(&self, process: &mut Process) -> Result<(), EngineError> {
        let pid_file = self.data().join("postmaster.pid");
        let mine = process.child.id().to_string();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let ended = process
                .child
                .try_wait()
                .map_err(EngineError::io("look after postgres"))?;
            if ended.is_some() {
                break;
            }
            let file = std::fs::read_to_string(&pid_file).unwrap_or_default();
            let mut lines = file.lines();
            // After a crash the file of the dead server is there until the new one writes its own.
            if lines.next() == Some(mine.as_str())
                && lines.nth(6).is_some_and(|state| state.trim() == "ready")
            {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        let output = std::fs::read_to_string(self.log()).unwrap_or_default();
        Err(EngineError::Failed {
            engine: ENGINE,
            step: "start",
            output,
        })
    }

    /// A program of the engine that runs as the server's user, in the server's folder, in a process group of its own: the
    /// terminal's Ctrl-C is for the tests, the server is stopped by its owner.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .process_group(0);
        if let Some(account) = self.account {
            command.gid(account.group).uid(account.user);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            drop(process);
            // Its id may be another process's from now on. A watchdog that is gone needs no word.
            drop(self.folder.watch(0));
        }
    }
}

/// Root must run it as someone else; everyone else runs it as themselves.
pub(super) fn server_account(folder: &Folder) -> Result<Option<Account>, EngineError> {
    if !folder.is_roots() {
        return Ok(None);
    }
    let found = account("postgres").or_else(|| account("nobody"));
    found.map(Some).ok_or_else(|| EngineError::Failed {
        engine: ENGINE,
        step: "find a user to run it as",
        output: "it refuses to run as root, and there is neither a user postgres nor nobody".to_owned(),
    })
}

/// A running postgres that is ended with its owner.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
}

impl Process {
    /// Sends `name` and waits for the end; KILL after [`PATIENCE`].
    fn end(mut self, name: &str) -> Result<(), EngineError> {
        signal(name, self.child.id())?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self
                .child
                .try_wait()
                .map_err(EngineError::io("wait for postgres to end"))?
                .is_some()
            {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        let output = format!("it did not end within {} s", PATIENCE.as_secs());
        Err(EngineError::Failed {
            engine: ENGINE,
            step: "stop",
            output,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // A destructor cannot report; the watchdog is the second chance.
        drop(signal("QUIT", self.child.id()));
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(POLL);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The standard library can only KILL; every shell has the others built in.
pub(super) fn signal(name: &str, pid: u32) -> Result<(), EngineError> {
    Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .map(drop)
        .map_err(EngineError::io("send a signal to postgres"))
}

/// Processes whose working folder is `data`: PostgreSQL's all are. None where the system has no /proc.
fn processes_in(data: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder == data))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
