//! A consistent copy of a running shop.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Dropped, it leaves at most the `.part` file, which the next call removes; dropped in its last step, the copy may
    /// still get its name a moment later, whole. The next call of this store waits until that is over.
    pub async fn backup_to(&self, path: impl AsRef<Path> + Send) -> Result<()> {
        let path = path.as_ref().to_owned();
        self.copy(path).await.map_err(|error| error.operation("backup"))
    }

    async fn copy(&self, path: PathBuf) -> Result<()> {
        if self.writer.is_closed() {
            return Err(Error::new(ErrorKind::Unavailable, "the store is closed"));
        }
        let mut copying = Arc::clone(&self.copying).lock_owned().await;
        let part = begin(&path)?;
        match &self.file {
            Some(options) => {
                let connection = match &mut *copying {
                    Some(connection) => connection,
                    none => none.insert(
                        SqliteConnection::connect_with(options)
                            .await
                            .map_err(error::map)?,
                    ),
                };
                let target = part.to_str().map(str::to_owned);
                vacuum(connection, &part, target).await?;
                *copying = None;
            }
            None => {
                let mut connection = self.writer.acquire().await.map_err(error::map)?;
                let target = address(&part)?;
                vacuum(&mut connection, &part, target).await?;
            }
        }
        // The turn goes along: when the call is dropped here, the next one must not write to a file that is about to
        // get its name.
        let finished = tokio::task::spawn_blocking(move || {
            let done = finish(&part, &path);
            drop(copying);
            done
        });
        finished.await.unwrap_or_else(|stopped| {
            Err(Error::new(ErrorKind::Internal, "the copy could not be finished")
                .caused_by(stopped.to_string()))
        })
    }
}

/// Copies the shop of this connection.
async fn vacuum(connection: &mut SqliteConnection, part: &Path, target: Option<String>) -> Result<()> {
    let target = target.ok_or_else(|| Error::invalid("path", "the path is not Unicode"))?;
    // A connection does one thing after another: once it answers, a copy that was dropped has ended, and its file is free.
    connection.ping().await.map_err(error::map)?;
    remove(part)?;
    let copied = sqlx::query(COPY).bind(target).execute(connection).await;
    copied.map(drop).map_err(error::map)
}

/// What memory copies goes to memory too, unless the target says where it goes.
fn address(part: &Path) -> Result<Option<String>> {
    let part = std::path::absolute(part).map_err(|error| failed(&error))?;
    Ok(part.to_str().map(|text| {
        let mut address = String::from("file://");
        if !text.starts_with('/') {
            address.push('/');
        }
        for byte in text.replace(std::path::MAIN_SEPARATOR, "/").bytes() {
            if byte.is_ascii_alphanumeric() || b"/.-_~:".contains(&byte) {
                address.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(address, "%{byte:02X}");
            }
        }
        address.push_str("?mode=rwc&cache=private");
        address
    }))
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
