//! Follows the change feed where the shared tier tells nothing, or there is none: what other processes wrote is dropped here.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::watch;

use super::front::Front;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::cache::Follower;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// How often the feed is read.
const EVERY: Duration = Duration::from_millis(400);

/// How long a read may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Changes in one read.
const LIMIT: usize = 500;

/// Reads the end of the feed until told to stop.
pub(super) async fn follow(
    source: Arc<dyn ChangeSource>,
    front: Arc<Front>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let reading = read_on(&*source, &front);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            // It only ends with an error, or because partitions changed: the place is lost, and with it the news.
            _ = reading => front.doubt(),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn read_on(source: &dyn ChangeSource, front: &Front) -> Result<()> {
    let mut as_of = Instant::now();
    let mut places = source.tail(Deadline::within(PATIENCE)).await?;
    // What was loaded before this place was taken may be older than what is before it.
    front.doubt();
    loop {
        front.sound(as_of);
        tokio::time::sleep(EVERY).await;
        as_of = Instant::now();
        for (partition, place) in &mut places {
            if !drain(source, front, (partition, place)).await? {
                return Ok(());
            }
        }
    }
}

/// Reads a partition up to its end; false when it is closed, and others go on from it.
async fn drain(
    source: &dyn ChangeSource,
    front: &Front,
    (partition, place): (&PartitionId, &mut Position),
) -> Result<bool> {
    loop {
        let read = FeedRead {
            partition,
            after: Some(place),
            limit: LIMIT,
        };
        let page = source.read(read, Deadline::within(PATIENCE)).await?;
        for change in &page.changes {
            if let Some(id) = change.key.id() {
                front.drop_one(change.aggregate, id);
            }
        }
        *place = page.next;
        match page.end {
            PartitionEnd::More => {}
            PartitionEnd::Reached => return Ok(true),
            PartitionEnd::Closed { .. } => return Ok(false),
        }
    }
}
