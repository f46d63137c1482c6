//! Places in the feed: the number of the change before, and the nonce that tells it from another of this number.

use crate::backend::feed::foreign;
use crate::error::Result;
use crate::spi::changes::Position;

/// What positions of this feed begin with.
const FEED: &str = "redis";

/// A place behind a change; number 0 is the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: i64,
    pub(super) number: u64,
    /// Of the commit that made the change; none at the beginning.
    pub(super) nonce: String,
}

impl Place {
    pub(super) fn position(&self) -> Position {
        let Self { epoch, number, nonce } = self;
        Position::new(format!("{FEED} {epoch} {number} {nonce}"))
    }

    /// # Errors
    /// `InvalidInput` on `position` for what this feed did not give.
    pub(super) fn read(position: &Position) -> Result<Self> {
        let text = std::str::from_utf8(position.as_bytes()).map_err(|_| foreign())?;
        let [feed, epoch, number, nonce] = text.split(' ').collect::<Vec<_>>()[..] else {
            return Err(foreign());
        };
        let place = Self {
            epoch: epoch.parse().map_err(|_| foreign())?,
            number: number.parse().map_err(|_| foreign())?,
            nonce: nonce.to_owned(),
        };
        let drawn = nonce.len() == 12 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
        let whole = if place.number == 0 {
            nonce.is_empty()
        } else {
            drawn
        };
        // Written in one way: another text is another's.
        if feed != FEED || !whole || place.position() != *position {
            return Err(foreign());
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for (number, nonce) in [(0, ""), (7, "0123456789ab")] {
            let place = Place {
                epoch: 3,
                number,
                nonce: nonce.to_owned(),
            };
            assert_eq!(Place::read(&place.position()).unwrap(), place);
        }
    }

    #[test]
    fn every_other_text_is_foreign() {
        for wrong in [
            "",
            "redis",
            "redis 0 0 ab",
            "redis 0 7 ",
            "redis 0 07 0123456789ab",
            "redis +0 7 0123456789ab",
            "redis 0 7 0123456789abc",
            "redis 0 7 0123456789ab ",
            "sqlite 0 7 0123456789ab",
        ] {
            let error = Place::read(&Position::new(wrong)).unwrap_err();
            assert_eq!(error.invalid_field(), Some("position"), "{wrong}");
        }
    }
}
