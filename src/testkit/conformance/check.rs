//! How a case says that it failed: as a value, in one line.

use std::fmt;
use std::fmt::Debug;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

/// What a case, or a step of one, gives.
pub type CaseResult<T = ()> = core::result::Result<T, Failure>;

impl Failure {
    /// A failure with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut reason = format!("unexpected {:?}: {error}", error.kind());
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self(reason)
    }
}

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($reason:tt)+) => {
        if !$holds {
            return Err($crate::testkit::conformance::Failure::new(format!($($reason)+)));
        }
    };
}

/// Fails the case unless both sides are equal; tells both.
macro_rules! same {
    ($got:expr, $expected:expr, $what:expr) => {
        $crate::testkit::conformance::check::equal(&$got, &$expected, &$what)?
    };
}

pub(in crate::testkit) use ensure;
pub(in crate::testkit) use same;

/// Fails unless both are equal.
pub(in crate::testkit) fn equal<T, U>(got: &T, expected: &U, what: &impl fmt::Display) -> CaseResult
where
    T: PartialEq<U> + Debug,
    U: Debug,
{
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
    let from = difference(&got, &expected);
    Err(Failure(format!(
        "{what}: expected {}, got {}",
        excerpt(&expected, from),
        excerpt(&got, from)
    )))
}

/// How many characters of a value a failure shows, and how many of them lie before the first difference.
const SHOWN: usize = 240;
const BEFORE: usize = 80;

/// Where the texts differ first, in characters.
fn difference(one: &str, other: &str) -> usize {
    one.chars()
        .zip(other.chars())
        .take_while(|(one, other)| one == other)
        .count()
}

/// A short text as it is; of a long one what lies around the first difference.
fn excerpt(text: &str, difference: usize) -> String {
    let length = text.chars().count();
    if length <= SHOWN {
        return text.to_owned();
    }
    let start = difference.saturating_sub(BEFORE).min(length - SHOWN);
    let part: String = text.chars().skip(start).take(SHOWN).collect();
    format!(
        "{}{part}{}",
        if start > 0 { "…" } else { "" },
        if start + SHOWN < length { "…" } else { "" }
    )
}

/// The error of an answer that must be refused with this kind.
pub(in crate::testkit) fn refused<T: Debug>(answer: Result<T>, kind: ErrorKind) -> CaseResult<Error> {
    match answer {
        Err(error) if error.is(kind) => Ok(error),
        Err(error) => Err(Failure(format!(
            "expected {kind:?}, got {:?}: {error}",
            error.kind()
        ))),
        Ok(value) => Err(Failure(format!("expected {kind:?}, was accepted: {value:?}"))),
    }
}

/// A `Conflict` that tells this version.
pub(super) fn conflict<T: Debug>(answer: Result<T>, found: u64) -> CaseResult {
    let error = refused(answer, ErrorKind::Conflict)?;
    equal(&error.found_version(), &Some(found), &"the version found")
}

/// What must be there.
pub(super) fn present<T>(value: Option<T>, what: &str) -> CaseResult<T> {
    value.ok_or_else(|| Failure(format!("{what} is absent")))
}

/// What must not be there.
pub(super) fn absent<T: Debug>(value: &Option<T>, what: &str) -> CaseResult {
    match value {
        None => Ok(()),
        Some(value) => Err(Failure(format!("{what} is there: {value:?}"))),
    }
}
