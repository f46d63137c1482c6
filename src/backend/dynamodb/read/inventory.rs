//! Levels, holds and movements.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::bad_cursor;
use crate::backend::dynamodb::commit::over_level;
use crate::backend::dynamodb::fetch::Found;
use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::keys;
use crate::backend::dynamodb::keys::CHANGES;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::PK;
use crate::backend::dynamodb::records;
use crate::backend::dynamodb::records::VERSION;
use crate::backend::dynamodb::records::change;
use crate::backend::dynamodb::records::level;
use crate::backend::dynamodb::records::level::Counters;
use crate::backend::dynamodb::records::level::Line;
use crate::backend::dynamodb::tables::Index;
use crate::backend::dynamodb::tables::Table;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Error;
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
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Quantity;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::Timestamp;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::spi::store::InventoryReader;
use uuid::Uuid;

/// How often a level is read again that changes between itself and its holds.
const ROUNDS: usize = 8;

/// SKUs whose levels are asked for at the same time.
const AT_ONCE: usize = 16;

#[derive(Debug)]
pub(super) struct Inventory(pub(super) Arc<Wire>);

#[async_trait]
impl InventoryReader for Inventory {
    async fn levels(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Level>> {
        let mut skus = skus.to_vec();
        skus.sort();
        skus.dedup();
        let mut levels = Vec::new();
        for chunk in skus.chunks(AT_ONCE) {
            let mut asked = tokio::task::JoinSet::new();
            for (number, sku) in chunk.iter().cloned().enumerate() {
                let wire = self.0.clone();
                asked.spawn(async move { (number, of_sku(&wire, &sku, deadline).await) });
            }
            let mut found = asked.join_all().await;
            found.sort_by_key(|(number, _)| *number);
            for (_, of_sku) in found {
                levels.extend(of_sku?);
            }
        }
        levels.sort_by(|one, other| (&one.sku, &one.location).cmp(&(&other.sku, &other.location)));
        Ok(levels)
    }

    async fn hold(&self, hold: HoldId, deadline: Deadline) -> Result<Option<Hold>> {
        let lines = lines_of(&self.0, hold.uuid(), deadline).await?;
        as_hold(hold, &lines, self.0.clock.now())
    }

    async fn expired(&self, most: u32, deadline: Deadline) -> Result<Vec<Hold>> {
        let now = self.0.clock.now();
        let range = Range {
            to: format!("{}~", keys::sortable(crate::model::micros(now))),
            ..Range::of_index(Index::HoldsByEnd, level::ALL_HOLDS)
        };
        let mut found: Vec<Hold> = Vec::new();
        let mut after = None;
        while found.len() < most as usize {
            let slice = self.0.slice(&range, (100, after), deadline).await?;
            for entry in &slice.items {
                let Some(hold) = hold_of(entry) else { continue };
                let known = found.iter().any(|one| one.id == hold);
                if known || found.len() >= most as usize {
                    continue;
                }
                let lines = lines_of(&self.0, hold.uuid(), deadline).await?;
                // The index may be behind: what it still tells may be gone.
                let over: Vec<Line> = lines.into_iter().filter(|line| line.is_over(now)).collect();
                found.extend(as_hold(hold, &over, now)?);
            }
            match slice.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(found)
    }

    async fn movements(
        &self,
        sku: &Sku,
        location: &LocationId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Movement>> {
        let digest = Cursor::digest(&format!("movements:{sku}@{location}"));
        let before = match page.position(digest)?.as_deref() {
            None => i64::MAX,
            Some([CursorValue::Int(seq)]) => *seq,
            _ => return Err(bad_cursor()),
        };
        let row = RowKey::Level(sku.clone(), location.clone());
        let mut range =
            Range::beginning(Table::Inventory, keys::history(Aggregate::Level, &row), CHANGES).latest_first();
        if before != i64::MAX {
            range.to = keys::change_place(change::change_of(before));
        }
        let wanted = page.limit() as usize + 1;
        let (mut items, mut after) = (Vec::new(), None);
        while items.len() < wanted {
            let slice = self.0.slice(&range, (wanted, after), deadline).await?;
            for item in &slice.items {
                let moves = change::read_moves(item, sku, location)?;
                items.extend(moves.into_iter().rev().filter(|one| one.seq < before));
            }
            match slice.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        items.truncate(wanted);
        Ok(Page::cut(items, page, |last| {
            Cursor::encode(digest, &[CursorValue::Int(last.seq)])
        }))
    }

    /// Reads the whole table, item by item: exact while nothing is written.
    async fn verify(&self, deadline: Deadline) -> Result<LedgerReport> {
        let mut books = Books::default();
        self.0
            .scan(Table::Inventory, |item| books.add(&item), deadline)
            .await?;
        Ok(books.report())
    }
}

async fn of_sku(wire: &Wire, sku: &Sku, deadline: Deadline) -> Result<Vec<Level>> {
    let range = Range::beginning(Table::Inventory, keys::levels(sku), "");
    let mut levels = Vec::new();
    for item in wire.all(&range, deadline).await? {
        if item.contains_key(VERSION) {
            levels.extend(settled(wire, item, deadline).await?);
        }
    }
    Ok(levels)
}

/// A level without what is over, all of one moment.
async fn settled(wire: &Wire, root: Map, deadline: Deadline) -> Result<Option<Level>> {
    let now = wire.clock.now();
    if level::shares(&root)? == 1 && over_level(&root, now).is_none() {
        return level::read(&root, &[], 0).map(Some);
    }
    let (sku, location) = (
        Sku::new(root.get_text("sku")?)?,
        LocationId::new(root.get_text("location")?)?,
    );
    let keys = |root: &Map| -> Result<Vec<Key>> {
        let shares = 0..level::shares(root)?;
        Ok(shares.map(|number| Key::share(&sku, &location, number)).collect())
    };
    let mut shares = wire.get(keys(&root)?, deadline).await?;
    for _ in 0..ROUNDS {
        let now = wire.clock.now();
        let stale = shares.values().any(|share| over_level(share, now).is_some());
        let over = if stale {
            wire.over(&sku, &location, now, deadline).await?.units()
        } else {
            0
        };
        let Some(root) = shares.get(&Key::share(&sku, &location, 0)) else {
            return Ok(None);
        };
        // As they were before and are behind, so they were in between.
        let again = wire.get(keys(root)?, deadline).await?;
        let same = versions(&again)? == versions(&shares)?;
        shares = again;
        if same {
            return summed(&shares, over);
        }
    }
    // Writers are at it all the time: each of them sweeps what is over, and only the service can tell the shares of one moment.
    let keys = keys(&root)?.into_iter().collect();
    summed(&wire.snapshot(&keys, deadline).await?, 0)
}

fn versions(shares: &Found) -> Result<BTreeMap<&Key, i64>> {
    let versions = shares
        .iter()
        .map(|(key, share)| Ok((key, records::version_number(Some(share))?)));
    versions.collect()
}

fn summed(shares: &Found, over: i64) -> Result<Option<Level>> {
    let root = shares.iter().find(|(key, _)| key.is_level());
    let Some((_, root)) = root.filter(|(_, root)| root.contains_key(VERSION)) else {
        return Ok(None);
    };
    let further = shares.iter().filter(|(key, _)| key.is_share());
    let further: Vec<&Map> = further.map(|(_, share)| share).collect();
    level::read(root, &further, over).map(Some)
}

async fn lines_of(wire: &Wire, hold: Uuid, deadline: Deadline) -> Result<Vec<Line>> {
    let range = Range::beginning(Table::Inventory, keys::holds(hold), "");
    let items = wire.all(&range, deadline).await?;
    items.iter().map(Line::read).collect()
}

/// The hold that an entry of the index is of.
fn hold_of(entry: &Map) -> Option<HoldId> {
    entry.get_text(PK).ok()?.strip_prefix("hold#")?.parse().ok()
}

fn as_hold(id: HoldId, lines: &[Line], now: Timestamp) -> Result<Option<Hold>> {
    let Some(first) = lines.iter().min_by_key(|line| line.until) else {
        return Ok(None);
    };
    let kept = lines.iter().map(|line| {
        Ok(HoldLine {
            sku: line.sku.clone(),
            location: line.location.clone(),
            quantity: Quantity::new(line.quantity).map_err(Error::corrupted)?,
        })
    });
    Ok(Some(Hold {
        id,
        lines: kept.collect::<Result<_>>()?,
        expires_at: from_micros(first.until)?,
        alive: !first.is_over(now),
    }))
}

/// The sums of everything in the inventory table.
#[derive(Default)]
struct Books {
    levels: BTreeMap<(Sku, LocationId), Counters>,
    moved: BTreeMap<(Sku, LocationId), Counters>,
    held: BTreeMap<(Sku, LocationId), i64>,
    movements: u64,
}

impl Books {
    fn add(&mut self, item: &Map) -> Result<()> {
        let partition = item.get_text(PK)?;
        if partition.starts_with("hold#") {
            let line = Line::read(item)?;
            *self.held.entry((line.sku, line.location)).or_default() += line.quantity;
        } else if item.contains_key(VERSION) {
            let place = (
                Sku::new(item.get_text("sku")?)?,
                LocationId::new(item.get_text("location")?)?,
            );
            // The shares of a level count together.
            let (sum, own) = (self.levels.entry(place).or_default(), Counters::read(item)?);
            sum.on_hand += own.on_hand;
            sum.allocated += own.allocated;
            sum.held += own.held;
        } else if let Some((sku, location)) = partition.strip_prefix("level#").and_then(keys::parse_level) {
            let sums = self.moved.entry((sku.clone(), location.clone())).or_default();
            for one in change::read_moves(item, &sku, &location)? {
                sums.on_hand += one.on_hand;
                sums.allocated += one.allocated;
                sums.held += one.held;
                self.movements += 1;
            }
        }
        Ok(())
    }

    fn report(self) -> LedgerReport {
        let mut drift = Vec::new();
        for ((sku, location), level) in &self.levels {
            let place = (sku.clone(), location.clone());
            let moved = self.moved.get(&place).copied().unwrap_or_default();
            let held = self.held.get(&place).copied().unwrap_or_default();
            let compared = [
                ("on_hand", level.on_hand, moved.on_hand),
                ("allocated", level.allocated, moved.allocated),
                ("held", level.held, moved.held),
                ("held", level.held, held),
            ];
            let differing = compared.into_iter().filter(|(_, level, ledger)| level != ledger);
            drift.extend(differing.map(|(counter, level, ledger)| Drift {
                sku: sku.clone(),
                location: location.clone(),
                counter,
                level,
                ledger,
            }));
        }
        LedgerReport {
            levels: self.levels.len() as u64,
            movements: self.movements,
            drift,
        }
    }
}
