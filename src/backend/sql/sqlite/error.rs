//! What SQLite's errors mean. Codes: <https://www.sqlite.org/rescode.html>.

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Retry;

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const TOOBIG: u32 = 18;
const CONSTRAINT: u32 = 19;
const NOTADB: u32 = 26;
const BUSY_SNAPSHOT: u32 = 517;

/// The kind of error, its retry class, and what a person should do.
fn class(primary: u32) -> (ErrorKind, Retry, &'static str) {
    match primary {
        BUSY | LOCKED => (
            ErrorKind::Unavailable,
            Retry::Safe,
            "another process keeps the file locked",
        ),
        READONLY => (
            ErrorKind::PermissionDenied,
            Retry::Never,
            "the file cannot be written to: check its permissions",
        ),
        IOERR => (ErrorKind::Unavailable, Retry::Safe, "the disk reported an error"),
        CORRUPT => (
            ErrorKind::Corrupt,
            Retry::Never,
            "the file is damaged: restore a copy",
        ),
        FULL => (ErrorKind::Unavailable, Retry::Never, "the disk is full"),
        CANTOPEN => (
            ErrorKind::Config,
            Retry::Never,
            "the file cannot be opened: check the path and its folder",
        ),
        TOOBIG => (ErrorKind::TooLarge, Retry::Never, "a value is too large"),
        CONSTRAINT => (ErrorKind::Internal, Retry::Never, "a guard of the schema was hit"),
        NOTADB => (
            ErrorKind::Config,
            Retry::Never,
            "the file is not a SQLite database",
        ),
        _ => (
            ErrorKind::Internal,
            Retry::Never,
            "the database refused the statement",
        ),
    }
}

fn extended(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn primary(error: &sqlx::Error) -> Option<u32> {
    // Extended codes carry the primary one in their lowest byte.
    extended(error).map(|code| code & 0xff)
}

/// Maps an error of the driver.
pub(super) fn map(error: sqlx::Error) -> Error {
    let (kind, retry, message) = match (&error, primary(&error)) {
        (_, Some(code)) => class(code),
        (sqlx::Error::PoolTimedOut, _) => (ErrorKind::Timeout, Retry::Safe, "no connection was free in time"),
        (sqlx::Error::PoolClosed, _) => (ErrorKind::Unavailable, Retry::Never, "the store is closed"),
        (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_), _) => {
            (ErrorKind::Corrupt, Retry::Never, "a stored value cannot be read")
        }
        (sqlx::Error::Io(_), _) => (ErrorKind::Unavailable, Retry::Safe, "the file cannot be reached"),
        _ => (ErrorKind::Internal, Retry::Never, "the driver failed"),
    };
    Error::new(kind, message).retry(retry).caused_by(error)
}

/// Maps an error while opening, of which only the words are kept.
pub(super) fn opening(error: &sqlx::Error) -> Error {
    let (kind, retry, message) = primary(error).map_or(
        (ErrorKind::Config, Retry::Never, "the file cannot be opened"),
        class,
    );
    Error::new(kind, message)
        .retry(retry)
        .operation("open")
        .caused_by(error.to_string())
}

/// Whether the same transaction may succeed when repeated: another process held the lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary(error), Some(BUSY | LOCKED))
}

/// Whether the transaction reads a state that is no longer the newest, so that it can never write.
pub(super) fn is_stale(error: &sqlx::Error) -> bool {
    extended(error) == Some(BUSY_SNAPSHOT)
}

#[cfg(test)]
mod tests {
    use super::class;
    use crate::error::ErrorKind;
    use crate::error::Retry;

    #[test]
    fn codes_have_their_kind_and_retry_class() {
        let table = [
            (5, ErrorKind::Unavailable, Retry::Safe),
            (6, ErrorKind::Unavailable, Retry::Safe),
            (8, ErrorKind::PermissionDenied, Retry::Never),
            (10, ErrorKind::Unavailable, Retry::Safe),
            (11, ErrorKind::Corrupt, Retry::Never),
            (13, ErrorKind::Unavailable, Retry::Never),
            (14, ErrorKind::Config, Retry::Never),
            (18, ErrorKind::TooLarge, Retry::Never),
            (19, ErrorKind::Internal, Retry::Never),
            (26, ErrorKind::Config, Retry::Never),
            (1, ErrorKind::Internal, Retry::Never),
        ];
        for (code, kind, retry) in table {
            let (found, class, _) = class(code);
            assert_eq!((found, class), (kind, retry), "code {code}");
        }
    }
}
