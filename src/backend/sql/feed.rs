//! The feed of either engine: what every read of it checks first.

use super::epoch::Identity;
use crate::backend::epoch::Epoch;
use crate::backend::epoch::restored;
use crate::backend::feed;
pub(super) use crate::backend::feed::foreign;
pub(super) use crate::backend::feed::number;
pub(super) use crate::backend::feed::partition;
pub(super) use crate::backend::feed::partitions;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Position;

/// Changes of a page at most, whatever is asked for: a page is held in memory.
const PAGE: usize = 10_000;

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
    feed::limit(read, PAGE)
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

pub(super) fn nothing() -> Error {
    Error::new(ErrorKind::Internal, "the feed gave no answer")
}
