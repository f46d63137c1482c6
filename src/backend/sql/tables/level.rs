//! Stock levels, holds and the movement ledger.

use std::sync::Arc;

use async_trait::async_trait;

use super::Change;
use super::Column;
use super::Kind;
use super::Root;
use super::Verb;
use super::no_parts;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Keyed;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::dialect::statement;
use crate::backend::sql::filter;
use crate::backend::sql::filter::Filter;
use crate::backend::sql::rows::RowWriter;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Drift;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::HoldLine;
use crate::model::LedgerReport;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Movement;
use crate::model::MovementKind;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Quantity;
use crate::model::Record;
use crate::model::Sku;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::spi::store::InventoryReader;

/// A put of a level sets the backorder limit alone: the counters change by steps only.
pub(in crate::backend::sql) static ROOT: Root = Root {
    aggregate: Aggregate::Level,
    table: "levels",
    key: &[Column("sku", Kind::Text), Column("location", Kind::Text)],
    insert: &COLUMNS,
    update: &COLUMNS,
    delta: &[
        Change::Add("on_hand"),
        Change::Add("allocated"),
        Change::Add("held"),
    ],
    live: None,
    part: None,
    columns: write_columns,
    parts: no_parts,
};

const COLUMNS: [Column; 2] = [
    Column("backorder_limit", Kind::Int),
    Column("updated_at", Kind::Int),
];

fn write_columns(record: &Record, row: &mut RowWriter<'_>, _: Verb) {
    let Record::Level(level) = record else { return };
    row.int(level.backorder_limit);
    row.time(level.updated_at);
}

macro_rules! select {
    ($name:literal: $($test:tt)*) => {
        statement!($name:
            "SELECT l.sku, l.location, l.version, l.on_hand, l.allocated, \
             l.held - (SELECT CAST(coalesce(sum(h.quantity), 0) AS bigint) FROM stockroom_holds h \
             WHERE h.sku = l.sku AND h.location = l.location AND h.expires_at <= " now "), \
             l.backorder_limit, l.updated_at \
             FROM stockroom_levels l WHERE l.sku" $($test)* " ORDER BY l.sku, l.location"
        )
    };
}

pub(in crate::backend::sql) const LEVELS: Keyed = Keyed {
    one: select!("inventory.levels": " = $2"),
    many: select!("inventory.levels_many": texts2),
};

pub(in crate::backend::sql) const HOLD: Statement = statement!("inventory.hold":
    "SELECT h.sku, h.location, h.quantity, h.expires_at, CASE WHEN h.expires_at > " now " THEN 1 ELSE 0 END \
     FROM stockroom_holds h WHERE h.hold_id = $2 ORDER BY h.sku, h.location");

/// The lines of the holds that ended first.
pub(in crate::backend::sql) const EXPIRED: Statement = statement!("inventory.expired":
    "SELECT h.sku, h.location, h.quantity, h.expires_at, 0, h.hold_id FROM stockroom_holds h \
     WHERE h.hold_id IN (SELECT e.hold_id FROM stockroom_holds e WHERE e.expires_at <= " now " \
     GROUP BY e.hold_id ORDER BY min(e.expires_at), e.hold_id LIMIT $2) ORDER BY h.expires_at, h.hold_id, h.sku, h.location");

const MOVEMENTS: Statement = statement!("inventory.movements":
    "SELECT m.seq, m.kind, m.on_hand, m.allocated, m.held, m.reference, m.note, m.at \
     FROM stockroom_movements m WHERE true");

/// Every level beside the sums of its movements and of its holds, where they differ.
pub(in crate::backend::sql) const VERIFY: Statement = statement!("inventory.verify":
    "SELECT l.sku, l.location, l.on_hand, l.allocated, l.held, \
     coalesce(m.on_hand, 0), coalesce(m.allocated, 0), coalesce(m.held, 0), coalesce(h.held, 0) \
     FROM stockroom_levels l \
     LEFT JOIN (SELECT sku, location, CAST(sum(on_hand) AS bigint) AS on_hand, \
     CAST(sum(allocated) AS bigint) AS allocated, CAST(sum(held) AS bigint) AS held \
     FROM stockroom_movements GROUP BY sku, location) m ON m.sku = l.sku AND m.location = l.location \
     LEFT JOIN (SELECT sku, location, CAST(sum(quantity) AS bigint) AS held FROM stockroom_holds GROUP BY sku, location) h \
     ON h.sku = l.sku AND h.location = l.location \
     WHERE l.on_hand <> coalesce(m.on_hand, 0) OR l.allocated <> coalesce(m.allocated, 0) \
     OR l.held <> coalesce(m.held, 0) OR l.held <> coalesce(h.held, 0) ORDER BY l.sku, l.location");

pub(in crate::backend::sql) const COUNTS: Statement = statement!("inventory.counts":
    "SELECT (SELECT count(*) FROM stockroom_levels), (SELECT count(*) FROM stockroom_movements)");

fn read_level<R: Reads>(row: &R::Row) -> Result<Level> {
    Ok(Level {
        sku: Sku::new(R::text(row, 0)?)?,
        location: LocationId::new(R::text(row, 1)?)?,
        version: super::version(R::int(row, 2)?)?,
        on_hand: R::int(row, 3)?,
        allocated: R::int(row, 4)?,
        held: R::int(row, 5)?,
        backorder_limit: R::int(row, 6)?,
        updated_at: from_micros(R::int(row, 7)?)?,
    })
}

/// Reads stock of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlInventory<R>(pub(in crate::backend::sql) Arc<R>);

impl<R: Reads> SqlInventory<R> {
    async fn rows(&self, statement: Statement, args: Vec<Arg>, deadline: Deadline) -> Result<Vec<R::Row>> {
        self.0.fetch(Text::Constant(statement), args, deadline).await
    }
}

#[async_trait]
impl<R: Reads> InventoryReader for SqlInventory<R> {
    async fn levels(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Level>> {
        let (text, arg) = LEVELS.texts(skus.iter().map(ToString::to_string));
        let args = vec![Arg::Int(self.0.shift()), arg];
        self.0
            .fetch(text, args, deadline)
            .await?
            .iter()
            .map(read_level::<R>)
            .collect()
    }

    async fn hold(&self, hold: HoldId, deadline: Deadline) -> Result<Option<Hold>> {
        let args = vec![Arg::Int(self.0.shift()), Arg::Id(hold.uuid())];
        let rows = self.rows(HOLD, args, deadline).await?;
        read_hold::<R>(hold, &rows)
    }

    async fn expired(&self, most: u32, deadline: Deadline) -> Result<Vec<Hold>> {
        let args = vec![Arg::Int(self.0.shift()), Arg::Int(i64::from(most))];
        let rows = self.rows(EXPIRED, args, deadline).await?;
        let mut holds = Vec::new();
        let mut rest = rows.as_slice();
        while let Some(first) = rest.first() {
            let id = R::id(first, 5)?;
            let mut lines = 0;
            while let Some(row) = rest.get(lines)
                && R::id(row, 5)? == id
            {
                lines += 1;
            }
            let (own, others) = rest.split_at(lines);
            holds.extend(read_hold::<R>(HoldId::from(id), own)?);
            rest = others;
        }
        Ok(holds)
    }

    async fn movements(
        &self,
        sku: &Sku,
        location: &LocationId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Movement>> {
        let digest = digest(sku, location);
        let mut filter = Filter::new(R::spell(&MOVEMENTS));
        filter.and(
            "m.sku = ? AND m.location = ?",
            [Arg::Text(sku.to_string()), Arg::Text(location.to_string())],
        );
        match page.position(digest)?.as_deref() {
            None => {}
            Some([CursorValue::Int(seq)]) => {
                filter.and("m.seq < ?", [Arg::Int(*seq)]);
            }
            _ => return Err(filter::bad_cursor()),
        }
        let (sql, args) = filter.page("m.seq DESC", page);
        let rows = self.0.fetch(Text::Composed(sql), args, deadline).await?;
        let items = rows
            .iter()
            .map(|row| read_movement::<R>(row, sku, location))
            .collect::<Result<Vec<_>>>()?;
        Ok(Page::cut(items, page, |last| {
            Cursor::encode(digest, &[CursorValue::Int(last.seq)])
        }))
    }

    async fn verify(&self, deadline: Deadline) -> Result<LedgerReport> {
        let counts = self.rows(COUNTS, Vec::new(), deadline).await?;
        let mut report = LedgerReport {
            levels: 0,
            movements: 0,
            drift: Vec::new(),
        };
        if let Some(row) = counts.first() {
            report.levels = R::int(row, 0)?.unsigned_abs();
            report.movements = R::int(row, 1)?.unsigned_abs();
        }
        for row in self.rows(VERIFY, Vec::new(), deadline).await? {
            report.drift.extend(drifts::<R>(&row)?);
        }
        Ok(report)
    }
}

/// A hold from its lines: SKU, location, quantity, expiry, whether it is alive.
fn read_hold<R: Reads>(id: HoldId, rows: &[R::Row]) -> Result<Option<Hold>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let lines = rows.iter().map(|row| {
        Ok(HoldLine {
            sku: Sku::new(R::text(row, 0)?)?,
            location: LocationId::new(R::text(row, 1)?)?,
            quantity: Quantity::new(R::int(row, 2)?)?,
        })
    });
    Ok(Some(Hold {
        id,
        lines: lines.collect::<Result<_>>()?,
        expires_at: from_micros(R::int(first, 3)?)?,
        alive: R::int(first, 4)? == 1,
    }))
}

fn drifts<R: Reads>(row: &R::Row) -> Result<Vec<Drift>> {
    let (sku, location) = (Sku::new(R::text(row, 0)?)?, LocationId::new(R::text(row, 1)?)?);
    let compared = [
        ("on_hand", 2, 5),
        ("allocated", 3, 6),
        ("held", 4, 7),
        ("held", 4, 8),
    ];
    let mut drifts = Vec::new();
    for (counter, level, ledger) in compared {
        let (level, ledger) = (R::int(row, level)?, R::int(row, ledger)?);
        if level != ledger {
            drifts.push(Drift {
                sku: sku.clone(),
                location: location.clone(),
                counter,
                level,
                ledger,
            });
        }
    }
    Ok(drifts)
}

fn read_movement<R: Reads>(row: &R::Row, sku: &Sku, location: &LocationId) -> Result<Movement> {
    Ok(Movement {
        seq: R::int(row, 0)?,
        sku: sku.clone(),
        location: location.clone(),
        kind: MovementKind::parse(&R::text(row, 1)?)?,
        on_hand: R::int(row, 2)?,
        allocated: R::int(row, 3)?,
        held: R::int(row, 4)?,
        reference: R::opt_id(row, 5)?,
        note: R::opt_text(row, 6)?,
        at: from_micros(R::int(row, 7)?)?,
    })
}

fn digest(sku: &Sku, location: &LocationId) -> [u8; 8] {
    Cursor::digest(&format!("movements:{sku}@{location}"))
}
