//! What the client's errors mean, from one table.

use async_memcached::Error as ClientError;
use async_memcached::ErrorKind as Kind;
use async_memcached::Status;

use crate::error::Error;
use crate::error::ErrorKind;

/// Whether the connection is gone, and with it perhaps all connections to that server.
pub(super) const fn is_lost(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Connect(_) | ClientError::ConnectionClosed | ClientError::Io(_)
    )
}

/// Whether a server refuses a value for its length.
pub(super) fn is_too_large(error: &ClientError) -> bool {
    matches!(error, ClientError::Protocol(Status::Error(Kind::Server(text))) if text.contains("too large"))
}

/// Whether a conditional command found something else than its condition.
pub(super) const fn is_unmet(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Protocol(Status::Exists | Status::NotFound | Status::NotStored)
    )
}

pub(super) fn error(source: ClientError) -> Error {
    let (kind, message) = match &source {
        ClientError::Protocol(Status::Error(Kind::Server(_))) => {
            (ErrorKind::Unavailable, "the cache server has trouble of its own")
        }
        ClientError::Protocol(Status::Error(Kind::NonexistentCommand)) => (
            ErrorKind::Unsupported,
            "the cache server does not know the meta commands: it must be Memcached 1.6 or later",
        ),
        ClientError::Protocol(_) | ClientError::ParseError(_) => (
            ErrorKind::Internal,
            "the cache server did not understand, or was not understood",
        ),
        _ => (ErrorKind::Unavailable, "the cache server cannot be reached"),
    };
    Error::new(kind, message).caused_by(source.to_string())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_error_has_its_kind() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let server = |text: &str| ClientError::Protocol(Status::Error(Kind::Server(text.to_owned())));
        assert!(is_lost(&ClientError::Io(refused())));
        assert!(is_too_large(&server("object too large for cache")));
        assert!(is_unmet(&ClientError::Protocol(Status::Exists)));
        let table = [
            (ClientError::Connect(refused()), ErrorKind::Unavailable),
            (ClientError::ConnectionClosed, ErrorKind::Unavailable),
            (server("out of memory storing object"), ErrorKind::Unavailable),
            (
                ClientError::Protocol(Status::Error(Kind::NonexistentCommand)),
                ErrorKind::Unsupported,
            ),
            (
                ClientError::Protocol(Status::Error(Kind::Client("bad".to_owned()))),
                ErrorKind::Internal,
            ),
        ];
        for (source, kind) in table {
            assert_eq!(error(source).kind(), kind);
        }
    }
}
