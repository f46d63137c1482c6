//! Where the carts lie, and how much of the feed is kept.

use crate::backend::redis::RedisOptions;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// Changes that the feed keeps unless told otherwise: some 30 MB.
const FEED_LENGTH: u64 = 250_000;

/// What a [`RedisStore`](super::RedisStore) is opened with.
///
/// - The connection is a [`RedisOptions`], with its addresses; what it says of channel and values is for caches alone.
///
/// ```
/// use stockroom::RedisStoreOptions;
///
/// let options = RedisStoreOptions::new("rediss://app:secret@carts.internal:6379").prefix("shop-eu");
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone, Debug)]
pub struct RedisStoreOptions {
    pub(super) connection: RedisOptions,
    pub(super) prefix: String,
    pub(super) feed_length: u64,
}

impl RedisStoreOptions {
    /// The defaults for this connection.
    pub fn new(connection: impl Into<RedisOptions>) -> Self {
        Self {
            connection: connection.into(),
            prefix: "stockroom".to_owned(),
            feed_length: FEED_LENGTH,
        }
    }

    /// What the keys begin with; `stockroom` unless told otherwise. Shops that share a server have one each.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many changes the feed keeps at least; 250,000 unless told otherwise, one or more.
    ///
    /// - A sink that stays behind by more begins anew.
    #[must_use]
    pub fn feed_length(mut self, changes: u64) -> Self {
        self.feed_length = changes.max(1);
        self
    }

    /// Options from an address: one of [`RedisOptions`], with `?prefix=PREFIX` where that is not `stockroom`.
    ///
    /// # Errors
    /// `Config` for a prefix that is named without a value; the address is not repeated.
    pub fn from_url(url: &str) -> Result<Self> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let named = |part: &&str| part.split('=').next() == Some("prefix");
        let (prefixes, others): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|part| !part.is_empty()).partition(named);
        let connection = match others.as_slice() {
            [] => RedisOptions::new(address),
            _ => RedisOptions::new(format!("{address}?{}", others.join("&"))),
        };
        let options = Self::new(connection);
        match prefixes.as_slice() {
            [] => Ok(options),
            [one] => match one.split_once('=') {
                Some((_, prefix)) if !prefix.is_empty() => Ok(options.prefix(prefix)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

impl From<&str> for RedisStoreOptions {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

fn wrong() -> Error {
    Error::new(
        ErrorKind::Config,
        "the address names its prefix of keys once, as in redis://HOST:PORT?prefix=shop-eu",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_name_the_prefix() {
        let options =
            RedisStoreOptions::from_url("redis://a:s3cret@host:1/2?node=x:2&prefix=eu&node=y:3").unwrap();
        assert_eq!(options.prefix, "eu");
        assert_eq!(
            options.connection.url(),
            "redis://a:s3cret@host:1/2?node=x:2&node=y:3"
        );
        assert!(!format!("{options:?}").contains("s3cret"));
        let plain = RedisStoreOptions::from_url("redis://host").unwrap();
        assert_eq!(
            (plain.prefix.as_str(), plain.connection.url()),
            ("stockroom", "redis://host")
        );
    }

    #[test]
    fn a_prefix_that_says_nothing_is_refused() {
        for wrong in [
            "redis://s3cret?prefix",
            "redis://s3cret?prefix=",
            "redis://s3cret?prefix=a&prefix=b",
        ] {
            let error = RedisStoreOptions::from_url(wrong).unwrap_err();
            assert!(error.is(ErrorKind::Config), "{wrong}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{wrong}");
        }
    }
}
