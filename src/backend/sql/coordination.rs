//! Who reads the feed up to where: leases and positions as rows, each step a compare-and-set on holder and fence.
//!
//! - A step is one statement, so that a call that is dropped has happened or not. Saving with letters is one on PostgreSQL
//!   and a short transaction on SQLite, see [`Keeps`].
//! - The store's clock decides when a lease is over, never that of the process.
//! - A checkpoint that is forgotten stays as a row that nobody is shown: its fence must go on rising, since what an earlier
//!   holder sends late is told by it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::dialect::Arg;
use super::dialect::Reads;
use super::dialect::Statement;
use super::dialect::Text;
use super::dialect::statement;
use super::filter;
use super::filter::Filter;
use super::letters;
use super::plan::hex;
use super::plan::unhex;
use super::rows::MAX_DISTANCE;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Page;
use crate::model::PageRequest;
use crate::resilience::Deadline;
use crate::spi::changes::Checkpoint;
use crate::spi::changes::Coordination;
use crate::spi::changes::DeadLetter;
use crate::spi::changes::FeedLease;
use crate::spi::changes::LeaseRequest;
use crate::spi::changes::Position;
use crate::spi::changes::Progress;
use crate::spi::changes::SinkReport;

/// `$1` shift, `$2` checkpoint, `$3` holder, `$4` life.
pub(super) const ACQUIRE: Statement = statement!("feed.acquire":
    "INSERT INTO stockroom_checkpoints AS c (name, holder, fence, leased_until, position, done, updated_at) \
     VALUES ($2, $3, 1, " now " + $4, NULL, 0, " now ") \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = c.fence + 1, \
     leased_until = excluded.leased_until, updated_at = excluded.updated_at \
     WHERE c.holder IS NULL OR c.holder = excluded.holder OR c.leased_until <= excluded.updated_at \
     RETURNING fence, position, done");

/// `$1` shift, `$2` checkpoint, `$3` holder, `$4` fence, `$5` position, `$6` whether it is done, `$7` life.
pub(super) const SAVE: Statement = statement!("feed.save":
    "UPDATE stockroom_checkpoints SET position = nullif($5, ''), done = $6, leased_until = " now " + $7, \
     updated_at = " now " WHERE name = $2 AND holder = $3 AND fence = $4 RETURNING fence");

/// `$1` shift, `$2` checkpoint, `$3` holder, `$4` fence, `$5` life.
pub(super) const RENEW: Statement = statement!("feed.renew":
    "UPDATE stockroom_checkpoints SET leased_until = " now " + $5, updated_at = " now " \
     WHERE name = $2 AND holder = $3 AND fence = $4 RETURNING fence");

/// `$1` checkpoint, `$2` holder, `$3` fence.
pub(super) const RELEASE: Statement = statement!("feed.release":
    "UPDATE stockroom_checkpoints SET holder = NULL, leased_until = 0 \
     WHERE name = $1 AND holder = $2 AND fence = $3");

/// A forgotten checkpoint was leased until before all time.
pub(super) const FORGET: Statement = statement!("feed.forget":
    "UPDATE stockroom_checkpoints SET holder = NULL, fence = fence + 1, leased_until = -1, position = NULL, done = 0 \
     WHERE name >= $1 AND name < $2");

pub(super) const CHECKPOINTS: Statement = statement!("feed.checkpoints":
    "SELECT c.name, c.holder, c.position, c.done FROM stockroom_checkpoints c \
     WHERE c.name >= $1 AND c.name < $2 AND c.leased_until >= 0 ORDER BY c.name");

pub(super) const COUNT: Statement = statement!("feed.letters.count":
    "SELECT count(*) FROM stockroom_dead_letters d WHERE d.sink = $1");

const LETTERS: Statement = statement!("feed.letters":
    "SELECT d.id, d.sink, d.change, d.reason, d.attempts, d.at FROM stockroom_dead_letters d WHERE true");

pub(super) const DISCARD: Statement = statement!("feed.discard":
    "DELETE FROM stockroom_dead_letters WHERE sink = $1 AND id = $2 RETURNING id");

/// Saves a position together with letters.
///
/// # Cancel safety
/// Dropped, both are saved or neither is.
#[async_trait]
pub(super) trait Keeps: Reads {
    /// Runs [`SAVE`] with these parameters, and keeps the letters if it found its row; whether it did.
    async fn keep(&self, save: Vec<Arg>, letters: String, deadline: Deadline) -> Result<bool>;
}

/// Positions, leases and letters of either engine.
#[derive(Debug)]
pub(super) struct SqlCoordination<R>(pub(super) Arc<R>);

impl<R: Reads> SqlCoordination<R> {
    async fn run(&self, statement: Statement, args: Vec<Arg>, deadline: Deadline) -> Result<Vec<R::Row>> {
        self.0.fetch(Text::Constant(statement), args, deadline).await
    }

    fn shift(&self) -> Arg {
        Arg::Int(self.0.shift())
    }
}

#[async_trait]
impl<R: Keeps> Coordination for SqlCoordination<R> {
    async fn acquire(&self, request: LeaseRequest<'_>, deadline: Deadline) -> Result<Option<FeedLease>> {
        let args = vec![
            self.shift(),
            Arg::Text(request.checkpoint.to_owned()),
            Arg::Id(request.holder),
            life(request.ttl),
        ];
        let rows = self.run(ACQUIRE, args, deadline).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(FeedLease {
            checkpoint: request.checkpoint.to_owned(),
            holder: request.holder,
            fence: R::int(row, 0)?,
            position: position(R::opt_text(row, 1)?)?,
            done: R::int(row, 2)? != 0,
        }))
    }

    async fn save(&self, lease: &FeedLease, progress: Progress, deadline: Deadline) -> Result<()> {
        let place = progress.position.map(|place| hex(place.as_bytes()));
        let [name, holder, fence] = held(lease);
        let args = vec![
            self.shift(),
            name,
            holder,
            fence,
            Arg::Text(place.unwrap_or_default()),
            Arg::Int(i64::from(progress.done)),
            life(progress.ttl),
        ];
        let saved = if progress.letters.is_empty() {
            !self.run(SAVE, args, deadline).await?.is_empty()
        } else {
            let letters = letters::write(&progress.letters);
            self.0.keep(args, letters, deadline).await?
        };
        if saved { Ok(()) } else { Err(lost(lease)) }
    }

    async fn renew(&self, lease: &FeedLease, ttl: Duration, deadline: Deadline) -> Result<()> {
        let [name, holder, fence] = held(lease);
        let args = vec![self.shift(), name, holder, fence, life(ttl)];
        if self.run(RENEW, args, deadline).await?.is_empty() {
            return Err(lost(lease));
        }
        Ok(())
    }

    async fn release(&self, lease: &FeedLease, deadline: Deadline) -> Result<()> {
        self.run(RELEASE, held(lease).to_vec(), deadline).await?;
        Ok(())
    }

    async fn report(&self, sink: &str, deadline: Deadline) -> Result<SinkReport> {
        let rows = self.run(CHECKPOINTS, names(sink), deadline).await?;
        let checkpoints = rows.iter().map(|row| {
            Ok(Checkpoint {
                name: R::text(row, 0)?,
                holder: R::opt_id(row, 1)?,
                position: position(R::opt_text(row, 2)?)?,
                done: R::int(row, 3)? != 0,
            })
        });
        let checkpoints = checkpoints.collect::<Result<_>>()?;
        let counted = self
            .run(COUNT, vec![Arg::Text(sink.to_owned())], deadline)
            .await?;
        let counted = counted.first().map_or(Ok(0), |row| R::int(row, 0))?;
        Ok(SinkReport {
            checkpoints,
            dead_letters: u64::try_from(counted).unwrap_or_default(),
        })
    }

    async fn letters(&self, sink: &str, page: &PageRequest, deadline: Deadline) -> Result<Page<DeadLetter>> {
        let digest = digest(sink);
        let mut list = Filter::new(R::spell(&LETTERS));
        list.and("d.sink = ?", [Arg::Text(sink.to_owned())]);
        match page.position(digest)?.as_deref() {
            None => {}
            Some([CursorValue::Text(id)]) => {
                list.and("d.id < ?", [Arg::Id(filter::id(id)?)]);
            }
            _ => return Err(filter::bad_cursor()),
        }
        let (sql, args) = list.page("d.id DESC", page);
        let rows = self.0.fetch(Text::Composed(sql), args, deadline).await?;
        let letters = rows.iter().map(letters::read::<R>).collect::<Result<Vec<_>>>()?;
        Ok(Page::cut(letters, page, |letter| {
            Cursor::encode(digest, &[CursorValue::Text(letter.id.to_string())])
        }))
    }

    async fn discard(&self, sink: &str, letter: Uuid, deadline: Deadline) -> Result<bool> {
        let args = vec![Arg::Text(sink.to_owned()), Arg::Id(letter)];
        Ok(!self.run(DISCARD, args, deadline).await?.is_empty())
    }

    async fn forget(&self, sink: &str, deadline: Deadline) -> Result<()> {
        self.run(FORGET, names(sink), deadline).await?;
        Ok(())
    }
}

/// What a compare-and-set compares with.
fn held(lease: &FeedLease) -> [Arg; 3] {
    [
        Arg::Text(lease.checkpoint.clone()),
        Arg::Id(lease.holder),
        Arg::Int(lease.fence),
    ]
}

/// The range of names that begin with the sink and a slash: the character behind it is `0`.
fn names(sink: &str) -> Vec<Arg> {
    vec![Arg::Text(format!("{sink}/")), Arg::Text(format!("{sink}0"))]
}

/// A life in microseconds.
fn life(ttl: Duration) -> Arg {
    Arg::Int(
        i64::try_from(ttl.as_micros())
            .unwrap_or(MAX_DISTANCE)
            .min(MAX_DISTANCE),
    )
}

fn lost(lease: &FeedLease) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "another has taken the lease since: stop, and acquire it again",
    )
    .concerning(&lease.checkpoint)
}

fn position(text: Option<String>) -> Result<Option<Position>> {
    let read = |text: String| {
        let bytes =
            unhex(&text).ok_or_else(|| Error::new(ErrorKind::Corrupt, "a saved position cannot be read"))?;
        Ok(Position::new(bytes))
    };
    text.map(read).transpose()
}

fn digest(sink: &str) -> [u8; 8] {
    Cursor::digest(&format!("letters:{sink}"))
}
