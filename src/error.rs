//! The one error of the crate: what kind it is, what was being done to what, and whether to try again.

mod kind;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

pub use kind::{ErrorKind, Retry, Shortage};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// How many shortages a line of [`Error`]'s `Display` spells out; the rest are counted.
const SHORTAGES_SHOWN: usize = 3;

/// The one error of the crate.
///
/// - `Display` is one lower-case line for a person and does not repeat the source.
/// - Programs decide by [`kind`](Self::kind) and [`retry_class`](Self::retry_class), never by the text.
/// - A clone shares the source, so that one failure can answer every caller of a batch.
///
/// ```
/// use stockroom::{Error, ErrorKind};
///
/// let error = Error::conflict("product 7", Some(4)).operation("products.update");
/// assert!(error.is(ErrorKind::Conflict));
/// assert_eq!(error.found_version(), Some(4));
/// assert_eq!(error.to_string(), "products.update: conflict: product 7 is at version 4");
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    operation: Option<&'static str>,
    subject: Option<String>,
    field: Option<&'static str>,
    found: Option<u64>,
    existing: Option<Uuid>,
    shortages: Vec<Shortage>,
    retry: Retry,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind, with the retry class that is usual for it.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            operation: None,
            subject: None,
            field: None,
            found: None,
            existing: None,
            shortages: Vec::new(),
            retry: kind.default_retry(),
            source: None,
        }))
    }

    /// A value that breaks a rule.
    ///
    /// - The message says what is allowed and never repeats the value.
    pub fn invalid(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, message).field(field)
    }

    /// Something that does not exist, such as `"product 018f…"`.
    pub fn not_found(entity: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{entity} does not exist")).concerning(entity)
    }

    /// Something that is not at the version that was expected, with the version found if it is known.
    pub fn conflict(entity: impl fmt::Display, found: Option<u64>) -> Self {
        let message = match found {
            Some(version) => format!("{entity} is at version {version}"),
            None => format!("{entity} has changed"),
        };
        let mut error = Self::new(ErrorKind::Conflict, message).concerning(entity);
        error.0.found = found;
        error
    }

    /// Names the call, such as `"products.update"`; the outermost name wins.
    #[must_use]
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Names what the call was about, such as `"order 018f…"`.
    #[must_use]
    pub fn concerning(mut self, subject: impl fmt::Display) -> Self {
        self.0.subject = Some(subject.to_string());
        self
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.0.field = Some(field);
        self
    }

    /// Tells the version that was found.
    #[must_use]
    pub fn found(mut self, version: u64) -> Self {
        self.0.found = Some(version);
        self
    }

    /// Tells which stock is short.
    #[must_use]
    pub fn short_of(mut self, shortages: Vec<Shortage>) -> Self {
        self.0.shortages = shortages;
        self
    }

    /// Replaces the retry class.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Keeps the error that led to this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Tells who has the unique key that was wanted.
    #[must_use]
    pub fn existing(mut self, id: Uuid) -> Self {
        self.0.existing = Some(id);
        self
    }

    /// The same finding about data that was read from a store: a rule is broken there, not in the request.
    ///
    /// - `Sku::new(text).map_err(Error::corrupted)` is how a backend reads a column.
    #[must_use]
    pub fn corrupted(mut self) -> Self {
        self.0.kind = ErrorKind::Corrupt;
        self.0.retry = Retry::Never;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: ErrorKind) -> bool {
        self.0.kind == kind
    }

    /// The message alone, without operation, subject and kind.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The call that failed.
    pub fn operation_name(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// What the call was about.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// The field that is wrong.
    pub fn invalid_field(&self) -> Option<&'static str> {
        self.0.field
    }

    /// The version that was found instead of the one expected.
    pub fn found_version(&self) -> Option<u64> {
        self.0.found
    }

    /// The stock that is short, one entry a line.
    pub fn shortages(&self) -> &[Shortage] {
        &self.0.shortages
    }

    /// Whether the same call may be made again.
    pub fn retry_class(&self) -> Retry {
        self.0.retry
    }

    /// Who has the unique key that was wanted.
    pub fn existing_id(&self) -> Option<Uuid> {
        self.0.existing
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(operation) = inner.operation {
            write!(f, "{operation}: ")?;
        }
        write!(f, "{}: ", inner.kind)?;
        if let Some(subject) = &inner.subject
            && !inner.message.starts_with(subject.as_str())
        {
            write!(f, "{subject}: ")?;
        }
        if let Some(field) = inner.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&inner.message)?;
        write_shortages(f, &inner.shortages)
    }
}

fn write_shortages(f: &mut fmt::Formatter<'_>, shortages: &[Shortage]) -> fmt::Result {
    for (index, shortage) in shortages.iter().take(SHORTAGES_SHOWN).enumerate() {
        write!(f, "{}{shortage}", if index == 0 { " (" } else { "; " })?;
    }
    match shortages.len() {
        0 => Ok(()),
        count if count > SHORTAGES_SHOWN => write!(f, "; {} more)", count - SHORTAGES_SHOWN),
        _ => f.write_str(")"),
    }
}

impl fmt::Debug for Error {
    /// Only what is known, and of the sources only their texts: a driver's `Debug` may print a connection string.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut out = f.debug_struct("Error");
        out.field("kind", &inner.kind).field("message", &inner.message);
        if let Some(operation) = inner.operation {
            out.field("operation", &operation);
        }
        if let Some(subject) = &inner.subject {
            out.field("subject", subject);
        }
        if let Some(field) = inner.field {
            out.field("field", &field);
        }
        if let Some(found) = inner.found {
            out.field("found", &found);
        }
        if let Some(existing) = inner.existing {
            out.field("existing", &existing);
        }
        if !inner.shortages.is_empty() {
            out.field("shortages", &inner.shortages);
        }
        out.field("retry", &inner.retry);
        let sources = self.source_texts();
        if !sources.is_empty() {
            out.field("sources", &sources);
        }
        out.finish()
    }
}

impl Error {
    fn source_texts(&self) -> Vec<String> {
        let first = std::error::Error::source(self);
        std::iter::successors(first, |source| source.source())
            .map(ToString::to_string)
            .collect()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Lets a parameter be `impl TryInto<Sku, Error: Into<Error>>` and take a `Sku` as well as a string.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests;
