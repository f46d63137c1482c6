//! What the feeds of stores have in common: positions as text, and feeds of one partition.

use crate::error::Error;
use crate::error::Result;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
use crate::spi::changes::FeedRead;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
use crate::spi::changes::Partition;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
use crate::spi::changes::PartitionId;

/// The one partition of a feed that has one order.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
const NAME: &str = "0";

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
pub(in crate::backend) fn partition() -> PartitionId {
    PartitionId::new(NAME)
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
pub(in crate::backend) fn partitions() -> Vec<Partition> {
    vec![Partition {
        id: partition(),
        parents: Vec::new(),
    }]
}

/// Checks what is asked for; the number of changes of the page, `most` at most.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
pub(in crate::backend) fn limit(read: &FeedRead<'_>, most: usize) -> Result<usize> {
    if read.partition.as_str() != NAME {
        return Err(Error::invalid(
            "partition",
            "the feed has no partition of this name",
        ));
    }
    if read.limit == 0 {
        return Err(Error::invalid("limit", "a page has one change or more"));
    }
    Ok(read.limit.min(most))
}

/// A number of a position, which is never negative and written in one way.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "dynamodb"))]
pub(in crate::backend) fn number(word: &str) -> Result<i64> {
    let number: i64 = word.parse().map_err(|_| foreign())?;
    if number < 0 || word != number.to_string() {
        return Err(foreign());
    }
    Ok(number)
}

pub(in crate::backend) fn foreign() -> Error {
    Error::invalid(
        "position",
        "this feed did not give the position: begin anew, or read the feed that gave it",
    )
}
