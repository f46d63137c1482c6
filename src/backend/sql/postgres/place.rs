//! Places in the feed of a PostgreSQL shop, as text.

use std::fmt;

use crate::backend::sql::epoch::Identity;
use crate::backend::sql::feed;
use crate::error::Result;
use crate::spi::changes::Position;

/// What kind of position it is, and in which form.
const MARK: &str = "pg1";

/// What stands for a snapshot where there is none.
const NONE: &str = "-";

/// A place: what was given, exactly, and how far a window was read that is not read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) origin: Identity,
    /// No change past this number is visible in `seen`.
    pub(super) floor: i64,
    /// Every change that is visible in it was given; `None` at the beginning.
    pub(super) seen: Option<Snapshot>,
    pub(super) window: Option<Window>,
}

/// What a snapshot sees and the one before did not, read in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) snapshot: Snapshot,
    /// No change past this number is visible in the snapshot.
    pub(super) top: i64,
    /// The number of the last change that was given.
    pub(super) after: i64,
}

/// A `pg_snapshot`: the transactions from `xmax` on had not ended, nor had those that are listed; all others had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    xmin: u64,
    pub(super) xmax: u64,
    pub(super) running: Vec<u64>,
}

impl Snapshot {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax, list) = (parts.next()?, parts.next()?, parts.next()?);
        let running: Option<Vec<u64>> = match list {
            "" => Some(Vec::new()),
            list => list.split(',').map(|id| id.parse().ok()).collect(),
        };
        let snapshot = Self {
            xmin: xmin.parse().ok()?,
            xmax: xmax.parse().ok()?,
            running: running?,
        };
        (snapshot.holds_together() && snapshot.to_string() == text).then_some(snapshot)
    }

    /// What the server demands of a snapshot.
    fn holds_together(&self) -> bool {
        let known = |id: &u64| (self.xmin..self.xmax).contains(id);
        self.xmin > 0
            && self.xmin <= self.xmax
            && i64::try_from(self.xmax).is_ok()
            && self.running.is_sorted_by(|one, next| one < next)
            && self.running.iter().all(known)
    }

    /// The transactions that are listed, as an array of the server.
    pub(super) fn running(&self) -> String {
        let ids: Vec<String> = self.running.iter().map(u64::to_string).collect();
        format!("{{{}}}", ids.join(","))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.running.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.xmin, self.xmax, ids.join(","))
    }
}

impl Place {
    /// The oldest change that is kept.
    pub(super) fn beginning(origin: Identity) -> Self {
        Self {
            origin,
            floor: 0,
            seen: None,
            window: None,
        }
    }

    /// The highest number that it tells of.
    pub(super) fn highest(&self) -> i64 {
        self.window
            .as_ref()
            .map_or(self.floor, |window| window.top.max(self.floor))
    }

    pub(super) fn position(&self) -> Position {
        let Identity { shop, epoch } = self.origin;
        let seen = self.seen.as_ref().map_or(NONE.to_owned(), ToString::to_string);
        let window = self.window.as_ref().map_or(String::new(), |window| {
            format!(" {} {} {}", window.snapshot, window.top, window.after)
        });
        Position::new(format!("{MARK} {shop} {epoch} {} {seen}{window}", self.floor))
    }

    pub(super) fn parse(position: &Position) -> Result<Self> {
        let words = feed::words(position, MARK)?;
        let (shop, epoch, floor, seen, rest) = match words.as_slice() {
            [shop, epoch, floor, seen, rest @ ..] => (shop, epoch, floor, seen, rest),
            _ => return Err(feed::foreign()),
        };
        let snapshot = |text: &str| Snapshot::parse(text).ok_or_else(feed::foreign);
        let window = match rest {
            [] => None,
            [text, top, after] => Some(Window {
                snapshot: snapshot(text)?,
                top: feed::number(top)?,
                after: feed::number(after)?,
            }),
            _ => return Err(feed::foreign()),
        };
        Ok(Self {
            origin: Identity {
                shop: feed::number(shop)?,
                epoch: feed::number(epoch)?,
            },
            floor: feed::number(floor)?,
            seen: (*seen != NONE).then(|| snapshot(seen)).transpose()?,
            window,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Place;
    use super::Snapshot;
    use super::Window;
    use crate::backend::sql::epoch::Identity;
    use crate::spi::changes::Position;

    fn place() -> Place {
        Place {
            origin: Identity { shop: 7, epoch: 1 },
            floor: 12,
            seen: Snapshot::parse("100:105:100,103"),
            window: Some(Window {
                snapshot: Snapshot::parse("103:110:103").unwrap(),
                top: 40,
                after: 20,
            }),
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let inside = place();
        let end = Place {
            window: None,
            ..place()
        };
        for place in [inside, end, Place::beginning(place().origin)] {
            assert_eq!(Place::parse(&place.position()).unwrap(), place);
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let texts = [
            "",
            "pg1",
            "sq1 7 1 12",
            "pg1 7 1 12",
            "pg1 7 1 12 105:100:",
            "pg1 7 1 12 0:5:",
            "pg1 7 1 12 5:9:9",
            "pg1 7 1 12 5:9:7,6",
            "pg1 7 1 12 5:9:6,6",
            "pg1 7 1 -12 -",
            "pg1 7 1 +12 -",
            "pg1 7 1 012 -",
            "pg1 7 1 12 - 5:9:",
            "pg1 7 1 12 - 5:9: 3 ",
            "pg2 7 1 12 -",
            "pg1 7 1 12 5:99999999999999999999:",
        ];
        for text in texts {
            assert!(Place::parse(&Position::new(text)).is_err(), "{text}");
        }
    }
}
