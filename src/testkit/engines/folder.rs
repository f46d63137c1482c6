//! A temporary folder with a watchdog: the folder, and the server that lives in it, never outlive the test process.
//!
//! Neither a destructor nor an exit hook runs when a process is killed, and statics are never dropped. A pipe always closes:
//! the watchdog is a small shell that reads from one whose other end only we hold. At its end the watchdog stops the server
//! and removes the folder.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::EngineError;
use super::locate::Account;

/// `$1` is the folder. Each line of the pipe is the process id of the server, 0 when it has none.
///
/// - The signals of a terminal are ignored: the watchdog works when everyone else is told to go.
/// - QUIT is the quick stop of PostgreSQL, which does not write out what will be removed anyway.
/// - After 5 s KILL: a server that hangs must not stay either.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
server=0
while read -r line; do server=$line; done
if [ "$server" -gt 0 ]; then
    kill -s QUIT "$server"
    tries=0
    while kill -s 0 "$server" && [ "$tries" -lt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -s KILL "$server"
fi
rm -rf -- "$1" || { sleep 0.5; rm -rf -- "$1"; }
"#;

/// A folder in the system's temporary folder that is removed when it is dropped or when this process ends.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    watchdog: Child,
    pipe: Option<ChildStdin>,
}

impl Folder {
    /// Creates a folder that only this process's user can enter; `label` is part of its name.
    pub(super) fn create(label: &str) -> Result<Self, EngineError> {
        let path = std::env::temp_dir().join(format!("stockroom-{label}-{}", random_hex::<6>()?));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(EngineError::io("create a folder"))?;
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "stockroom-watchdog"])
            .arg(&path)
            .stdin(Stdio::piped())
            // An inherited stream would keep a reader of the tests' output waiting for the watchdog.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(EngineError::io("start the watchdog of a temporary folder"))?;
        let pipe = watchdog.stdin.take();
        Ok(Self { path, watchdog, pipe })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process runs as root, which database servers refuse to.
    pub(super) fn is_roots(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|folder| folder.uid() == 0)
    }

    /// Hands `path`, the folder itself or a file in it, over to `account`.
    pub(super) fn give(path: &Path, account: Account) -> Result<(), EngineError> {
        chown(path, Some(account.user), Some(account.group))
            .map_err(EngineError::io("hand a folder over to the server's user"))
    }

    /// Tells the watchdog which process to stop, 0 for none.
    pub(super) fn watch(&mut self, server: u32) -> Result<(), EngineError> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        writeln!(pipe, "{server}").map_err(EngineError::io("tell the watchdog which process to stop"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Waiting leaves no zombie; the watchdog ends in any case, and its outcome changes nothing.
        drop(self.watchdog.wait());
    }
}

/// `BYTES` random bytes in hexadecimal.
pub(super) fn random_hex<const BYTES: usize>() -> Result<String, EngineError> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| EngineError::Io {
        step: "get random bytes",
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_folder_is_gone_with_the_process_that_lived_in_it() {
        let mut folder = Folder::create("drop").expect("a folder");
        let path = folder.path().to_owned();
        std::fs::write(path.join("file"), "content").expect("a file in it");
        let mut server = Command::new("sleep")
            .arg("600")
            .spawn()
            .expect("a process that stands for a server");
        folder.watch(server.id()).expect("a watchdog");

        // Our own child stays a zombie until it is waited for, which the watchdog cannot tell from a live process.
        let reaper = std::thread::spawn(move || server.wait().expect("its end"));
        drop(folder);

        assert!(
            !reaper.join().expect("a joined thread").success(),
            "the watchdog ended it"
        );
        assert!(!path.exists());
    }

    #[test]
    fn no_two_folders_are_the_same() {
        let (one, two) = (
            Folder::create("same").expect("one"),
            Folder::create("same").expect("two"),
        );
        assert_ne!(one.path(), two.path());
    }
}
