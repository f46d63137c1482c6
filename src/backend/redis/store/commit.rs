//! The way of a write set to the server: one script, in a task that its caller cannot drop, until the outcome is known.
//!
//! - Every attempt has an id of its own. The script leaves its answer under this id, beside what it writes.
//! - An answer that is lost is looked for there. Where there is none a void takes its place, so that the attempt can never be
//!   applied, however late the server comes to it; only then is the set sent again.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::answer;
use super::answer::Answer;
use super::message::Message;
use super::message::RECORD_LIFE;
use super::record::text;
use super::wire::Wire;
use crate::backend::gauge::Gauge;
use crate::backend::gauge::QUEUE;
use crate::backend::redis::client::Call;
use crate::backend::redis::client::Failed;
use crate::backend::redis::client::Reply;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Backoff;
use crate::resilience::Deadline;
use crate::spi::store::CommitStatus;
use crate::spi::store::Committed;
use crate::spi::store::WriteSet;

/// How long after the caller's deadline the outcome is still looked for.
const AFTERMATH: Duration = Duration::from_secs(30);

/// Half of the time that the server knows it: an answer that is not found after that says nothing.
const KNOWN: Duration = Duration::from_millis(RECORD_LIFE / 2);

/// How long a void stays in the place of an attempt, in milliseconds: longer than a connection can hold on to what was sent.
const VOID_LIFE: u64 = 3_600_000;

/// The callers' side.
#[derive(Debug)]
pub(super) struct Committer {
    wire: Arc<Wire>,
    gauge: Arc<Gauge>,
    /// One for each set that is under way.
    places: Arc<Semaphore>,
    feed_length: u64,
}

/// What became of an attempt.
enum Outcome {
    Applied(String),
    Voided,
    Unknown,
}

impl Committer {
    pub(super) fn new(wire: Arc<Wire>, feed_length: u64) -> Self {
        Self {
            wire,
            gauge: Arc::new(Gauge::default()),
            places: Arc::new(Semaphore::new(QUEUE)),
            feed_length,
        }
    }

    pub(super) async fn commit(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let message = Message::new(set, &self.wire.keys, (self.wire.shift(), self.feed_length))?;
        if deadline.is_over() {
            return Err(not_sent());
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        self.wire.check_open()?;
        let place = place.map_err(|_| too_many())?;
        let mut ticket = self.gauge.enter().ok_or_else(too_many)?;
        let desk = Desk {
            wire: Arc::clone(&self.wire),
            gauge: Arc::clone(&self.gauge),
        };
        // A caller that goes away changes nothing.
        let task = tokio::spawn(async move {
            ticket.sent();
            let answer = desk.settle(&message, deadline).await;
            drop((ticket, place));
            answer
        });
        match deadline.bound(task).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) | None => Err(unknown()),
        }
    }

    pub(super) fn status(&self) -> CommitStatus {
        self.gauge.status()
    }

    /// Waits for what is under way; nothing new comes any more.
    pub(super) async fn finish(&self) {
        let all = u32::try_from(QUEUE).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }
}

/// Brings one set to its end.
struct Desk {
    wire: Arc<Wire>,
    gauge: Arc<Gauge>,
}

impl Desk {
    async fn settle(&self, message: &Message, deadline: Deadline) -> Result<Committed> {
        self.gauge.batch(1);
        let mut attempt = 0;
        loop {
            if deadline.is_over() {
                return Err(not_sent());
            }
            if let Some(answer) = self.attempt(message, deadline).await {
                return answer;
            }
            tokio::time::sleep(Backoff::default().next(attempt)).await;
            attempt += 1;
        }
    }

    /// Sends the set once; `None` when that attempt will never be applied.
    async fn attempt(&self, message: &Message, deadline: Deadline) -> Option<Result<Committed>> {
        let (commit, sent) = (Uuid::now_v7(), Instant::now());
        self.gauge.round();
        let call = message.call(&self.wire.keys, commit);
        let reply = self.wire.client.decide(&self.wire.programs.commit, call).await;
        match reply {
            Ok(reply) => match answer::read(&reply, message) {
                Ok(Answer::Done(committed)) => Some(Ok(committed)),
                Ok(Answer::Refused(error)) => Some(Err(error)),
                Ok(Answer::Restored(found)) => Some(Err(self.wire.restored(message.set.epoch, found))),
                Ok(Answer::Void) => None,
                Err(error) => Some(Err(error)),
            },
            Err(Failed::Refused(error)) => Some(Err(error)),
            Err(Failed::Doubtful(error)) => match self.resolve(commit, sent, deadline).await {
                Outcome::Applied(record) => Some(answer::done(&record, message)),
                Outcome::Voided => None,
                Outcome::Unknown => Some(Err(unknown().caused_by(error))),
            },
        }
    }

    /// Finds out what became of an attempt.
    async fn resolve(&self, commit: Uuid, sent: Instant, deadline: Deadline) -> Outcome {
        let until = Ord::min(deadline.instant() + AFTERMATH, sent + KNOWN);
        let mut attempt = 0;
        while Instant::now() < until {
            let call = Call {
                keys: vec![self.wire.keys.commit(commit)],
                arguments: self.wire.arguments(vec![VOID_LIFE.to_string()]),
            };
            let reply = self.wire.client.decide(&self.wire.programs.void, call).await;
            // Asked in time and answered late, it may have found nothing because what it looked for is forgotten.
            if Instant::now() < sent + KNOWN
                && let Ok(reply) = reply
                && let Some(outcome) = outcome(&reply)
            {
                return outcome;
            }
            tokio::time::sleep(Backoff::default().next(attempt)).await;
            attempt += 1;
        }
        tracing::warn!("the outcome of a commit could not be found out");
        Outcome::Unknown
    }
}

fn outcome(reply: &Reply) -> Option<Outcome> {
    let [code, rest @ ..] = reply.list().ok()? else {
        return None;
    };
    match (text(code).ok()?, rest) {
        ("done", [record]) => Some(Outcome::Applied(text(record).ok()?.to_owned())),
        ("void", []) => Some(Outcome::Voided),
        _ => None,
    }
}

fn too_many() -> Error {
    Error::new(
        ErrorKind::RateLimited,
        format!("{QUEUE} writes are under way: try again later"),
    )
}

fn not_sent() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline ended, and nothing was written")
}

fn unknown() -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        "the deadline ended before the outcome was known",
    )
}

#[cfg(test)]
mod tests;
