//! What the client's errors mean, from one table.

use fred::error::Error as FredError;
use fred::error::ErrorKind as FredKind;

use crate::error::Error;
use crate::error::ErrorKind;

/// Prefixes of a server's own errors, with what they mean for a caller.
const REPLIES: &[(&str, ErrorKind, &str)] = &[
    (
        "NOAUTH",
        ErrorKind::Unauthenticated,
        "the Redis server wants a password: put it into the address",
    ),
    (
        "WRONGPASS",
        ErrorKind::Unauthenticated,
        "the Redis server refuses the user or the password",
    ),
    (
        "NOPERM",
        ErrorKind::PermissionDenied,
        "the Redis server's user may not run the commands that are needed",
    ),
    ("OOM", ErrorKind::Unavailable, "the Redis server is out of memory"),
    ("LOADING", ErrorKind::Unavailable, "the Redis server is starting"),
    (
        "BUSY",
        ErrorKind::Unavailable,
        "the Redis server is busy with another script",
    ),
    (
        "READONLY",
        ErrorKind::Unavailable,
        "the Redis server is a replica: a failover is under way",
    ),
    (
        "MASTERDOWN",
        ErrorKind::Unavailable,
        "the Redis server has lost its primary",
    ),
    (
        "CLUSTERDOWN",
        ErrorKind::Unavailable,
        "the Redis cluster does not serve all of its slots",
    ),
    // What the client says of a cluster that is about to name another master.
    (
        "Invalid or missing cluster state",
        ErrorKind::Unavailable,
        "the Redis cluster does not tell yet who serves which slot",
    ),
    (
        "MISCONF",
        ErrorKind::Unavailable,
        "the Redis server refuses writes until its disk works",
    ),
    (
        "NOREPLICAS",
        ErrorKind::Unavailable,
        "the Redis server has too few replicas for writes",
    ),
];

/// Whether this is the server's own answer: it has done nothing of what it was asked.
///
/// - Such an answer begins with its code in capitals; what the client says of itself does not.
pub(super) fn is_refusal(source: &FredError) -> bool {
    let code = source.details().split(' ').next().unwrap_or_default();
    let spoken = code.len() > 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    match source.kind() {
        // The queue of commands was full: it was not sent.
        FredKind::Backpressure => true,
        FredKind::Auth
        | FredKind::Cluster
        | FredKind::Config
        | FredKind::InvalidArgument
        | FredKind::InvalidCommand
        | FredKind::Unknown => spoken,
        _ => false,
    }
}

/// Nothing can be sent for now.
pub(super) fn not_connected() -> Error {
    Error::new(ErrorKind::Unavailable, "the Redis server cannot be reached")
}

pub(super) fn error(source: FredError) -> Error {
    let reply = REPLIES
        .iter()
        .find(|(prefix, ..)| source.details().starts_with(prefix));
    let (kind, message) = match (reply, source.kind()) {
        (Some((_, kind, message)), _) => (*kind, *message),
        (None, FredKind::Auth) => (
            ErrorKind::Unauthenticated,
            "the Redis server refuses the user or the password",
        ),
        (None, FredKind::Config | FredKind::Url) => (
            ErrorKind::Config,
            "the address of the Redis server cannot be used",
        ),
        (None, FredKind::Timeout) => (ErrorKind::Timeout, "the Redis server did not answer in time"),
        (
            None,
            FredKind::InvalidArgument | FredKind::InvalidCommand | FredKind::Parse | FredKind::Protocol,
        ) => (ErrorKind::Internal, "the Redis server did not understand"),
        (None, _) => (ErrorKind::Unavailable, "the Redis server cannot be reached"),
    };
    // Not the source itself: it may print the address, which may hold a password. What a server said is safe to show.
    Error::new(kind, message).caused_by(source.details().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_server_said_is_a_refusal() {
        let table = [
            (FredKind::Unknown, "OOM command not allowed", true),
            (FredKind::Unknown, "ERR unknown command", true),
            (FredKind::Auth, "NOAUTH Authentication required.", true),
            (FredKind::Backpressure, "Max command queue length exceeded.", true),
            (FredKind::Canceled, "Connection closed unexpectedly.", false),
            (FredKind::Unknown, "Too many failed write attempts.", false),
            (FredKind::IO, "EOF while reading", false),
            (FredKind::Timeout, "Request timed out.", false),
        ];
        for (kind, details, refused) in table {
            assert_eq!(is_refusal(&FredError::new(kind, details)), refused, "{details}");
        }
    }

    #[test]
    fn each_error_has_its_kind() {
        let table = [
            (
                FredKind::Unknown,
                "NOAUTH Authentication required.",
                ErrorKind::Unauthenticated,
            ),
            (
                FredKind::Unknown,
                "OOM command not allowed",
                ErrorKind::Unavailable,
            ),
            (
                FredKind::Unknown,
                "READONLY You can't write",
                ErrorKind::Unavailable,
            ),
            (FredKind::Auth, "", ErrorKind::Unauthenticated),
            (FredKind::IO, "connection refused", ErrorKind::Unavailable),
            (FredKind::Timeout, "", ErrorKind::Timeout),
            (FredKind::Backpressure, "", ErrorKind::Unavailable),
            (FredKind::Url, "", ErrorKind::Config),
            (FredKind::Protocol, "", ErrorKind::Internal),
        ];
        for (kind, details, expected) in table {
            assert_eq!(
                error(FredError::new(kind, details.to_owned())).kind(),
                expected,
                "{details}"
            );
        }
    }
}
