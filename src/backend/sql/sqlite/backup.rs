//! A consistent copy of a running shop.

use std::path::Path;
use std::path::PathBuf;

use sqlx::Connection as _;
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::error;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

const COPY: &str = "/* stockroom backup */ VACUUM INTO $1";

impl SqliteStore {
    /// Writes a copy of the shop to a file that is not there yet: the shop as it was at one moment after the call began,
    /// opened like any other shop.
    ///
    /// - Writers and readers of a file go on: the copy is made on a connection of its own, from a snapshot. Until it is
    ///   done the write-ahead log grows by what is written meanwhile. A shop in memory waits for it.
    /// - It reads and writes the whole shop, takes disk space for it, and syncs it to the disk; it leaves out the space of
    ///   rows that were removed.
    /// - It is written to `path` with `.part` at its end, and gets its name when it is whole. Calls of one store take turns;
    ///   two processes must not copy to one path at the same time.
    ///
    /// # Errors
    /// - `AlreadyExists` when there is something at `path`, which is left as it is.
    /// - `Config` when the folder is missing, `PermissionDenied` when it cannot be written to.
    /// - `Unavailable` when the disk is full, or the store is closed.
    /// - `InvalidInput` when the path is not Unicode or names no file.
    ///
    /// # Cancel safety
    /// Dropped, it leaves at most the `.part` file, which the next call removes.
    pub async fn backup_to(&self, path: impl AsRef<Path> + Send) -> Result<()> {
        let path = path.as_ref().to_owned();
        self.copy(path).await.map_err(|error| error.operation("backup"))
    }

    async fn copy(&self, path: PathBuf) -> Result<()> {
        if self.writer.is_closed() {
            return Err(Error::new(ErrorKind::Unavailable, "the store is closed"));
        }
        let _turn = self.backups.lock().await;
        let part = begin(&path)?;
        // A copy that was dropped may be under way yet: it writes on to the file that has lost its name.
        remove(&part)?;
        let target = part
            .to_str()
            .ok_or_else(|| Error::invalid("path", "the path is not Unicode"))?;
        match &self.file {
            Some(options) => {
                let mut connection = SqliteConnection::connect_with(options)
                    .await
                    .map_err(error::map)?;
                sqlx::query(COPY)
                    .bind(target)
                    .execute(&mut connection)
                    .await
                    .map_err(error::map)?;
                connection.close().await.map_err(error::map)?;
            }
            None => {
                sqlx::query(COPY)
                    .bind(target)
                    .execute(&self.writer)
                    .await
                    .map_err(error::map)?;
            }
        }
        let finished = tokio::task::spawn_blocking(move || finish(&part, &path)).await;
        finished.unwrap_or_else(|stopped| {
            Err(Error::new(ErrorKind::Internal, "the copy could not be finished")
                .caused_by(stopped.to_string()))
        })
    }
}

/// Checks where the copy goes; the name that it has until it is whole.
fn begin(path: &Path) -> Result<PathBuf> {
    absent(path)?;
    let name = path
        .file_name()
        .ok_or_else(|| Error::invalid("path", "the path names no file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(Error::new(
            ErrorKind::Config,
            "the folder of the copy is missing: create it first",
        ));
    }
    let mut part = name.to_owned();
    part.push(".part");
    Ok(folder.join(part))
}

fn absent(path: &Path) -> Result<()> {
    // A link that leads nowhere is something too.
    if path.symlink_metadata().is_ok() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "there is a file already: name one that is not there",
        ));
    }
    Ok(())
}

fn remove(part: &Path) -> Result<()> {
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&error)),
        _ => Ok(()),
    }
}

/// What SQLite copies it does not sync. The name comes last, and lasts once the folder is synced too.
fn finish(part: &Path, path: &Path) -> Result<()> {
    let synced = std::fs::OpenOptions::new()
        .write(true)
        .open(part)
        .and_then(|file| file.sync_all());
    synced.map_err(|error| failed(&error))?;
    absent(path)?;
    std::fs::rename(part, path).map_err(|error| failed(&error))?;
    // Elsewhere than on Unix a folder cannot be opened for this.
    #[cfg(unix)]
    if let Some(folder) = part.parent() {
        let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn failed(error: &std::io::Error) -> Error {
    let (kind, message) = match error.kind() {
        std::io::ErrorKind::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "the copy cannot be written: check the permissions of its folder",
        ),
        _ => (ErrorKind::Unavailable, "the copy could not be written"),
    };
    Error::new(kind, message).caused_by(error.to_string())
}
