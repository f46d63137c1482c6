//! What an error says, and what it keeps to itself.

use std::error::Error as _;

use super::*;

#[test]
fn display_is_one_line_without_the_source() {
    let error = Error::new(ErrorKind::Unavailable, "the pool is empty")
        .operation("carts.add")
        .concerning("cart 1")
        .caused_by("connection refused");
    assert_eq!(
        error.to_string(),
        "carts.add: unavailable: cart 1: the pool is empty"
    );
    assert_eq!(
        error.source().map(ToString::to_string).as_deref(),
        Some("connection refused")
    );
}

#[test]
fn display_names_the_field_and_the_shortages() {
    assert_eq!(
        Error::invalid("sku", "must not be empty").to_string(),
        "invalid input: sku: must not be empty"
    );
    let shortage = Shortage {
        sku: "MUG".into(),
        location: Some("berlin".into()),
        requested: 3,
        available: 1,
    };
    let error = Error::new(ErrorKind::InsufficientStock, "not enough stock").short_of(vec![shortage; 5]);
    assert!(
        error.to_string().starts_with(
            "insufficient stock: not enough stock (MUG at berlin: 3 requested, 1 available; MUG"
        )
    );
    assert!(error.to_string().ends_with("; 2 more)"));
}

#[test]
fn retry_class_follows_the_kind_until_it_is_told() {
    assert_eq!(Error::conflict("cart 1", None).retry_class(), Retry::Reread);
    assert_eq!(
        Error::new(ErrorKind::OutcomeUnknown, "lost").retry_class(),
        Retry::SameKey
    );
    assert_eq!(Error::new(ErrorKind::Timeout, "late").retry_class(), Retry::Safe);
    assert_eq!(Error::not_found("cart 1").retry_class(), Retry::Never);
    assert_eq!(
        Error::not_found("cart 1").retry(Retry::Safe).retry_class(),
        Retry::Safe
    );
}

#[test]
fn debug_prints_sources_by_their_text_only() {
    #[derive(Debug)]
    struct Driver {
        #[expect(dead_code, reason = "only Debug would read it, which must not happen")]
        url: &'static str,
    }
    impl fmt::Display for Driver {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("refused")
        }
    }
    impl std::error::Error for Driver {}
    let error = Error::new(ErrorKind::Unavailable, "down").caused_by(Driver {
        url: "postgres://u:secret@h",
    });
    let text = format!("{error:?}");
    assert!(text.contains("refused") && !text.contains("secret"), "{text}");
}

#[test]
fn corrupted_keeps_the_finding_and_changes_the_kind() {
    let error = Error::invalid("sku", "must not be empty").corrupted();
    assert!(error.is(ErrorKind::Corrupt));
    assert_eq!(error.invalid_field(), Some("sku"));
}

#[test]
fn errors_cross_threads_and_are_one_word() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Error>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}
