//! A cache server as one child process that keeps nothing: started in a moment, stopped, frozen, killed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::folder::Folder;
use super::locate::{Account, folder_with};
use super::server::{PATIENCE, POLL, PORT_TRIES, Process, server_account, signal};
use super::{EngineError, port};

/// Debian and Homebrew keep servers where only root's `PATH` has them.
const PLACES: [&str; 3] = ["/usr/bin", "/usr/sbin", "/opt/homebrew/bin"];

/// Which server it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) engine: &'static str,
    pub(super) program: &'static str,
    pub(super) install: &'static str,
    /// What it is told beside what the caller wants, for this port.
    pub(super) arguments: fn(u16) -> Vec<String>,
}

/// A server that is running, frozen or killed, on a port that stays its own.
#[derive(Debug)]
pub(super) struct Light {
    kind: Kind,
    account: Option<Account>,
    extra: Vec<String>,
    process: Option<Process>,
    port: u16,
    folder: Folder,
}

impl Light {
    pub(super) fn start(kind: Kind, extra: Vec<String>) -> Result<Self, EngineError> {
        let folder = Folder::create(kind.program)?;
        // Asked before the folder is given away: whose it is tells whether this is root.
        let account = server_account(&folder)?;
        if let Some(account) = account {
            Folder::give(folder.path(), account)?;
        }
        let mut light = Self {
            kind,
            account,
            extra,
            process: None,
            port: 0,
            folder,
        };
        for _ in 0..PORT_TRIES {
            light.port = port::free()
                .ok_or_else(|| light.failed("find a free port", "no loopback port is free".to_owned()))?;
            if light.run()? {
                return Ok(light);
            }
        }
        let output = std::fs::read_to_string(light.folder.path().join("server.log")).unwrap_or_default();
        Err(light.failed("start", output))
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Kills it: what it kept in memory is gone. Nothing to do if it is not running.
    pub(super) fn kill(&mut self) -> Result<(), EngineError> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process
            .child
            .kill()
            .map_err(EngineError::io("kill a cache server"))?;
        process
            .child
            .wait()
            .map_err(EngineError::io("wait for a cache server to end"))?;
        self.folder.watch(0)
    }

    /// Starts it again on its port, with what it has on disk.
    pub(super) fn restart(&mut self) -> Result<(), EngineError> {
        self.kill()?;
        if self.run()? {
            return Ok(());
        }
        Err(self.failed("restart", "it did not come up on its port again".to_owned()))
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub(super) fn freeze(&self) -> Result<(), EngineError> {
        self.tell("STOP")
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) -> Result<(), EngineError> {
        self.tell("CONT")
    }

    fn tell(&self, name: &str) -> Result<(), EngineError> {
        match &self.process {
            Some(process) => signal(name, process.child.id()),
            None => Ok(()),
        }
    }

    /// Whether it runs and takes connections.
    fn run(&mut self) -> Result<bool, EngineError> {
        let kind = self.kind;
        let programs = folder_with(&[kind.program], &PLACES).ok_or(EngineError::Missing {
            engine: kind.engine,
            install: kind.install,
        })?;
        let log = File::create(self.folder.path().join("server.log"))
            .map_err(EngineError::io("create a cache server's log"))?;
        let errors = log
            .try_clone()
            .map_err(EngineError::io("create a cache server's log"))?;
        let mut command = Command::new(programs.join(kind.program));
        command
            .args((kind.arguments)(self.port))
            .args(&self.extra)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        if let Some(account) = self.account {
            command.gid(account.group).uid(account.user);
        }
        let child = command.spawn().map_err(EngineError::io("start a cache server"))?;
        let mut process = Process { child };
        self.folder.watch(process.child.id())?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let ended = process
                .child
                .try_wait()
                .map_err(EngineError::io("look after a cache server"))?;
            if ended.is_some() {
                self.folder.watch(0)?;
                return Ok(false);
            }
            if TcpStream::connect(self.address()).is_ok() {
                self.process = Some(process);
                return Ok(true);
            }
            std::thread::sleep(POLL);
        }
        drop(process);
        self.folder.watch(0)?;
        Ok(false)
    }

    fn failed(&self, step: &'static str, output: String) -> EngineError {
        EngineError::Failed {
            engine: self.kind.engine,
            step,
            output,
        }
    }
}

/// The engines that are one such process: `Name, what it is, its kind, its scheme`.
macro_rules! light_engine {
    ($(#[$meta:meta])* $name:ident, $kind:expr, $scheme:literal) => {
        $(#[$meta])*
        ///
        /// - Ends with its owner or with the test process, however that ends.
        #[derive(Debug)]
        pub struct $name(std::sync::Mutex<crate::testkit::engines::light::Light>);

        impl $name {
            /// Starts one.
            ///
            /// # Errors
            /// - [`EngineError::Missing`](super::EngineError::Missing): it is not installed; see [`require`](super::require).
            /// - `Failed`, `Io`: it did not start.
            pub async fn start() -> Result<Self, super::EngineError> {
                Self::start_with(&[]).await
            }

            /// Starts one with more arguments.
            ///
            /// # Errors
            /// As for [`start`](Self::start).
            pub async fn start_with(arguments: &[&str]) -> Result<Self, super::EngineError> {
                let extra = arguments.iter().map(|argument| (*argument).to_owned()).collect();
                super::postgres::blocking(move || super::light::Light::start($kind, extra))
                    .await
                    .map(|light| Self(std::sync::Mutex::new(light)))
            }

            /// The one that the tests of this process share; it is not for a test to stop.
            ///
            /// # Errors
            /// As for [`start`](Self::start); the next caller tries again.
            pub async fn shared() -> Result<&'static Self, super::EngineError> {
                static SHARED: tokio::sync::OnceCell<$name> = tokio::sync::OnceCell::const_new();
                SHARED.get_or_try_init(Self::start).await
            }

            fn light(&self) -> std::sync::MutexGuard<'_, super::light::Light> {
                self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            }

            /// Where it listens.
            #[must_use]
            pub fn address(&self) -> std::net::SocketAddr {
                self.light().address()
            }

            /// Its address as a URL.
            #[must_use]
            pub fn url(&self) -> String {
                format!(concat!($scheme, "://{}"), self.address())
            }

            /// Kills it: what it kept in memory is gone.
            ///
            /// # Errors
            /// `Io` when the operating system refuses.
            pub fn kill(&self) -> Result<(), super::EngineError> {
                self.light().kill()
            }

            /// Starts it again on its port, after killing it: empty, unless its arguments have it keep something on disk.
            ///
            /// # Errors
            /// As for [`start`](Self::start).
            pub fn restart(&self) -> Result<(), super::EngineError> {
                self.light().restart()
            }

            /// Freezes it: connections stay open, and nothing is answered.
            ///
            /// # Errors
            /// `Io` when the operating system refuses.
            pub fn freeze(&self) -> Result<(), super::EngineError> {
                self.light().freeze()
            }

            /// Lets it go on.
            ///
            /// # Errors
            /// `Io` when the operating system refuses.
            pub fn thaw(&self) -> Result<(), super::EngineError> {
                self.light().thaw()
            }
        }
    };
}

pub(super) use light_engine;
