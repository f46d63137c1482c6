//! What applications see of the feed: how the sinks are doing, and what they would not take.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::delivery;
use super::delivery::Parcel;
use super::named::named;
use super::reader::FeedPlace;
use super::reader::Tools;
use super::relay::Relay;
use super::relay::Sink;
use super::status::SinkStatus;
use super::sweep::Sweep;
use super::sweep::Sweeper;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Clock;
use crate::model::Page;
use crate::model::PageRequest;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::Coordination;
use crate::spi::changes::DeadLetter;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Wake;
use crate::spi::store::Committed;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// Letters that one call of [`Changes::redrive_all`] looks at in one step.
const STEP: u32 = 100;

/// The feed of a shop's changes and its sinks.
///
/// - Sinks are named when the shop is opened, with [`Builder::sink`](crate::Builder::sink); each is fed by one of the
///   processes that named it.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// let shop = stockroom::Stockroom::open("sqlite::memory:").await?;
/// assert!(shop.changes().status().await?.is_empty());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Changes {
    feeds: Arc<[Feed]>,
    sinks: Arc<[Arc<Sink>]>,
    deadline: Duration,
}

/// What became of letters that were delivered once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redriven {
    /// The sink took them; they are gone.
    pub delivered: u64,
    /// The sink still will not take them; they are kept.
    pub refused: u64,
}

/// A store of the shop, as the feed knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) name: &'a str,
    pub(crate) store: &'a dyn Store,
}

/// The feed of one store, and what it is read with.
#[derive(Debug)]
struct Feed {
    /// The store's name.
    store: String,
    tools: Tools,
}

impl Changes {
    /// The feeds of these stores, for these sinks.
    ///
    /// - Positions, leases and letters of all of them are kept in one store: the `keeper` if it can, else the first that can.
    ///
    /// # Errors
    /// `Config` when there are sinks and no store has a feed.
    pub(crate) fn new(
        origins: &[Origin<'_>],
        keeper: &str,
        clock: &Arc<dyn Clock>,
        sinks: Vec<Sink>,
        deadline: Duration,
    ) -> Result<Self> {
        let feeds = feeds(origins, keeper, clock);
        if feeds.is_empty() && !sinks.is_empty() {
            let engine = origins
                .first()
                .map_or("none", |origin| origin.store.capability().engine);
            return Err(Error::new(
                ErrorKind::Config,
                format!("the store ({engine}) has no feed of changes: sinks cannot be fed"),
            ));
        }
        Ok(Self {
            feeds: feeds.into(),
            sinks: sinks.into_iter().map(Arc::new).collect(),
            deadline,
        })
    }

    /// The same with another deadline for each call.
    pub(crate) fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    /// Starts to feed the sinks, and to sweep once a period.
    pub(crate) fn start<C, F, O, G>(&self, relay: &Relay, wake: &Wake, sweep: Sweep<C, O>)
    where
        C: Fn(WriteSet, Deadline) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Committed>> + Send + 'static,
        O: Fn(Deadline) -> G + Send + Sync + 'static,
        G: Future<Output = Result<u64>> + Send + 'static,
    {
        let Some(first) = self.feeds.first() else { return };
        for feed in self.feeds.iter() {
            let follows = |sink: &&Arc<Sink>| sink.of.as_ref().is_none_or(|store| *store == feed.store);
            relay.feed(&feed.tools, self.sinks.iter().filter(follows), wake);
        }
        let sweeper = Sweeper {
            tools: first.tools.clone(),
            sweep,
            stop: relay.stop(),
        };
        relay.spawn(sweeper.run());
    }

    /// How each sink that was named in this process is doing.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when dead letters cannot be counted.
    pub async fn status(&self) -> Result<Vec<SinkStatus>> {
        let deadline = Deadline::within(self.deadline);
        let mut status = Vec::new();
        for sink in self.sinks.iter() {
            let report = self.coordination()?.report(&sink.name, deadline).await;
            let report = report.map_err(|error| error.operation("changes.status"))?;
            status.push(sink.counters.status(&sink.name, report.dead_letters));
        }
        Ok(status)
    }

    /// The changes that a sink would not take, latest first, with what it answered.
    ///
    /// - Of any sink, also one that was not named in this process.
    ///
    /// # Errors
    /// - `InvalidInput`, field `after`, for a cursor of another list.
    /// - `Unsupported` when the store has no feed; `Unavailable` or `Timeout`.
    pub async fn dead_letters(&self, sink: &str, page: &PageRequest) -> Result<Page<DeadLetter>> {
        let deadline = Deadline::within(self.deadline);
        let letters = self.coordination()?.letters(sink, page, deadline).await;
        letters.map_err(|error| error.operation("changes.dead_letters"))
    }

    /// Gives a dead letter to its sink once more; it is gone when the sink takes it.
    ///
    /// - The sink may have seen later changes of the same aggregate meanwhile.
    /// - When two callers do this at once, the sink may be given the letter twice.
    ///
    /// # Errors
    /// - What the sink answers, when it still will not take it; the letter is kept.
    /// - `InvalidInput`, field `sink`, when no sink of this name was named in this process.
    /// - `Unavailable` or `Timeout`.
    pub async fn redrive(&self, letter: &DeadLetter) -> Result<()> {
        self.redriven(letter)
            .await
            .map_err(|error| error.operation("changes.redrive"))
    }

    /// Gives every dead letter of a sink to it once more, oldest last.
    ///
    /// # Errors
    /// - As for [`redrive`](Self::redrive), except for what the sink answers: that is counted.
    pub async fn redrive_all(&self, sink: &str) -> Result<Redriven> {
        let mut count = Redriven::default();
        let mut page = PageRequest::new(STEP)?;
        self.named(sink)?;
        loop {
            let letters = self.dead_letters(sink, &page).await?;
            for letter in &letters.items {
                match self.redriven(letter).await {
                    Ok(()) => count.delivered += 1,
                    Err(_) => count.refused += 1,
                }
            }
            match letters.next {
                Some(next) => page = PageRequest::new(STEP)?.after(next),
                None => return Ok(count),
            }
        }
    }

    /// Removes a dead letter for good; whether it was there.
    ///
    /// # Errors
    /// `Unsupported` when the store has no feed; `Unavailable` or `Timeout`.
    pub async fn discard(&self, letter: &DeadLetter) -> Result<bool> {
        let deadline = Deadline::within(self.deadline);
        let gone = self
            .coordination()?
            .discard(&letter.sink, letter.id, deadline)
            .await;
        gone.map_err(|error| error.operation("changes.discard"))
    }

    /// Lets a sink begin anew, as if it had never been fed; dead letters are kept.
    ///
    /// - Whoever feeds it notices at its next step.
    ///
    /// # Errors
    /// `Unsupported` when the store has no feed; `Unavailable` or `Timeout`.
    pub async fn restart(&self, sink: &str) -> Result<()> {
        let deadline = Deadline::within(self.deadline);
        let forgotten = self.coordination()?.forget(sink, deadline).await;
        forgotten.map_err(|error| error.operation("changes.restart"))
    }

    async fn redriven(&self, letter: &DeadLetter) -> Result<()> {
        let sink = self.named(&letter.sink)?;
        let parcel = Arc::new(Parcel {
            changes: Arc::new([letter.change.clone()]),
            partition: PartitionId::new("dead letters"),
            fence: 0,
        });
        delivery::once(&sink.sink, sink.policy.timeout, &parcel).await?;
        let deadline = Deadline::within(self.deadline);
        self.coordination()?
            .discard(&letter.sink, letter.id, deadline)
            .await
            .map(drop)
    }

    fn named(&self, name: &str) -> Result<&Arc<Sink>> {
        self.sinks
            .iter()
            .find(|sink| sink.name == name)
            .ok_or_else(|| Error::invalid("sink", "no sink of this name was named when the shop was opened"))
    }

    fn coordination(&self) -> Result<&Arc<dyn Coordination>> {
        self.feeds
            .first()
            .map(|feed| &feed.tools.coordination)
            .ok_or_else(none)
    }

    /// The source that the sinks are fed from; of several stores the one that holds whatever was not placed elsewhere, unless
    /// it has none.
    ///
    /// # Errors
    /// `Unsupported` when no store has a feed.
    pub fn source(&self) -> Result<&Arc<dyn ChangeSource>> {
        self.sources().next().ok_or_else(none)
    }

    /// Every source that the sinks are fed from, one for each store that has a feed.
    ///
    /// - Their partitions have different names: those of every store but the first begin with the store's name, as in `cart:0`.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<dyn ChangeSource>> {
        self.feeds.iter().map(|feed| &feed.tools.source)
    }
}

/// The feeds of the stores that have one, the first store's first.
fn feeds(origins: &[Origin<'_>], keeper: &str, clock: &Arc<dyn Clock>) -> Vec<Feed> {
    let wanted = origins.iter().filter(|origin| origin.name == keeper);
    let kept = wanted
        .chain(origins)
        .find_map(|origin| Some((origin.name, origin.store.coordination()?)));
    let Some((keeper, coordination)) = kept else {
        return Vec::new();
    };
    let holder = Uuid::now_v7();
    let found = origins.iter().zip(0..).filter_map(|(origin, index)| {
        let source = origin.store.changes()?;
        let tools = Tools {
            // The first keeps the names of its partitions: a shop that gets a second store goes on where it was.
            source: if index == 0 {
                source
            } else {
                named(source, origin.name)
            },
            coordination: Arc::clone(&coordination),
            clock: Arc::clone(clock),
            holder,
            place: if origin.name == keeper {
                FeedPlace::Keeper
            } else {
                FeedPlace::Guest
            },
        };
        Some(Feed {
            store: origin.name.to_owned(),
            tools,
        })
    });
    found.collect()
}

fn none() -> Error {
    Error::new(ErrorKind::Unsupported, "the store has no feed of changes")
}
