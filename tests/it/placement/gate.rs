//! A store of carts in front of which a gate stands: what closes a cart can be kept out, or lose its answer.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::CommitStatus;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Result;
use stockroom::resilience::Deadline;
use stockroom::spi::changes::ChangeSource;
use stockroom::spi::changes::Coordination;
use stockroom::spi::store::Capability;
use stockroom::spi::store::Committed;
use stockroom::spi::store::Readers;
use stockroom::spi::store::Store;
use stockroom::spi::store::WriteSet;

use super::Site;
use crate::support::until;

/// What the gate does with commits that close a cart; all others pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Open,
    /// The store cannot be reached.
    Shut,
    /// They are done, and nobody learns of it.
    LosesReplies,
    /// They wait until the gate is opened.
    Holds,
}

#[derive(Debug)]
pub(super) struct Gate {
    inner: Arc<dyn Store>,
    /// Its files live as long as it does.
    _site: Site,
    mood: tokio::sync::watch::Sender<Mood>,
    seen: Mutex<Seen>,
}

/// Commits that close a cart.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    came: usize,
    passed: usize,
    left: usize,
}

/// A commit, for as long as it is under way.
struct UnderWay<'a>(&'a Gate);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.seen.lock().unwrap().left += 1;
    }
}

impl Gate {
    pub(super) fn new(inner: Arc<dyn Store>, site: Site) -> Self {
        Self {
            inner,
            _site: site,
            mood: tokio::sync::watch::Sender::new(Mood::Open),
            seen: Mutex::default(),
        }
    }

    pub(super) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Commits that came to close a cart.
    pub(super) fn came(&self) -> usize {
        self.seen.lock().unwrap().came
    }

    /// Commits that closed a cart, once none is under way.
    pub(super) async fn passed(&self) -> usize {
        let seen = || *self.seen.lock().unwrap();
        until("no cart is being closed", async || seen().came == seen().left).await;
        seen().passed
    }

    async fn close_cart(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        self.seen.lock().unwrap().came += 1;
        let _under_way = UnderWay(self);
        let mut mood = self.mood.subscribe();
        let now = *mood.wait_for(|mood| *mood != Mood::Holds).await.unwrap();
        if now == Mood::Shut {
            return Err(Error::new(ErrorKind::Unavailable, "the gate is shut"));
        }
        let committed = self.inner.commit(set, deadline).await?;
        self.seen.lock().unwrap().passed += 1;
        if now == Mood::LosesReplies {
            return Err(Error::new(ErrorKind::OutcomeUnknown, "the reply was lost"));
        }
        Ok(committed)
    }
}

#[async_trait]
impl Store for Gate {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn readers(&self) -> &Readers {
        self.inner.readers()
    }

    fn tolerant(&self, bound: Duration) -> Option<Readers> {
        self.inner.tolerant(bound)
    }

    fn epoch(&self) -> i64 {
        self.inner.epoch()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeSource>> {
        self.inner.changes()
    }

    fn coordination(&self) -> Option<Arc<dyn Coordination>> {
        self.inner.coordination()
    }

    async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let closes = set.events.iter().any(|event| event.name == "cart.ordered");
        if closes {
            return self.close_cart(set, deadline).await;
        }
        self.inner.commit(set, deadline).await
    }

    fn commits(&self) -> CommitStatus {
        self.inner.commits()
    }

    async fn after_restore(&self, deadline: Deadline) -> Result<i64> {
        self.inner.after_restore(deadline).await
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.inner.ping(deadline).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
