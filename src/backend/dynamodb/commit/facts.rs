//! What a transaction rests on, as it was read.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::backend::dynamodb::fetch::Found;
use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::level_name;
use crate::backend::dynamodb::records;
use crate::backend::dynamodb::records::level::Counters;
use crate::backend::dynamodb::records::level::Line;
use crate::backend::dynamodb::tables::Index;
use crate::backend::dynamodb::tables::Table;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Result;
use crate::model::LocationId;
use crate::model::Sku;
use crate::model::Timestamp;
use crate::resilience::Deadline;

/// The attribute of the epoch.
pub(in crate::backend::dynamodb) const EPOCH: &str = "value";

/// Items as they were read, and when.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    pub(super) epoch: i64,
    pub(super) items: Found,
    /// Lines of holds that are over, by level.
    pub(super) over: HashMap<Key, Over>,
}

/// The holds of a level that are over, and when the next one ends.
#[derive(Clone, Debug, Default)]
pub(in crate::backend::dynamodb) struct Over {
    pub(in crate::backend::dynamodb) lines: Vec<Line>,
    pub(in crate::backend::dynamodb) next: Option<i64>,
}

impl Over {
    pub(in crate::backend::dynamodb) fn units(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// How the items are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Each by itself: what rests on them is proven by conditions.
    Each,
    /// All of one moment: what is refused on them needs no other proof.
    Moment,
}

impl Facts {
    /// Reads these items, the epoch, and the holds that are over of the levels among them.
    pub(super) async fn read(
        wire: &Wire,
        mut keys: BTreeSet<Key>,
        way: Way,
        deadline: Deadline,
    ) -> Result<Self> {
        let now = wire.clock.now();
        keys.insert(Key::epoch());
        let mut items = get(wire, &keys, way, deadline).await?;
        let mut over = HashMap::new();
        let stale = levels_with_what_is_over(&items, now);
        for (key, (sku, location)) in &stale {
            over.insert(key.clone(), wire.over(sku, location, now, deadline).await?);
        }
        if !stale.is_empty() {
            // The lines first, the levels last: between the two a line can only have gone, and then a condition fails.
            items = get(wire, &keys, way, deadline).await?;
        }
        let epoch = items
            .get(&Key::epoch())
            .map_or(Ok(0), |item| item.get_int(EPOCH))?;
        Ok(Self {
            now,
            epoch,
            items,
            over,
        })
    }

    /// The version of an aggregate; 0 where it is absent.
    pub(super) fn version(&self, key: &Key) -> Result<i64> {
        records::version_number(self.items.get(key))
    }
}

async fn get(wire: &Wire, keys: &BTreeSet<Key>, way: Way, deadline: Deadline) -> Result<Found> {
    match way {
        Way::Each => wire.get(keys.iter().cloned(), deadline).await,
        Way::Moment => wire.snapshot(keys, deadline).await,
    }
}

fn levels_with_what_is_over(items: &Found, now: Timestamp) -> Vec<(Key, (Sku, LocationId))> {
    let levels = items.iter().filter(|(key, _)| is_level(key));
    levels
        .filter_map(|(key, item)| Some((key.clone(), over_level(item, now)?)))
        .collect()
}

/// Which level it is, if it may hold what is over.
pub(in crate::backend::dynamodb) fn over_level(item: &Map, now: Timestamp) -> Option<(Sku, LocationId)> {
    if !Counters::read(item).is_ok_and(|counters| counters.may_hold_what_is_over(now)) {
        return None;
    }
    let sku = Sku::new(item.get_text("sku").ok()?).ok()?;
    Some((sku, LocationId::new(item.get_text("location").ok()?).ok()?))
}

pub(super) fn is_level(key: &Key) -> bool {
    key.table == Table::Inventory && key.pk.starts_with("level#")
}

/// Lines that are looked up at once.
const SLICE: usize = 100;

/// Lines of one level that are looked up at most; what is left is found the next time.
const MOST_LINES: usize = 1_000;

impl Wire {
    /// The holds of a level that are over.
    ///
    /// - The index that finds them may be behind by moments: a hold that it does not know yet counts a little longer. What it
    ///   still knows and is gone is left out, since the lines themselves are read.
    pub(in crate::backend::dynamodb) async fn over(
        &self,
        sku: &Sku,
        location: &LocationId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Over> {
        let range = Range::of_index(Index::HoldsOfLevel, level_name(sku, location));
        let (mut keys, mut next, mut after) = (Vec::new(), None, None);
        while next.is_none() && keys.len() < MOST_LINES {
            let slice = self.slice(&range, (SLICE, after), deadline).await?;
            for item in &slice.items {
                let Some(key) = Key::of(Table::Inventory, item) else {
                    continue;
                };
                match end_of(item) {
                    Some(end) if end > crate::model::micros(now) => {
                        next = Some(end);
                        break;
                    }
                    _ => keys.push(key),
                }
            }
            after = slice.next;
            if after.is_none() {
                break;
            }
        }
        let found = self.get(keys, deadline).await?;
        let mut lines = found.values().map(Line::read).collect::<Result<Vec<_>>>()?;
        lines.retain(|line| line.is_over(now));
        lines.sort_by_key(|line| (line.until, line.hold));
        Ok(Over { lines, next })
    }
}

/// When the line of an entry of an index ends.
fn end_of(entry: &Map) -> Option<i64> {
    let (_, _, place) = Index::HoldsOfLevel.names();
    let (end, _) = entry.get(place)?.as_s().ok()?.split_once('#')?;
    Some((end.parse::<u64>().ok()? ^ (1 << 63)).cast_signed())
}
