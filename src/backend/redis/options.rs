//! Where the server is, and how it is spoken to.

use std::fmt;

/// Payloads up to this length unless told otherwise: longer ones hold up every other answer on their connection.
const VALUE_LIMIT: usize = 1024 * 1024;

/// Connections for commands unless told otherwise; each carries any number of commands at once.
const CONNECTIONS: usize = 2;

/// What a [`RedisCache`](super::RedisCache) is connected with.
///
/// - The address is `redis://`, `rediss://` (TLS, verified by the system's roots), `redis-cluster://`, `rediss-cluster://` or
///   `redis-sentinel://`, with user and password where the server wants them.
///
/// ```
/// use stockroom::RedisOptions;
///
/// let options = RedisOptions::new("rediss://app:secret@cache.internal:6379").channel("shop-eu");
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct RedisOptions {
    url: String,
    channel: String,
    connections: usize,
    value_limit: usize,
    authority: Option<Vec<u8>>,
}

impl RedisOptions {
    /// The defaults for this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            channel: "stockroom".to_owned(),
            connections: CONNECTIONS,
            value_limit: VALUE_LIMIT,
            authority: None,
        }
    }

    /// The channel that invalidations are told on; `stockroom` unless told otherwise. All processes of a shop use one.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = channel.into();
        self
    }

    /// Connections for commands; 2 unless told otherwise, at least one.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The longest payload that is stored, in bytes; 1 MiB unless told otherwise.
    #[must_use]
    pub fn value_limit(mut self, bytes: usize) -> Self {
        self.value_limit = bytes;
        self
    }

    /// Whose certificates are believed with `rediss://`, in PEM: an authority of one's own instead of the system's.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    pub(super) fn believed(&self) -> Option<&[u8]> {
        self.authority.as_deref()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn channel_name(&self) -> &str {
        &self.channel
    }

    pub(super) const fn connection_count(&self) -> usize {
        self.connections
    }

    pub(super) const fn longest(&self) -> usize {
        self.value_limit
    }
}

/// An address may contain a password.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("channel", &self.channel)
            .field("connections", &self.connections)
            .field("value_limit", &self.value_limit)
            .finish_non_exhaustive()
    }
}

impl From<&str> for RedisOptions {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}
