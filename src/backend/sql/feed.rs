//! The feed of either engine: one partition, and what every read of it checks first.

use super::epoch::Identity;
use crate::backend::epoch::Epoch;
use crate::backend::epoch::restored;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// Changes of a page at most, whatever is asked for: a page is held in memory.
const PAGE: usize = 10_000;

/// The one partition: all changes of a database have one order.
const NAME: &str = "0";

pub(super) fn partition() -> PartitionId {
    PartitionId::new(NAME)
}

pub(super) fn partitions() -> Vec<Partition> {
    vec![Partition {
        id: partition(),
        parents: Vec::new(),
    }]
}

/// What the database says of itself in the statement that reads the changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) origin: Identity,
    /// The highest number that a change was ever given.
    pub(super) numbered: i64,
}

impl Head {
    /// Whether a position of this origin, which has seen changes up to this number, can be read from here.
    pub(super) fn admit(&self, known: &Epoch, made: Identity, seen: i64) -> Result<()> {
        known.saw(self.origin.epoch);
        if made.shop != self.origin.shop {
            return Err(foreign());
        }
        if made.epoch != self.origin.epoch {
            return Err(restored(made.epoch, self.origin.epoch));
        }
        // Numbers only rise, also over crashes and failovers that lose nothing.
        if seen > self.numbered {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the store has lost changes that were read already: tell it that it was restored",
            ));
        }
        Ok(())
    }
}

/// Checks what is asked for; the number of changes of the page.
pub(super) fn limit(read: &FeedRead<'_>) -> Result<usize> {
    if read.partition.as_str() != NAME {
        return Err(Error::invalid(
            "partition",
            "the feed has no partition of this name",
        ));
    }
    if read.limit == 0 {
        return Err(Error::invalid("limit", "a page has one change or more"));
    }
    Ok(read.limit.min(PAGE))
}

/// The words of a position that begins with this mark.
pub(super) fn words<'a>(position: &'a Position, mark: &str) -> Result<Vec<&'a str>> {
    let text = std::str::from_utf8(position.as_bytes()).map_err(|_| foreign())?;
    let mut words = text.split(' ');
    if words.next() != Some(mark) {
        return Err(foreign());
    }
    Ok(words.collect())
}

/// A number of a position, which is never negative and written in one way.
pub(super) fn number(word: &str) -> Result<i64> {
    let number: i64 = word.parse().map_err(|_| foreign())?;
    if number < 0 || word != number.to_string() {
        return Err(foreign());
    }
    Ok(number)
}

pub(super) fn foreign() -> Error {
    Error::invalid(
        "position",
        "this feed did not give the position: begin anew, or read the feed that gave it",
    )
}

pub(super) fn nothing() -> Error {
    Error::new(ErrorKind::Internal, "the feed gave no answer")
}
