//! How a sink is fed.

use std::time::Duration;

use crate::resilience::Backoff;

/// Where a sink begins that has no checkpoint yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// With the oldest change that is kept: for what mirrors the shop, such as a search index.
    #[default]
    Oldest,
    /// With what commits from now on: for what tells people, such as messages.
    Now,
}

/// How a sink is fed; the defaults suit a sink that writes to a server nearby.
///
/// ```
/// use std::time::Duration;
/// use stockroom::{SinkPolicy, StartAt};
///
/// let policy = SinkPolicy::new().batch(100).timeout(Duration::from_secs(5)).start(StartAt::Now);
/// assert_eq!(policy.batch, 100);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SinkPolicy {
    /// Changes in one delivery at most; 500 unless told otherwise.
    pub batch: usize,
    /// How long one delivery may take; 30 s unless told otherwise.
    pub timeout: Duration,
    /// How often a change that the sink will not take is tried before it becomes a dead letter; 5 unless told otherwise.
    pub attempts: u32,
    /// Pauses between tries; from 0.1 s to 30 s unless told otherwise.
    pub pauses: Backoff,
    /// How long a process keeps the right to feed the sink without a sign of life; 15 s unless told otherwise. After a
    /// crash another one goes on within about this and a half.
    pub lease: Duration,
    /// How often the feed is asked for what other processes committed; 0.5 s unless told otherwise. What this process
    /// commits is delivered at once.
    pub poll: Duration,
    /// Where it begins without a checkpoint.
    pub start: StartAt,
}

impl Default for SinkPolicy {
    fn default() -> Self {
        Self {
            batch: 500,
            timeout: Duration::from_secs(30),
            attempts: 5,
            pauses: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(500),
            start: StartAt::Oldest,
        }
    }
}

impl SinkPolicy {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes in one delivery at most; at least one.
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch.max(1);
        self
    }

    /// How long one delivery may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a change is tried before it becomes a dead letter; at least once.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Pauses between tries.
    #[must_use]
    pub fn pauses(mut self, pauses: Backoff) -> Self {
        self.pauses = pauses;
        self
    }

    /// How long a process keeps the right to feed the sink without a sign of life.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often the feed is asked for what other processes committed.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Where the sink begins without a checkpoint.
    #[must_use]
    pub fn start(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }
}
