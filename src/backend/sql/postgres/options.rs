//! How to open a shop on PostgreSQL.

use std::time::Duration;

use crate::spi::store::Migrate;

/// How to open a shop on PostgreSQL. `Debug` shows neither user nor password.
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    pub(super) url: String,
    pub(super) replica: Option<String>,
    pub(super) direct: Option<String>,
    pub(super) pooled: bool,
    /// The schema of the shop; the first of the role's search path unless told otherwise.
    pub schema: Option<String>,
    /// What to do about the tables.
    pub migrate: Migrate,
    /// Connections for reads; 10 unless told otherwise.
    pub readers: u32,
    /// How long one statement may take on the server; 5 s unless told otherwise. A write whose reply takes longer is
    /// looked for on a fresh connection.
    pub statement_timeout: Duration,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("migrate", &self.migrate)
            .field("readers", &self.readers)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// Opens the database at `url`, as in `postgres://user:password@host/database`.
    ///
    /// - Unless the address says otherwise (`sslmode=`), TLS is used where the server offers it. Over a network use
    ///   `sslmode=verify-full` with `sslrootcert=`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            replica: None,
            direct: None,
            pooled: false,
            schema: None,
            migrate: Migrate::Create,
            readers: 10,
            statement_timeout: Duration::from_secs(5),
        }
    }

    /// The schema of the shop, one of lower-case letters, digits and underscores; it is created with the tables.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// What to do about the tables.
    #[must_use]
    pub fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connections for reads.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers;
        self
    }

    /// How long one statement may take on the server.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// A replica of the same server, from which reads may come that tolerate a bounded age: see
    /// [`Stockroom::stale_up_to`](crate::Stockroom::stale_up_to).
    ///
    /// - The shop opens and works while it is down.
    /// - It is reached without a pooler in between, with as many connections as [`readers`](Self::readers).
    /// - Streaming replication is needed: a storage-level replica, as Amazon Aurora has them, is never used.
    #[must_use]
    pub fn replica(mut self, url: impl Into<String>) -> Self {
        self.replica = Some(url.into());
        self
    }

    /// The address is that of a pooler that shares sessions between transactions, such as RDS Proxy, or PgBouncer in
    /// transaction mode.
    ///
    /// - No setting is made for a session and no statement has a name; every read and every commit is a transaction of
    ///   its own, which costs four round trips instead of one. Give the committer a [`direct`](Self::direct) address.
    /// - PgBouncer must be told `ignore_startup_parameters = extra_float_digits`.
    #[must_use]
    pub fn proxy(mut self) -> Self {
        self.pooled = true;
        self
    }

    /// The server's own address beside a pooler's: writes and migrations take it.
    ///
    /// - Advised with [`proxy`](Self::proxy): a committer needs one session and keeps it busy, so that there is nothing to
    ///   share, and with a session of its own a batch is one round trip of a prepared statement.
    #[must_use]
    pub fn direct(mut self, url: impl Into<String>) -> Self {
        self.direct = Some(url.into());
        self
    }
}
