//! Which servers there are, and how they are spoken to.

/// What a server takes by default is 1 MiB with its own header and the key (memcached -I).
const VALUE_LIMIT: usize = 1024 * 1024 - 1024;

/// Connections to each server unless told otherwise: each carries one request at a time.
const CONNECTIONS: usize = 16;

/// What a [`MemcachedCache`](super::MemcachedCache) is connected with.
///
/// - Servers are `host:port`, all processes of a shop name the same ones; their order does not matter.
///
/// ```
/// use stockroom::MemcachedOptions;
///
/// let options = MemcachedOptions::new(["cache-1:11211", "cache-2:11211"]).connections(8);
/// ```
#[derive(Clone, Debug)]
pub struct MemcachedOptions {
    servers: Vec<String>,
    connections: usize,
    value_limit: usize,
}

impl MemcachedOptions {
    /// The defaults for these servers.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            connections: CONNECTIONS,
            value_limit: VALUE_LIMIT,
        }
    }

    /// Connections to each server at most; 16 unless told otherwise, at least one.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The longest payload that is stored, in bytes; 1 MiB less a little unless told otherwise. Raise it with the servers' own
    /// limit.
    #[must_use]
    pub fn value_limit(mut self, bytes: usize) -> Self {
        self.value_limit = bytes;
        self
    }

    pub(super) fn servers(&self) -> &[String] {
        &self.servers
    }

    pub(super) const fn connection_count(&self) -> usize {
        self.connections
    }

    pub(super) const fn longest(&self) -> usize {
        self.value_limit
    }
}

impl From<&str> for MemcachedOptions {
    fn from(server: &str) -> Self {
        Self::new([server])
    }
}
