//! Brings one page of changes to a sink: what it takes, what it will never take, and when it cannot work.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::policy::SinkPolicy;
use super::status::Counters;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Retry;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeSink;
use crate::spi::changes::Delivery;
use crate::spi::changes::PartitionId;

/// Changes of one partition on their way to one sink.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) changes: Arc<[Change]>,
    pub(super) partition: PartitionId,
    pub(super) fence: i64,
}

/// A change that the sink will not take.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its place in the parcel.
    pub(super) index: usize,
    pub(super) reason: String,
    pub(super) attempts: u32,
}

/// Delivers all of a parcel, in order; gives the changes that the sink will not take.
///
/// - Waits for a sink that cannot work for as long as it takes: whoever wants to stop drops the future.
/// - A delivery that is refused goes again in halves, so that what the sink takes is not held back by what it refuses; the
///   first half may have been taken already.
pub(super) async fn deliver(
    sink: &Arc<dyn ChangeSink>,
    policy: &SinkPolicy,
    parcel: &Arc<Parcel>,
    counters: &Counters,
) -> Vec<Refused> {
    let mut refused = Vec::new();
    // The last range is the next to go.
    let mut ranges = Vec::new();
    ranges.push(0..parcel.changes.len());
    let (mut pauses, mut attempts) = (0, 0);
    while let Some(range) = ranges.pop() {
        let error = match call(sink, policy.timeout, parcel, range.clone()).await {
            Ok(()) => {
                (pauses, attempts) = (0, 0);
                counters.works();
                continue;
            }
            Err(Failure::Paused(error)) => {
                counters.fails(&error);
                ranges.push(range);
                tokio::time::sleep(policy.pauses.next(pauses)).await;
                pauses += 1;
                continue;
            }
            Err(Failure::Refused(error)) => error,
        };
        counters.fails(&error);
        if range.len() > 1 {
            let middle = range.start + range.len() / 2;
            ranges.push(middle..range.end);
            ranges.push(range.start..middle);
            continue;
        }
        attempts += 1;
        if attempts < policy.attempts {
            ranges.push(range);
            tokio::time::sleep(policy.pauses.next(attempts)).await;
            continue;
        }
        tracing::warn!(kind = ?error.kind(), "a change was given up: it is a dead letter");
        refused.push(Refused {
            index: range.start,
            reason: error.to_string(),
            attempts,
        });
        attempts = 0;
    }
    refused
}

/// One change, once: whether the sink takes it.
pub(super) async fn once(sink: &Arc<dyn ChangeSink>, timeout: Duration, parcel: &Arc<Parcel>) -> Result<()> {
    let all = 0..parcel.changes.len();
    call(sink, timeout, parcel, all)
        .await
        .map_err(|(Failure::Paused(error) | Failure::Refused(error))| error)
}

enum Failure {
    /// The sink cannot work now.
    Paused(Error),
    /// The sink will not take something of this.
    Refused(Error),
}

/// A task that ends with whoever waits for it.
struct Owned<T>(JoinHandle<T>);

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// In a task of its own, so that a panic is the sink's alone.
async fn call(
    sink: &Arc<dyn ChangeSink>,
    timeout: Duration,
    parcel: &Arc<Parcel>,
    range: Range<usize>,
) -> Result<(), Failure> {
    let deadline = Deadline::within(timeout);
    let (sink, parcel) = (Arc::clone(sink), Arc::clone(parcel));
    let mut task = Owned(tokio::spawn(async move {
        let changes = parcel.changes.get(range).unwrap_or_default();
        let delivery = Delivery::new(changes, &parcel.partition, parcel.fence);
        sink.deliver(delivery, deadline).await
    }));
    match deadline.bound(&mut task.0).await {
        None => Err(Failure::Refused(Error::new(
            ErrorKind::Timeout,
            "the sink did not answer in time",
        ))),
        Some(Err(_)) => Err(Failure::Refused(Error::new(
            ErrorKind::Internal,
            "the sink panicked",
        ))),
        Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) if error.retry_class() == Retry::Safe => Err(Failure::Paused(error)),
        Some(Ok(Err(error))) => Err(Failure::Refused(error)),
    }
}
