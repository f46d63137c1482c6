//! The connections for reads: as many as there are permits, the last used first.
//!
//! Not the driver's pool, for three reasons, each measured or read in its source (sqlx 0.9.0): it pings a connection each
//! time one is given back, a round trip that a dead peer never answers while the permit is kept (launchbadge/sqlx#4349);
//! it takes back a connection whose statement was cancelled (#4385); and it costs more than the keyed read itself.
//!
//! Here a connection comes back only when its use ended well. Whatever else happens to it, it is dropped, and its permit is
//! free at once.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;

use super::line::Closed;
use super::line::Generation;
use super::line::Line;
use super::session::Session;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// How long a connection may lie idle before it is asked whether it still answers.
const IDLE: Duration = Duration::from_secs(30);
/// How long the answer may take.
const PING: Duration = Duration::from_millis(500);
/// How long a connection may lie idle before it is let go.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);
/// After this long a connection is opened anew, so that a change of the server's address is followed.
const LIFE: Duration = Duration::from_secs(30 * 60);

/// Connections to one server.
pub(super) struct Pool {
    line: Line,
    permits: Semaphore,
    idle: Mutex<Vec<Kept>>,
}

struct Kept {
    session: Session,
    born: Instant,
    used: Instant,
}

/// A connection in use. Dropped, it is closed; [`Borrowed::give_back`] keeps it.
pub(super) struct Borrowed<'a> {
    pub(super) session: Session,
    born: Instant,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options contain the password.
        f.debug_struct("Pool")
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool that opens its connections when they are needed.
    pub(super) fn new(line: Line, size: u32) -> Self {
        let size = usize::try_from(size).unwrap_or(1);
        Self {
            line,
            permits: Semaphore::new(size),
            idle: Mutex::new(Vec::with_capacity(size)),
        }
    }

    /// Waits for a permit, then takes a connection that lies idle or opens one. The caller brings the deadline.
    pub(super) async fn borrow(&self) -> Result<Borrowed<'_>, Closed> {
        let closed = |_| Closed::Failed(Error::new(ErrorKind::Unavailable, "the store is closed"));
        let permit = self.permits.acquire().await.map_err(closed)?;
        while let Some(kept) = self.pop() {
            if let Some(session) = still_good(kept.session, kept.used).await {
                return Ok(Borrowed {
                    session,
                    born: kept.born,
                    pool: self,
                    _permit: permit,
                });
            }
        }
        let session = self.line.open().await?;
        Ok(Borrowed {
            session,
            born: Instant::now(),
            pool: self,
            _permit: permit,
        })
    }

    fn pop(&self) -> Option<Kept> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| {
            kept.used.elapsed() < FORGOTTEN && kept.born.elapsed() < LIFE && kept.session.is_sound()
        });
        idle.pop()
    }

    /// Which of its sessions are up to date.
    pub(super) fn generation(&self) -> &Generation {
        self.line.generation()
    }

    /// Refuses further use and closes what lies idle; what is in use is closed when it ends.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for kept in idle {
            // The server notices a closed socket as well.
            let _ = tokio::time::timeout(PING, kept.session.close()).await;
        }
    }
}

async fn still_good(mut session: Session, used: Instant) -> Option<Session> {
    if used.elapsed() < IDLE {
        return Some(session);
    }
    matches!(tokio::time::timeout(PING, session.ping()).await, Ok(Ok(()))).then_some(session)
}

impl Borrowed<'_> {
    /// Keeps the connection for others, if its last reply was read to the end and it is up to date.
    pub(super) fn give_back(self) {
        let Self {
            session,
            born,
            pool,
            _permit,
        } = self;
        if session.is_sound() && !pool.permits.is_closed() {
            let kept = Kept {
                session,
                born,
                used: Instant::now(),
            };
            pool.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(kept);
        }
    }
}
