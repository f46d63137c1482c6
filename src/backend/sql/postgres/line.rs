//! The way to a server: how its sessions are opened, which server is the right one, and when all that were opened to it are
//! out of date.
//!
//! An address leads elsewhere after a failover, while a session stays with the server that it was opened to. So whoever
//! notices the change turns the generation over, and no session of an older one is used again, by anybody.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgConnection;

use super::PostgresOptions;
use super::connect;
use super::error;
use super::session::Session;
use crate::backend::sql::committer::LOCK_WAIT;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Retry;

/// One round trip; a server in recovery is a replica, and some that are not take no writes either.
const ROLE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN 'replica' \
     WHEN current_setting('transaction_read_only') = 'on' THEN 'read-only' ELSE 'writer' END";

/// Which sessions are up to date, shared by everything that reaches the writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Generation(Arc<AtomicU64>);

impl Generation {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Ends the generation that something went wrong with. Late news of an older one changes nothing: else each of many
    /// dead sessions would end the live ones that took the place of those before.
    pub(super) fn turn_over(&self, of: u64) {
        if self
            .0
            .compare_exchange(of, of + 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            tracing::debug!("a session was lost: the others to this server are opened anew");
        }
    }
}

/// How the sessions of a line are used.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// A session is ours as long as it is open.
    Own,
    /// Behind a pooler a session is ours for one transaction, which begins with this message.
    Pooled(Arc<str>),
}

/// What the server must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Writer,
    Replica,
}

/// A way to open sessions.
#[derive(Clone)]
pub(super) struct Line {
    connect: PgConnectOptions,
    access: Access,
    role: Role,
    generation: Generation,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum Closed {
    /// A server answered and is not ready to be what it should be: it may be soon, or the address may lead elsewhere.
    NotYet(Error),
    Failed(Error),
}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::NotYet(error) | Closed::Failed(error) => error,
        }
    }
}

impl Line {
    /// To the writer, for the committer and for migrations: what holds a lock longer is put aside.
    pub(super) fn direct(options: &PostgresOptions, generation: Generation) -> Result<Self> {
        match (&options.direct, options.pooled) {
            (None, true) => Self::pooled(options, LOCK_WAIT, generation),
            (direct, _) => {
                let url = direct.as_ref().unwrap_or(&options.url);
                Self::own(url, options, LOCK_WAIT, generation)
            }
        }
    }

    /// To the writer, for reads.
    pub(super) fn shared(options: &PostgresOptions, generation: Generation) -> Result<Self> {
        if options.pooled {
            Self::pooled(options, connect::LOCK_TIMEOUT, generation)
        } else {
            Self::own(&options.url, options, connect::LOCK_TIMEOUT, generation)
        }
    }

    fn own(
        url: &str,
        options: &PostgresOptions,
        lock_wait: Duration,
        generation: Generation,
    ) -> Result<Self> {
        Ok(Self {
            connect: connect::own(url, options, lock_wait)?,
            access: Access::Own,
            role: Role::Writer,
            generation,
        })
    }

    fn pooled(options: &PostgresOptions, lock_wait: Duration, generation: Generation) -> Result<Self> {
        let begin = connect::begin(options, lock_wait)?;
        Ok(Self {
            connect: connect::plain(&options.url)?,
            access: Access::Pooled(Arc::from(begin.as_str())),
            role: Role::Writer,
            generation,
        })
    }

    /// To a replica. What its sessions meet says nothing about the writer's: it has a generation of its own.
    pub(super) fn replica(url: &str, options: &PostgresOptions) -> Result<Self> {
        Ok(Self {
            connect: connect::own(url, options, connect::LOCK_TIMEOUT)?,
            access: Access::Own,
            role: Role::Replica,
            generation: Generation::default(),
        })
    }

    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Opens a session and makes sure of the server. The address is looked up anew each time.
    pub(super) async fn open(&self) -> Result<Session, Closed> {
        // Read before: a turn-over while the session is being opened counts against it.
        let generation = self.generation.get();
        let opened = tokio::time::timeout(connect::CONNECT, async {
            let mut connection = connect::open(&self.connect).await.map_err(|error| {
                if error::is_starting(&error) {
                    Closed::NotYet(error::map(&error))
                } else {
                    Closed::Failed(connect::opening(&error))
                }
            })?;
            self.check(&mut connection).await?;
            Ok(connection)
        });
        match opened.await {
            Ok(connection) => Ok(Session::new(
                connection?,
                self.access.clone(),
                self.generation.clone(),
                generation,
            )),
            Err(_) => Err(Closed::Failed(connect::silent())),
        }
    }

    async fn check(&self, connection: &mut PgConnection) -> Result<(), Closed> {
        let rows = sqlx::raw_sql(ROLE).fetch_all(connection).await;
        let rows = rows.map_err(|error| Closed::Failed(error::map(&error)))?;
        let found: Option<String> = rows.first().and_then(|row| row.try_get(0).ok());
        let trouble = match (self.role, found.as_deref()) {
            (Role::Writer, Some("writer")) | (Role::Replica, Some("replica")) => return Ok(()),
            (Role::Writer, Some("replica")) => "the server is a replica: waiting for the new writer",
            (Role::Writer, _) => "the server takes no writes: waiting for one that does",
            (Role::Replica, _) => "the server is no replica",
        };
        Err(Closed::NotYet(
            Error::new(ErrorKind::Unavailable, trouble).retry(Retry::Safe),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Generation;

    #[test]
    fn late_news_of_an_older_generation_leaves_the_present_one() {
        let generation = Generation::default();
        let old = generation.get();
        generation.turn_over(old);
        let new = generation.get();
        assert_ne!(old, new);
        generation.turn_over(old);
        assert_eq!(generation.get(), new);
    }
}
