//! The feed of a SQLite shop. There is one writer at a time, and it numbers changes while it holds the lock: their numbers
//! are the order in which they committed, and a position is the number of the last change that was given.

use std::sync::Arc;

use async_trait::async_trait;

use super::history::read_change;
use super::reads::SqliteReads;
use crate::backend::epoch::Epoch;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads as _;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::epoch::Identity;
use crate::backend::sql::feed;
use crate::backend::sql::feed::Head;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// What kind of position it is, and in which form.
const MARK: &str = "sq1";

/// The changes behind `$1`, `$2` at most, beside what the file says of itself; one row without a change when there is none.
const READ: &str = "/* stockroom feed.read */ \
     SELECT c.seq, c.aggregate, c.row_key, c.version, c.action, c.actor, c.at, c.events, h.shop, h.epoch, h.numbered \
     FROM (SELECT (SELECT value FROM stockroom_meta WHERE name = 'shop') AS shop, \
     (SELECT value FROM stockroom_meta WHERE name = 'epoch') AS epoch, \
     coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'stockroom_changes'), 0) AS numbered) AS h \
     LEFT JOIN (SELECT * FROM stockroom_changes WHERE seq > $1 ORDER BY seq LIMIT $2) AS c ON true \
     ORDER BY c.seq";

const TAIL: &str = "/* stockroom feed.tail */ \
     SELECT (SELECT value FROM stockroom_meta WHERE name = 'shop'), \
     (SELECT value FROM stockroom_meta WHERE name = 'epoch'), \
     (SELECT coalesce(max(seq), 0) FROM stockroom_changes)";

/// Reads the feed.
#[derive(Debug)]
pub(super) struct SqliteChanges {
    pub(super) reads: Arc<SqliteReads>,
    pub(super) epoch: Epoch,
}

#[async_trait]
impl ChangeSource for SqliteChanges {
    async fn partitions(&self, _: Deadline) -> Result<Vec<Partition>> {
        Ok(feed::partitions())
    }

    async fn tail(&self, deadline: Deadline) -> Result<Vec<(PartitionId, Position)>> {
        let text = Text::Composed(TAIL.to_owned());
        let rows = self.reads.fetch(text, Vec::new(), deadline).await?;
        let row = rows.first().ok_or_else(feed::nothing)?;
        let origin = Identity {
            shop: SqliteReads::int(row, 0)?,
            epoch: SqliteReads::int(row, 1)?,
        };
        Ok(vec![(
            feed::partition(),
            position(origin, SqliteReads::int(row, 2)?),
        )])
    }

    async fn read(&self, read: FeedRead<'_>, deadline: Deadline) -> Result<ChangePage> {
        let limit = feed::limit(&read)?;
        let place = read.after.map(parse).transpose()?;
        let after = place.map_or(0, |(_, seq)| seq);
        // One more than the page holds tells whether there are more.
        let fetch = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let args = vec![Arg::Int(after), Arg::Int(fetch)];
        let mut rows = self
            .reads
            .fetch(Text::Composed(READ.to_owned()), args, deadline)
            .await?;
        let first = rows.first().ok_or_else(feed::nothing)?;
        let head = Head {
            origin: Identity {
                shop: SqliteReads::int(first, 8)?,
                epoch: SqliteReads::int(first, 9)?,
            },
            numbered: SqliteReads::int(first, 10)?,
        };
        match place {
            Some((made, seq)) => head.admit(&self.epoch, made, seq)?,
            None => self.epoch.saw(head.origin.epoch),
        }
        let end = if rows.len() > limit {
            PartitionEnd::More
        } else {
            PartitionEnd::Reached
        };
        rows.truncate(limit);
        let mut last = after;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(seq) = SqliteReads::opt_int(row, 0)? {
                last = seq;
                changes.push(read_change(row)?);
            }
        }
        Ok(ChangePage {
            changes,
            next: position(head.origin, last),
            end,
        })
    }
}

fn position(origin: Identity, seq: i64) -> Position {
    let Identity { shop, epoch } = origin;
    Position::new(format!("{MARK} {shop} {epoch} {seq}"))
}

fn parse(position: &Position) -> Result<(Identity, i64)> {
    let words = feed::words(position, MARK)?;
    let [shop, epoch, seq] = words.as_slice() else {
        return Err(feed::foreign());
    };
    let origin = Identity {
        shop: feed::number(shop)?,
        epoch: feed::number(epoch)?,
    };
    Ok((origin, feed::number(seq)?))
}
