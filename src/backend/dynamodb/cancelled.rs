//! Why a transaction was cancelled: the reasons of its items, and what they come to together.

use serde_json::Value;

use super::error::Class;
use super::error::Meaning;
use super::error::meaning;
use crate::error::ErrorKind;

/// The reasons in an error as it was sent, one for each item; `None` where it is no cancellation.
///
/// They are read from what was sent, since the client library has them in another type for each call.
pub(super) fn reasons(body: &[u8]) -> Option<Vec<String>> {
    let error: Value = serde_json::from_slice(body).ok()?;
    let reasons = error.get("CancellationReasons")?.as_array()?.iter();
    let codes = reasons.filter_map(|reason| reason.get("Code")?.as_str());
    Some(codes.map(str::to_owned).collect())
}

const MOVED: Meaning = meaning(
    ErrorKind::Unavailable,
    Class::Condition,
    "other processes keep changing what the write rests on",
);
const CONTENDED: Meaning = meaning(
    ErrorKind::Unavailable,
    Class::Contended,
    "another transaction is at work on an item",
);
const THROTTLED: Meaning = meaning(ErrorKind::RateLimited, Class::Again, "the service throttles");
const FULL: Meaning = meaning(ErrorKind::TooLarge, Class::Final, "a partition is full");
const REFUSED: Meaning = meaning(
    ErrorKind::Internal,
    Class::Final,
    "the service refused the transaction",
);

/// What the reasons come to together.
///
/// - One that will not pass decides. A condition that does not hold comes next: what is read again then is settled by the
///   time that whoever is at work on another item is done. Throttling comes before a conflict, which overloads nothing.
pub(super) fn meaning_of<'a>(reasons: impl Iterator<Item = &'a str>) -> Meaning {
    let (mut moved, mut throttled, mut contended) = (false, false, false);
    for reason in reasons {
        match reason {
            "None" => {}
            "ConditionalCheckFailed" => moved = true,
            "TransactionConflict" | "DuplicateItem" => contended = true,
            "ThrottlingError" | "ProvisionedThroughputExceeded" | "RequestLimitExceeded" => throttled = true,
            "ItemCollectionSizeLimitExceeded" => return FULL,
            _ => return REFUSED,
        }
    }
    match (moved, throttled, contended) {
        (true, _, _) => MOVED,
        (_, true, _) => THROTTLED,
        (_, _, true) => CONTENDED,
        (false, false, false) => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(reasons: &[&str]) -> Class {
        meaning_of(reasons.iter().copied()).class
    }

    #[test]
    fn it_is_sent_again_only_if_every_reason_may_pass() {
        assert_eq!(class(&["None", "TransactionConflict"]), Class::Contended);
        assert_eq!(class(&["ThrottlingError", "TransactionConflict"]), Class::Again);
        assert_eq!(
            class(&["TransactionConflict", "ConditionalCheckFailed"]),
            Class::Condition
        );
        assert_eq!(
            class(&["ConditionalCheckFailed", "ThrottlingError"]),
            Class::Condition
        );
        assert_eq!(
            class(&["ConditionalCheckFailed", "ValidationError"]),
            Class::Final
        );
        assert_eq!(class(&["None"]), Class::Final);
    }

    #[test]
    fn reasons_have_kinds_of_their_own() {
        let kind = |reason| meaning_of([reason].into_iter()).kind;
        assert_eq!(kind("ThrottlingError"), ErrorKind::RateLimited);
        assert_eq!(kind("ProvisionedThroughputExceeded"), ErrorKind::RateLimited);
        assert_eq!(kind("TransactionConflict"), ErrorKind::Unavailable);
        assert_eq!(kind("ItemCollectionSizeLimitExceeded"), ErrorKind::TooLarge);
        assert_eq!(kind("ValidationError"), ErrorKind::Internal);
    }

    #[test]
    fn reasons_are_read_from_what_was_sent() {
        let sent = br#"{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict","Message":"m"}]}"#;
        assert_eq!(reasons(sent).unwrap(), ["None", "TransactionConflict"]);
        assert_eq!(reasons(br#"{"__type":"x#ThrottlingException"}"#), None);
        assert_eq!(reasons(b"no JSON"), None);
    }
}
