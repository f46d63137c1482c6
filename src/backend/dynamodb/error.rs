//! What the service's refusals mean: one table, and what is known about a write that was refused so.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::error::SdkError;

use super::cancelled;
use crate::error::Error;
use crate::error::ErrorKind;

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) class: Class,
}

/// What may be done about a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It was not applied, and may be in a moment; whoever repeats it asks more of a service that has too much to do.
    Again,
    /// It was not applied: another transaction is at work on an item, and done in a moment.
    Contended,
    /// It may have been applied, or may still be.
    Doubtful,
    /// It was not applied, and will not be.
    Final,
    /// Its condition does not hold.
    Condition,
}

/// What an error code means.
#[derive(Clone, Copy)]
pub(super) struct Meaning {
    pub(super) kind: ErrorKind,
    pub(super) class: Class,
    pub(super) message: &'static str,
}

/// Every code that is known, by the service's documentation of common errors and of the operations that are used.
const MEANINGS: [(&str, Meaning); 21] = [
    (
        "ConditionalCheckFailedException",
        meaning(
            ErrorKind::Conflict,
            Class::Condition,
            "the item is not as expected",
        ),
    ),
    (
        "TransactionConflictException",
        meaning(
            ErrorKind::Unavailable,
            Class::Contended,
            "another transaction is at work on the item",
        ),
    ),
    (
        "TransactionInProgressException",
        meaning(
            ErrorKind::Unavailable,
            Class::Doubtful,
            "the transaction is still under way",
        ),
    ),
    (
        "ProvisionedThroughputExceededException",
        meaning(
            ErrorKind::RateLimited,
            Class::Again,
            "the table's or a key's throughput is exceeded",
        ),
    ),
    (
        "ThrottlingException",
        meaning(
            ErrorKind::RateLimited,
            Class::Again,
            "the service throttles this table or account",
        ),
    ),
    (
        "RequestLimitExceeded",
        meaning(
            ErrorKind::RateLimited,
            Class::Again,
            "the account's throughput is exceeded",
        ),
    ),
    (
        "LimitExceededException",
        meaning(
            ErrorKind::RateLimited,
            Class::Again,
            "too many tables are being changed at once",
        ),
    ),
    (
        "InternalServerError",
        meaning(ErrorKind::Unavailable, Class::Doubtful, "the service failed"),
    ),
    (
        "InternalFailure",
        meaning(ErrorKind::Unavailable, Class::Doubtful, "the service failed"),
    ),
    (
        "ServiceUnavailable",
        meaning(
            ErrorKind::Unavailable,
            Class::Doubtful,
            "the service is not available",
        ),
    ),
    (
        "ResourceNotFoundException",
        meaning(
            ErrorKind::Config,
            Class::Final,
            "a table does not exist in this region: create it with Migrate::Apply, or correct prefix and region",
        ),
    ),
    (
        "ResourceInUseException",
        meaning(ErrorKind::Unavailable, Class::Again, "a table is being changed"),
    ),
    (
        "AccessDeniedException",
        meaning(
            ErrorKind::PermissionDenied,
            Class::Final,
            "the credentials do not allow this: see the policy in docs/dynamodb.md",
        ),
    ),
    (
        "UnrecognizedClientException",
        meaning(
            ErrorKind::Unauthenticated,
            Class::Final,
            "the credentials are not known",
        ),
    ),
    (
        "InvalidClientTokenId",
        meaning(
            ErrorKind::Unauthenticated,
            Class::Final,
            "the credentials are not known",
        ),
    ),
    (
        "InvalidSignatureException",
        meaning(
            ErrorKind::Unauthenticated,
            Class::Final,
            "the signature is wrong: check the secret key, the region and the clock",
        ),
    ),
    (
        "IncompleteSignatureException",
        meaning(
            ErrorKind::Unauthenticated,
            Class::Final,
            "the signature is incomplete: check the access key",
        ),
    ),
    (
        "MissingAuthenticationTokenException",
        meaning(
            ErrorKind::Unauthenticated,
            Class::Final,
            "the call was not signed",
        ),
    ),
    (
        "ExpiredTokenException",
        meaning(
            ErrorKind::Unauthenticated,
            Class::Final,
            "the credentials have expired",
        ),
    ),
    (
        "ItemCollectionSizeLimitExceededException",
        meaning(ErrorKind::TooLarge, Class::Final, "a partition is full"),
    ),
    (
        "IdempotentParameterMismatchException",
        meaning(
            ErrorKind::Internal,
            Class::Final,
            "a request token was used twice",
        ),
    ),
];

pub(super) const fn meaning(kind: ErrorKind, class: Class, message: &'static str) -> Meaning {
    Meaning { kind, class, message }
}

/// What a failed call means.
///
/// - A call that found no connection was never sent; it counts as doubtful all the same, for a connection that broke looks alike.
pub(super) fn failure<E>(error: SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if lacks_credentials(&error) {
        return Failure {
            error: Error::new(ErrorKind::Unauthenticated, "no credentials could be had").caused_by(error),
            class: Class::Final,
        };
    }
    match &error {
        SdkError::ConstructionFailure(_) => Failure {
            error: Error::new(ErrorKind::Internal, "the call could not be made").caused_by(error),
            class: Class::Final,
        },
        SdkError::TimeoutError(_) => Failure {
            error: unavailable("the service did not answer in time").caused_by(error),
            class: Class::Doubtful,
        },
        SdkError::DispatchFailure(_) => Failure {
            error: unavailable("the service cannot be reached").caused_by(error),
            class: Class::Doubtful,
        },
        SdkError::ResponseError(_) => Failure {
            error: unavailable("the service's answer cannot be read").caused_by(error),
            class: Class::Doubtful,
        },
        SdkError::ServiceError(refused) => {
            let sent = refused.raw().body().bytes().unwrap_or_default();
            let known = match cancelled::reasons(sent) {
                Some(reasons) => cancelled::meaning_of(reasons.iter().map(String::as_str)),
                None => by_code(refused.err().code(), refused.raw().status().as_u16()),
            };
            Failure {
                error: Error::new(known.kind, known.message).caused_by(error),
                class: known.class,
            }
        }
        _ => Failure {
            error: unavailable("the call failed").caused_by(error),
            class: Class::Doubtful,
        },
    }
}

/// Whether whoever gives the credentials had none: the client library tells it as if the network had failed.
fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<CredentialsError>)
}

fn by_code(code: Option<&str>, status: u16) -> Meaning {
    let known = MEANINGS.iter().find(|(known, _)| Some(*known) == code);
    match known {
        Some((_, meaning)) => *meaning,
        None if status >= 500 => meaning(ErrorKind::Unavailable, Class::Doubtful, "the service failed"),
        None => meaning(ErrorKind::Internal, Class::Final, "the service refused a call"),
    }
}

fn unavailable(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

pub(super) fn timeout() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline ended")
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the store is closed").retry(crate::error::Retry::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_in_the_table() {
        let mut codes: Vec<_> = MEANINGS.iter().map(|(code, _)| code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), MEANINGS.len());
    }

    #[test]
    fn throttling_is_told_from_refusals_and_from_doubt() {
        let class = |code: &'static str, status| by_code(Some(code), status).class;
        assert_eq!(class("ThrottlingException", 400), Class::Again);
        assert_eq!(class("TransactionConflictException", 400), Class::Contended);
        assert_eq!(class("TransactionInProgressException", 400), Class::Doubtful);
        assert_eq!(class("InternalServerError", 500), Class::Doubtful);
        assert_eq!(class("SomethingNew", 503), Class::Doubtful);
        assert_eq!(class("SomethingNew", 400), Class::Final);
        assert_eq!(class("ValidationException", 400), Class::Final);
    }

    #[test]
    fn set_up_mistakes_have_kinds_of_their_own() {
        let kind = |code: &'static str| by_code(Some(code), 400).kind;
        assert_eq!(kind("ResourceNotFoundException"), ErrorKind::Config);
        assert_eq!(kind("AccessDeniedException"), ErrorKind::PermissionDenied);
        assert_eq!(kind("ExpiredTokenException"), ErrorKind::Unauthenticated);
        assert_eq!(kind("UnrecognizedClientException"), ErrorKind::Unauthenticated);
    }
}
