//! What went wrong, whether to try again, and what stock was short.

use std::fmt;

#[cfg(doc)]
use super::Error;

/// What went wrong, for a program to decide by.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was to be changed does not exist.
    NotFound,
    /// A unique key is taken; [`Error::existing_id`] tells by whom, if that is known.
    AlreadyExists,
    /// The state moved on, or does not allow this; [`Error::found_version`] tells the version seen.
    Conflict,
    /// Stock does not suffice; [`Error::shortages`] tells where.
    InsufficientStock,
    /// A value breaks a rule; [`Error::invalid_field`] names it.
    InvalidInput,
    /// The backend cannot do this at all.
    Unsupported,
    /// The request is past a limit of the backend.
    TooLarge,
    /// The deadline ended before anything was sent.
    Timeout,
    /// The backend could not be reached, or refused work for now.
    Unavailable,
    /// The deadline ended before it was known whether the change was made.
    OutcomeUnknown,
    /// The same request is being worked on by another caller.
    InFlight,
    /// An idempotency key was used before with another request.
    KeyReused,
    /// Too many requests.
    RateLimited,
    /// Who asks is not known.
    Unauthenticated,
    /// Who asks may not do this.
    PermissionDenied,
    /// Stored data breaks a rule that every write keeps.
    Corrupt,
    /// The configuration is wrong.
    Config,
    /// A defect of this crate.
    Internal,
}

impl ErrorKind {
    /// The kind in lower-case words, as it is shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Conflict => "conflict",
            Self::InsufficientStock => "insufficient stock",
            Self::InvalidInput => "invalid input",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too large",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome unknown",
            Self::InFlight => "in flight",
            Self::KeyReused => "key reused",
            Self::RateLimited => "rate limited",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission denied",
            Self::Corrupt => "corrupt",
            Self::Config => "configuration",
            Self::Internal => "internal",
        }
    }

    /// The retry class that an error of this kind has unless it is told another.
    pub(super) const fn default_retry(self) -> Retry {
        match self {
            Self::Conflict => Retry::Reread,
            Self::Timeout | Self::Unavailable | Self::RateLimited | Self::InFlight => Retry::Safe,
            Self::OutcomeUnknown => Retry::SameKey,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether, and how, the same call may be made again.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// Repeating the call gives the same answer.
    Never,
    /// Nothing was applied; the same call may be repeated.
    Safe,
    /// Read again, then decide.
    Reread,
    /// Repeat with the same idempotency key only.
    SameKey,
}

/// One line that stock did not suffice for.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Shortage {
    /// The SKU that is short.
    pub sku: String,
    /// The location it was wanted from, if one was named.
    pub location: Option<String>,
    /// How many were wanted.
    pub requested: i64,
    /// How many could be had when it was refused.
    pub available: i64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sku)?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {} requested, {} available", self.requested, self.available)
    }
}
