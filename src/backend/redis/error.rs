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
        "the cache server wants a password: put it into the address",
    ),
    (
        "WRONGPASS",
        ErrorKind::Unauthenticated,
        "the cache server refuses the user or the password",
    ),
    (
        "NOPERM",
        ErrorKind::PermissionDenied,
        "the cache server's user may not run the cache's commands",
    ),
    ("OOM", ErrorKind::Unavailable, "the cache server is out of memory"),
    ("LOADING", ErrorKind::Unavailable, "the cache server is starting"),
    (
        "BUSY",
        ErrorKind::Unavailable,
        "the cache server is busy with another script",
    ),
    (
        "READONLY",
        ErrorKind::Unavailable,
        "the cache server is a replica: a failover is under way",
    ),
    (
        "MASTERDOWN",
        ErrorKind::Unavailable,
        "the cache server has lost its primary",
    ),
    (
        "CLUSTERDOWN",
        ErrorKind::Unavailable,
        "the cache cluster does not serve all of its slots",
    ),
    (
        "MISCONF",
        ErrorKind::Unavailable,
        "the cache server refuses writes until its disk works",
    ),
    (
        "NOREPLICAS",
        ErrorKind::Unavailable,
        "the cache server has too few replicas for writes",
    ),
];

pub(super) fn error(source: FredError) -> Error {
    let reply = REPLIES
        .iter()
        .find(|(prefix, ..)| source.details().starts_with(prefix));
    let (kind, message) = match (reply, source.kind()) {
        (Some((_, kind, message)), _) => (*kind, *message),
        (None, FredKind::Auth) => (
            ErrorKind::Unauthenticated,
            "the cache server refuses the user or the password",
        ),
        (None, FredKind::Config | FredKind::Url) => {
            (ErrorKind::Config, "the address of the cache cannot be used")
        }
        (None, FredKind::Timeout) => (ErrorKind::Timeout, "the cache server did not answer in time"),
        (
            None,
            FredKind::InvalidArgument | FredKind::InvalidCommand | FredKind::Parse | FredKind::Protocol,
        ) => (ErrorKind::Internal, "the cache server did not understand"),
        (None, _) => (ErrorKind::Unavailable, "the cache server cannot be reached"),
    };
    // Not the source itself: it may print the address, which may hold a password. What a server said is safe to show.
    Error::new(kind, message).caused_by(source.details().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
