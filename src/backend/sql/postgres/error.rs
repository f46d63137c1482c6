//! What PostgreSQL's errors mean. SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Retry;

/// The lock time-out.
const LOCKED: &str = "55P03";

/// What is known about the transaction in which the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing of it was applied, and the same may succeed when repeated.
    Repeat,
    /// Nothing of it was applied: a lock was not had in time.
    Blocked,
    /// Nothing of it was applied, and the same would fail again.
    Final,
    /// It may have committed.
    Unknown,
}

/// The kind of error, its retry class, the outcome, and what a person should do.
fn class(code: &str) -> (ErrorKind, Retry, Outcome, &'static str) {
    if code == LOCKED {
        let message = "another transaction keeps the rows locked";
        return (ErrorKind::Unavailable, Retry::Safe, Outcome::Blocked, message);
    }
    if let Some((kind, message)) = repeatable(code) {
        return (kind, Retry::Safe, Outcome::Repeat, message);
    }
    if let Some(message) = unknown(code) {
        return (ErrorKind::Unavailable, Retry::SameKey, Outcome::Unknown, message);
    }
    let (kind, retry, message) = last(code);
    (kind, retry, Outcome::Final, message)
}

/// A unique key that another transaction took since it was looked at: the batch runs again on fresh facts.
const RACED: &str = "23505";

/// Nothing ran, and the same may succeed on another try or another connection.
fn repeatable(code: &str) -> Option<(ErrorKind, &'static str)> {
    Some(match code {
        "40001" | "40P01" => (ErrorKind::Conflict, "the transaction collided with another"),
        // A plan or a statement of before a change of the schema: a fresh connection prepares anew.
        "0A000" | "26000" => (
            ErrorKind::Unavailable,
            "the schema changed under the connection, or the pooler's server became a replica",
        ),
        "25006" => (
            ErrorKind::Unavailable,
            "the server takes no writes: it is not the primary",
        ),
        "53300" => (ErrorKind::Unavailable, "the server has no connection free"),
        "57P03" => (ErrorKind::Unavailable, "the server is starting up"),
        // Or the commit was given up for lost and voided.
        RACED => (ErrorKind::Conflict, "a key was taken meanwhile"),
        _ => return None,
    })
}

/// The session ended; what it was doing may have committed.
fn unknown(code: &str) -> Option<&'static str> {
    match code {
        "40003" | "57P01" | "57P02" | "57P05" => Some("the server ended the session"),
        _ if code.starts_with("08") => Some("the connection was lost"),
        _ => None,
    }
}

/// Nothing ran, and the same would fail again.
fn last(code: &str) -> (ErrorKind, Retry, &'static str) {
    use Retry::Never;
    use Retry::Safe;
    match code {
        "57014" => (ErrorKind::Timeout, Safe, "the statement took too long"),
        "53100" => (ErrorKind::Unavailable, Never, "the server's disk is full"),
        "53200" | "53400" => (ErrorKind::Unavailable, Safe, "the server is out of a resource"),
        "28000" | "28P01" => (ErrorKind::Unauthenticated, Never, "the user or password is wrong"),
        "42501" => (ErrorKind::PermissionDenied, Never, "the role lacks a privilege"),
        "3D000" => (ErrorKind::Config, Never, "the database does not exist"),
        "42883" | "42P01" | "3F000" | "42703" => (
            ErrorKind::Config,
            Never,
            "the schema does not fit: open once with Migrate::Apply",
        ),
        "22003" => (ErrorKind::InvalidInput, Never, "a number is out of range"),
        _ if code.starts_with("22") => (ErrorKind::InvalidInput, Never, "a value does not fit"),
        _ => (ErrorKind::Internal, Never, "the database refused the statement"),
    }
}

fn sorted(error: &sqlx::Error) -> (ErrorKind, Retry, Outcome, &'static str) {
    if let Some(code) = error.as_database_error().and_then(|database| database.code()) {
        return class(&code);
    }
    match error {
        sqlx::Error::PoolTimedOut => (
            ErrorKind::Timeout,
            Retry::Safe,
            Outcome::Repeat,
            "no connection was free in time",
        ),
        sqlx::Error::PoolClosed => (
            ErrorKind::Unavailable,
            Retry::Never,
            Outcome::Final,
            "the store is closed",
        ),
        sqlx::Error::Tls(_) => (
            ErrorKind::Unavailable,
            Retry::Safe,
            Outcome::Unknown,
            "TLS could not be set up",
        ),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => (
            ErrorKind::Corrupt,
            Retry::Never,
            Outcome::Final,
            "a stored value cannot be read",
        ),
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => (
            ErrorKind::Internal,
            Retry::Never,
            Outcome::Final,
            "a parameter cannot be sent",
        ),
        // Input and output, and whatever the driver cannot tell: the statement may have run.
        _ => (
            ErrorKind::Unavailable,
            Retry::SameKey,
            Outcome::Unknown,
            "the connection was lost",
        ),
    }
}

/// Maps an error of the driver, of which only the words are kept: no text of a statement, no value.
pub(super) fn map(error: &sqlx::Error) -> Error {
    let (kind, retry, _, message) = sorted(error);
    let words = match error.as_database_error() {
        Some(database) => match database.code() {
            Some(code) => format!("SQLSTATE {code}"),
            None => "no SQLSTATE".to_owned(),
        },
        None => error.to_string(),
    };
    Error::new(kind, message).retry(retry).caused_by(words)
}

/// What is known about the write in which the error came.
pub(super) fn outcome(error: &sqlx::Error) -> Outcome {
    sorted(error).2
}

/// Whether the connection is lost or stale, so that a read may go on with another one. The others to the same server are
/// out of date then as well: after a change of the schema they all hold plans of before, and 0A000 is also what a replica
/// answers to a pooler's client.
pub(super) fn is_connection(error: &sqlx::Error) -> bool {
    match code(error).as_deref() {
        Some(code) => matches!(code, "0A000" | "26000") || is_failover(code),
        None => matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed
        ),
    }
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    code(error).is_some_and(|code| codes.contains(&code.as_str()))
}

/// Whether a key was taken between look and write.
pub(super) fn is_raced(error: &sqlx::Error) -> bool {
    has_code(error, &[RACED])
}

/// Whether a table or its schema is not there.
pub(super) fn is_undefined(error: &sqlx::Error) -> bool {
    has_code(error, &["42P01", "3F000"])
}

/// Whether no statement can run: no transaction is open, or the one that is has failed.
pub(super) fn is_outside(error: &sqlx::Error) -> bool {
    has_code(error, &["25P01", "25P02"])
}

/// Whether a server answered that will be ready soon.
pub(super) fn is_starting(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("57P03")
}

fn is_failover(code: &str) -> bool {
    matches!(code, "25006" | "57P01" | "57P02" | "57P03" | "57P05") || code.starts_with("08")
}

fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|database| database.code())
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use super::class;
    use crate::error::ErrorKind;

    #[test]
    fn states_have_their_kind_and_outcome() {
        let table = [
            ("40001", ErrorKind::Conflict, Outcome::Repeat),
            ("40P01", ErrorKind::Conflict, Outcome::Repeat),
            ("55P03", ErrorKind::Unavailable, Outcome::Blocked),
            ("0A000", ErrorKind::Unavailable, Outcome::Repeat),
            ("26000", ErrorKind::Unavailable, Outcome::Repeat),
            ("25006", ErrorKind::Unavailable, Outcome::Repeat),
            ("08006", ErrorKind::Unavailable, Outcome::Unknown),
            ("40003", ErrorKind::Unavailable, Outcome::Unknown),
            ("57P01", ErrorKind::Unavailable, Outcome::Unknown),
            ("57P02", ErrorKind::Unavailable, Outcome::Unknown),
            ("57P03", ErrorKind::Unavailable, Outcome::Repeat),
            ("57014", ErrorKind::Timeout, Outcome::Final),
            ("28P01", ErrorKind::Unauthenticated, Outcome::Final),
            ("42501", ErrorKind::PermissionDenied, Outcome::Final),
            ("3D000", ErrorKind::Config, Outcome::Final),
            ("42883", ErrorKind::Config, Outcome::Final),
            ("22003", ErrorKind::InvalidInput, Outcome::Final),
            ("22P05", ErrorKind::InvalidInput, Outcome::Final),
            ("23514", ErrorKind::Internal, Outcome::Final),
        ];
        for (code, kind, outcome) in table {
            let (found, _, known, _) = class(code);
            assert_eq!((found, known), (kind, outcome), "SQLSTATE {code}");
        }
    }
}
