//! The feed of a PostgreSQL shop: complete and in order, although transactions end in another order than they number in.
//!
//! - **Windows.** What a new snapshot sees and the last one did not is a window. It is given in the order of the numbers,
//!   page by page under the one snapshot; its end is a place that has given exactly what that snapshot sees.
//! - **Rows.** A row holds the changes of a batch, and its number is that of its last one: what was given up to a row's number
//!   was given as a whole, and a page that ends inside a row goes on at the number of its last change.
//! - **Complete.** A place is a snapshot *seen* and a *floor* past which it sees nothing. Undelivered is what it does not see:
//!   every number past the floor, and up to it the changes of transactions that had not ended in it, which are those that it
//!   lists and those from its `xmax` on. (A transaction that runs is listed only below `xmax`, which is one past the highest
//!   id that has *ended*: a list alone would lose the others.) Both are conditions on an index.
//! - **In order.** Changes of one aggregate are numbered while its row is locked, and the lock ends after the transaction left
//!   the list of those that run: numbers follow versions, and a snapshot that sees the later change sees the earlier one.
//! - **Crashes and failovers.** Ids of transactions that left no trace are given again, and a snapshot of before takes them for
//!   ended. Their changes have numbers past every change that was durable: windows end at the highest number that their
//!   snapshot sees, so that such a change lies past the floor.
//! - **One statement a read.** Snapshot, epoch and changes come from the same server at the same moment, whatever pools and
//!   failovers lie between. A server in recovery does not know what runs, and is refused.
//! - **Planned anew** for the values of each read: see [`PostgresReads::fetch_planned_anew`].
//!
//! `docs/changes.md` has the proof in full.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::place::Place;
use super::place::Snapshot;
use super::place::Window;
use super::reads::PostgresReads;
use crate::backend::epoch::Epoch;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::epoch::Identity;
use crate::backend::sql::feed;
use crate::backend::sql::feed::Head;
use crate::backend::sql::packed;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// What the server says of itself. The sequence is read as it is, all else as the statement's snapshot sees it.
const HEAD: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END AS standby, \
     pg_current_snapshot()::text AS snapshot, \
     (SELECT coalesce(max(seq), 0) FROM stockroom_changes) AS top, \
     (SELECT value FROM stockroom_meta WHERE name = 'shop') AS shop, \
     (SELECT value FROM stockroom_meta WHERE name = 'epoch') AS epoch, \
     (SELECT last_value FROM stockroom_changes_seq_seq) AS numbered";

const COLUMNS: &str = "c.seq, c.entries, c.versions, c.at";

/// Changes that came from another cluster, as a dump brings them: this one's snapshots would not see them for as long as it has
/// not come to their ids. In steps, since a statement has little time.
const ADOPT: &str = "/* stockroom feed.adopt */ WITH foreign_rows AS (SELECT seq FROM stockroom_changes \
     WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) ORDER BY xid LIMIT 1000) \
     UPDATE stockroom_changes AS c SET xid = '3'::xid8 FROM foreign_rows AS f WHERE c.seq = f.seq RETURNING 1::bigint";

/// Makes changes of another cluster readable.
///
/// # Cancel safety
/// Dropped or failed half way, the next call goes on.
pub(super) async fn adopt(reads: &PostgresReads, deadline: Deadline) -> Result<()> {
    while !reads
        .fetch_planned_anew(ADOPT.to_owned(), Vec::new(), deadline)
        .await?
        .is_empty()
    {}
    Ok(())
}

/// Reads the feed.
#[derive(Debug)]
pub(super) struct PostgresChanges {
    pub(super) reads: Arc<PostgresReads>,
    pub(super) epoch: Epoch,
}

/// Where the columns of [`HEAD`] begin: the columns of a change come first.
const BESIDE: usize = 4;

/// What a read found out about the server.
struct Found {
    head: Head,
    snapshot: Snapshot,
    top: i64,
}

impl Found {
    fn read(row: &PgRow, first: usize) -> Result<Self> {
        if PostgresReads::int(row, first)? != 0 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a replica cannot tell which changes are complete: read the feed from the primary",
            ));
        }
        let text = PostgresReads::text(row, first + 1)?;
        let snapshot = Snapshot::parse(&text)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the server's snapshot cannot be read"))?;
        Ok(Self {
            snapshot,
            top: PostgresReads::int(row, first + 2)?,
            head: Head {
                origin: Identity {
                    shop: PostgresReads::int(row, first + 3)?,
                    epoch: PostgresReads::int(row, first + 4)?,
                },
                numbered: PostgresReads::int(row, first + 5)?,
            },
        })
    }
}

/// A statement and its parameters, numbered as they are added.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) args: Vec<Arg>,
}

impl Query {
    fn arg(&mut self, arg: Arg) -> String {
        self.args.push(arg);
        format!("${}", self.args.len())
    }
}

/// Reads so many changes behind this place; each row has [`HEAD`] beside it, and there is one without a change when there
/// are none.
pub(super) fn query(place: Option<&Place>, fetch: i64) -> Query {
    let mut query = Query {
        sql: String::new(),
        args: Vec::new(),
    };
    let floor = place.map_or(0, |place| place.floor);
    let window = place.and_then(|place| place.window.as_ref());
    let after = window.map_or(0, |window| window.after);
    let limit = query.arg(Arg::Int(fetch));
    let low = query.arg(Arg::Int(after.max(floor)));
    // A new window is of the statement's own snapshot, which sees what it sees. Where its end is a condition it is hidden from
    // the planner (+ 0): of a range between two values it expects so little, as long as the table was not analyzed, that it
    // fetches and sorts all of it for each page.
    let (visible, top, xmax) = match window {
        None => (
            String::new(),
            String::new(),
            "pg_snapshot_xmax(pg_current_snapshot())".to_owned(),
        ),
        Some(window) => {
            let snapshot = query.arg(Arg::Text(window.snapshot.to_string()));
            let top = query.arg(Arg::Int(window.top));
            (
                format!(" AND pg_visible_in_snapshot(c.xid, {snapshot}::text::pg_snapshot)"),
                format!(" AND c.seq + 0 <= {top}"),
                format!("pg_snapshot_xmax({snapshot}::text::pg_snapshot)"),
            )
        }
    };
    let mut parts = vec![format!(
        "(SELECT {COLUMNS} FROM stockroom_changes AS c WHERE c.seq > {low}{top}{visible} ORDER BY c.seq LIMIT {limit})"
    )];
    // What was not seen up to the floor comes before all that is past it. Its numbers are hidden from the planner (+ 0), which
    // would else walk the primary key in the hope of meeting the few rows soon.
    if let Some(seen) = place
        .and_then(|place| place.seen.as_ref())
        .filter(|_| after < floor)
    {
        let running = query.arg(Arg::Text(seen.running()));
        let begun = query.arg(Arg::Text(seen.xmax.to_string()));
        let after = query.arg(Arg::Int(after));
        let floor = query.arg(Arg::Int(floor));
        let listed = format!("c.xid = ANY({running}::text::xid8[])");
        let later = format!("c.xid >= {begun}::text::xid8 AND c.xid < {xmax}");
        for late in [listed, later] {
            parts.push(format!(
                "(SELECT {COLUMNS} FROM stockroom_changes AS c WHERE {late} AND c.seq + 0 > {after} \
                 AND c.seq + 0 <= {floor}{visible} ORDER BY c.seq + 0 LIMIT {limit})"
            ));
        }
    }
    let rows = match parts.as_slice() {
        [part] => part.clone(),
        _ => format!(
            "(SELECT * FROM ({}) AS c ORDER BY c.seq LIMIT {limit})",
            parts.join(" UNION ALL ")
        ),
    };
    // A row's number is that of its last change. Rows come in their order: they are unpacked until the page is full.
    let number = "u.seq - cardinality(u.versions) + e.place";
    let after = query.arg(Arg::Int(after));
    // Writing to a String cannot fail.
    let _ = write!(
        query.sql,
        "/* stockroom feed.read */ SELECT c.number, c.entry, c.version, c.at, h.* FROM ({HEAD}) AS h LEFT JOIN \
         (SELECT {number} AS number, e.entry, e.version, u.at FROM {rows} AS u \
         CROSS JOIN LATERAL unnest(u.entries, u.versions) WITH ORDINALITY AS e(entry, version, place) \
         WHERE {number} > {after} ORDER BY u.seq, e.place LIMIT {limit}) AS c ON true ORDER BY c.number"
    );
    query
}

#[async_trait]
impl ChangeSource for PostgresChanges {
    async fn partitions(&self, _: Deadline) -> Result<Vec<Partition>> {
        Ok(feed::partitions())
    }

    async fn tail(&self, deadline: Deadline) -> Result<Vec<(PartitionId, Position)>> {
        let sql = format!("/* stockroom feed.tail */ {HEAD}");
        let rows = self.reads.fetch_planned_anew(sql, Vec::new(), deadline).await?;
        let found = Found::read(rows.first().ok_or_else(feed::nothing)?, 0)?;
        let place = Place {
            floor: found.top,
            seen: Some(found.snapshot),
            ..Place::beginning(found.head.origin)
        };
        Ok(vec![(feed::partition(), place.position())])
    }

    async fn read(&self, read: FeedRead<'_>, deadline: Deadline) -> Result<ChangePage> {
        let limit = feed::limit(&read)?;
        let place = read.after.map(Place::parse).transpose()?;
        // One more than the page holds tells whether there are more.
        let fetch = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let Query { sql, args } = query(place.as_ref(), fetch);
        let rows = self.reads.fetch_planned_anew(sql, args, deadline).await?;
        let found = Found::read(rows.first().ok_or_else(feed::nothing)?, BESIDE)?;
        match &place {
            Some(place) => found.head.admit(&self.epoch, place.origin, place.highest())?,
            None => self.epoch.saw(found.head.origin.epoch),
        }
        page(place, &rows, found, limit)
    }
}

/// The changes among the rows, and the place behind them.
fn page(place: Option<Place>, rows: &[PgRow], found: Found, limit: usize) -> Result<ChangePage> {
    let mut last = 0;
    let mut changes = Vec::with_capacity(rows.len().min(limit));
    for row in rows.iter().take(limit) {
        if let Some(number) = PostgresReads::opt_int(row, 0)? {
            last = number;
            let (version, at) = (PostgresReads::int(row, 2)?, PostgresReads::int(row, 3)?);
            changes.push(packed::read(&PostgresReads::text(row, 1)?, version, at)?);
        }
    }
    let mut place = place.unwrap_or_else(|| Place::beginning(found.head.origin));
    let (snapshot, top) = match place.window.take() {
        Some(window) => (window.snapshot, window.top),
        None => (found.snapshot.clone(), found.top),
    };
    if rows.len() > limit {
        place.window = Some(Window {
            snapshot,
            top,
            after: last,
        });
        return Ok(ChangePage {
            changes,
            next: place.position(),
            end: PartitionEnd::More,
        });
    }
    // Behind a window of a moment ago there may be another one.
    let end = if snapshot == found.snapshot && top == found.top {
        PartitionEnd::Reached
    } else {
        PartitionEnd::More
    };
    place.floor = place.floor.max(top);
    place.seen = Some(snapshot);
    Ok(ChangePage {
        changes,
        next: place.position(),
        end,
    })
}
