//! Places in a stream, as positions that outlast the process.

use sha2::Digest as _;
use sha2::Sha256;

use crate::backend::feed::foreign;
use crate::backend::feed::number;
use crate::error::Result;
use crate::spi::changes::Position;

/// What kind of position it is, and in which form.
const MARK: &str = "dd1";

/// A place in one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind so many changes of the record that follows this one; `None` is before the first that is kept.
    After(Option<String>, usize),
    /// Behind all that was there at this time, in microseconds, and so many changes of the record that came first since.
    Since(i64, usize),
}

/// Whose position it is: a place means nothing in another stream, or after a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) epoch: i64,
    /// Digest of the shard's full name.
    pub(super) shard: String,
}

impl Origin {
    pub(super) fn new(epoch: i64, stream: &str, shard: &str) -> Self {
        let digest = Sha256::digest(format!("{stream} {shard}"));
        Self {
            epoch,
            shard: digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    pub(super) fn position(&self, place: &Place) -> Position {
        let Self { epoch, shard } = self;
        Position::new(match place {
            Place::After(Some(record), changes) => format!("{MARK} {epoch} {shard} a {record} {changes}"),
            Place::After(None, changes) => format!("{MARK} {epoch} {shard} b {changes}"),
            Place::Since(at, changes) => format!("{MARK} {epoch} {shard} s {at} {changes}"),
        })
    }
}

/// Reads a position: the epoch that it was given in, and the place.
///
/// # Errors
/// `InvalidInput`, field `position`, for one that this shard's reader did not give.
pub(super) fn parse(position: &Position, shard: &str) -> Result<(i64, Place)> {
    let text = str::from_utf8(position.as_bytes()).map_err(|_| foreign())?;
    let words: Vec<&str> = text.split(' ').collect();
    let [MARK, epoch, own, place @ ..] = words.as_slice() else {
        return Err(foreign());
    };
    if *own != shard {
        return Err(foreign());
    }
    let count = |word: &str| usize::try_from(number(word)?).map_err(|_| foreign());
    let place = match place {
        ["a", record, changes] if record.bytes().all(|byte| byte.is_ascii_digit()) => {
            Place::After(Some((*record).to_owned()), count(changes)?)
        }
        ["b", changes] => Place::After(None, count(changes)?),
        ["s", at, changes] => Place::Since(number(at)?, count(changes)?),
        _ => return Err(foreign()),
    };
    Ok((number(epoch)?, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_as_positions_of_their_shard() {
        let origin = Origin::new(3, "arn:stream", "shard-1");
        for place in [
            Place::After(None, 0),
            Place::After(Some("0012".to_owned()), 2),
            Place::Since(1_700_000_000_000_000, 1),
        ] {
            let position = origin.position(&place);
            assert_eq!(parse(&position, &origin.shard).unwrap(), (3, place));
            let elsewhere = Origin::new(3, "arn:stream", "shard-2");
            assert_eq!(
                parse(&position, &elsewhere.shard).unwrap_err().invalid_field(),
                Some("position")
            );
        }
    }

    #[test]
    fn other_bytes_are_foreign() {
        let origin = Origin::new(0, "arn:stream", "shard-1");
        let mut longer = origin.position(&Place::After(None, 0)).as_bytes().to_vec();
        longer.push(b'x');
        for bytes in [b"".as_slice(), b"dd1", b"sq1 0 0 0", &[0xff, 0xfe], &longer] {
            let error = parse(&Position::new(bytes), &origin.shard).unwrap_err();
            assert_eq!(error.invalid_field(), Some("position"));
        }
    }
}
