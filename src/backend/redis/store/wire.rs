//! What all parts of the store share: the client, the scripts, the names of the keys, the epoch.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
#[cfg(feature = "testkit")]
use std::time::Duration;

use bytes::Bytes;

use super::keys::Keys;
use super::record::bytes;
use super::scripts::Programs;
use crate::backend::redis::client::Call;
use crate::backend::redis::client::Failed;
use crate::backend::redis::client::Reply;
use crate::backend::redis::client::RespClient;
use crate::backend::redis::scripts::Program;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;

/// The way to the server.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) client: Box<dyn RespClient>,
    pub(super) programs: Programs,
    pub(super) keys: Keys,
    /// How far tests have moved the clock of this store, in microseconds.
    shift: AtomicI64,
    epoch: AtomicI64,
    closed: AtomicBool,
}

impl Wire {
    pub(super) fn new(client: Box<dyn RespClient>, keys: Keys) -> Self {
        Self {
            client,
            programs: Programs::new(),
            keys,
            shift: AtomicI64::new(0),
            epoch: AtomicI64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Runs a script that changes nothing, or may do so twice.
    ///
    /// # Errors
    /// - `Unavailable` once the store is closed, and while the server cannot be reached.
    /// - `Timeout` when it does not answer in time.
    pub(super) async fn ask(
        &self,
        program: &Program,
        (keys, words): (Vec<String>, Vec<String>),
        deadline: Deadline,
    ) -> Result<Reply> {
        self.check_open()?;
        let call = Call {
            keys,
            arguments: self.arguments(words),
        };
        let answer = deadline.bound(self.client.decide(program, call)).await;
        answer.ok_or_else(late)?.map_err(Failed::into_error)
    }

    /// The shift of the clock, which every script is told first, and these words.
    pub(super) fn arguments(&self, words: Vec<String>) -> Vec<Bytes> {
        let shift = bytes(self.shift().to_string());
        std::iter::once(shift)
            .chain(words.into_iter().map(bytes))
            .collect()
    }

    pub(super) fn shift(&self) -> i64 {
        self.shift.load(Ordering::Relaxed)
    }

    #[cfg(feature = "testkit")]
    pub(super) fn move_clock(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.shift.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Learns the epoch that the server is in. Answers may overtake each other; an epoch is never lowered.
    pub(super) fn saw(&self, epoch: i64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    /// What was made in one epoch is used in another.
    pub(super) fn restored(&self, made: i64, found: i64) -> Error {
        self.saw(found);
        Error::new(
            ErrorKind::Conflict,
            format!(
                "the store was restored since (epoch {made}, now {found}): read again what this rests on"
            ),
        )
    }

    /// One round trip to the server that has the carts.
    pub(super) async fn ping(&self, deadline: Deadline) -> Result<()> {
        let ask = (vec![self.keys.epoch(), self.keys.changes()], Vec::new());
        self.ask(&self.programs.tail, ask, deadline).await.map(drop)
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, "the store was closed"));
        }
        Ok(())
    }

    /// Refuses whatever comes from now on; whether it did so before.
    pub(super) fn shut(&self) -> bool {
        self.closed.swap(true, Ordering::AcqRel)
    }
}

pub(super) fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the Redis server did not answer in time")
}
