//! Replicas of a server: copied while it runs, made to be waited for, promoted.

use std::path::Path;
use std::path::PathBuf;

use super::ENGINE;
use super::EngineError;
use super::Folder;
use super::Instant;
use super::PATIENCE;
use super::POLL;
use super::Server;
use super::USER;
use super::server_account;

/// The primary waits for one replica, whichever; takes effect when the settings are read again.
const WAIT: &str = "ALTER SYSTEM SET synchronous_standby_names = '*'";
const RELOAD: &str = "SELECT pg_reload_conf()";
const SYNCHRONOUS: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";

impl Server {
    /// A replica that follows this server by streaming, on a port of its own.
    pub(in crate::testkit::engines) fn replica(&self) -> Result<Self, EngineError> {
        let folder = Folder::create("replica")?;
        let account = server_account(&folder)?;
        if let Some(account) = account {
            Folder::give(folder.path(), account)?;
        }
        let mut replica = Self {
            process: None,
            programs: self.programs.clone(),
            account,
            password: self.password.clone(),
            port: 0,
            folder,
        };
        let output = replica
            .command(self.tool("pg_basebackup"))
            .arg("--pgdata")
            .arg(replica.data())
            // The password goes into the replica's own settings, which it follows the primary with.
            .arg("--dbname")
            .arg(self.conninfo())
            .args([
                "--write-recovery-conf",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--no-sync",
            ])
            .output()
            .map_err(EngineError::io("run pg_basebackup"))?;
        succeeded("pg_basebackup", &output)?;
        replica.start_on_a_free_port()?;
        Ok(replica)
    }

    /// From now on a commit is acknowledged when a replica has it on disk too. Waits until one is followed so.
    pub(in crate::testkit::engines) fn wait_for_replicas(&mut self) -> Result<(), EngineError> {
        self.sql(WAIT)?;
        self.sql(RELOAD)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.sql(SYNCHRONOUS)?.trim() != "0" {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(EngineError::Failed {
            engine: ENGINE,
            step: "wait for a replica",
            output: "no replica follows".to_owned(),
        })
    }

    /// Makes a replica a server that takes writes; it does when this returns.
    pub(in crate::testkit::engines) fn promote(&mut self) -> Result<(), EngineError> {
        let output = self
            .command(self.tool("pg_ctl"))
            .args(["promote", "--wait", "--pgdata"])
            .arg(self.data())
            .output()
            .map_err(EngineError::io("run pg_ctl"))?;
        succeeded("promote", &output)
    }

    /// A program beside the server's own, which may have been found by a link that stands alone.
    fn tool(&self, name: &str) -> PathBuf {
        let server = std::fs::canonicalize(self.programs.join("postgres"));
        let folder = server.ok().and_then(|server| server.parent().map(Path::to_owned));
        folder.unwrap_or_else(|| self.programs.clone()).join(name)
    }

    fn sql(&self, sql: &str) -> Result<String, EngineError> {
        let output = self
            .command(self.tool("psql"))
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname"])
            .arg(self.conninfo())
            .args(["--command", sql])
            .output()
            .map_err(EngineError::io("run psql"))?;
        succeeded("psql", &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn conninfo(&self) -> String {
        format!(
            "host=127.0.0.1 port={} user={USER} password={} dbname=postgres sslmode=disable",
            self.port, self.password
        )
    }
}

fn succeeded(step: &'static str, output: &std::process::Output) -> Result<(), EngineError> {
    if output.status.success() {
        return Ok(());
    }
    Err(EngineError::Failed {
        engine: ENGINE,
        step,
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
