//! What a transaction rests on, as it was read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use uuid::Uuid;

use super::prepared::MOST_ITEMS;
use crate::backend::dynamodb::fetch::Found;
use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::level_name;
use crate::backend::dynamodb::records;
use crate::backend::dynamodb::records::level;
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
    /// The share of spread levels that is tried first.
    pub(super) pick: usize,
    /// Shares that a new level has.
    pub(super) new_shares: usize,
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
        // Most levels have as many shares as new ones get: asked for with the level they cost no further round trip.
        let guessed: Vec<Key> = keys
            .iter()
            .filter(|key| key.is_level())
            .flat_map(|level| further_shares(level, wire.level_shares))
            .collect();
        keys.extend(guessed);
        let mut items = get(wire, &keys, way, deadline).await?;
        let unknown = shares_of(&items).filter(|share| !keys.contains(share));
        let unknown: BTreeSet<Key> = unknown.collect();
        if !unknown.is_empty() {
            keys.extend(unknown);
            items = get(wire, &keys, way, deadline).await?;
        }
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
            pick: Uuid::now_v7().as_u64_pair().1 as usize,
            new_shares: wire.level_shares,
        })
    }

    /// The version of an item; 0 where it is absent. That of a level that is spread is the sum of what its shares count.
    pub(super) fn version(&self, key: &Key) -> Result<i64> {
        records::version_number(self.items.get(key))
    }
}

/// The shares of a level behind its root.
pub(super) fn further_shares(level: &Key, shares: usize) -> impl Iterator<Item = Key> {
    (1..shares).filter_map(|number| level.share_of(number))
}

/// The further shares of all levels among these items.
fn shares_of(items: &Found) -> impl Iterator<Item = Key> {
    let levels = items.iter().filter(|(key, _)| key.is_level());
    levels.flat_map(|(key, item)| further_shares(key, level::shares(item).unwrap_or(1)))
}

async fn get(wire: &Wire, keys: &BTreeSet<Key>, way: Way, deadline: Deadline) -> Result<Found> {
    match way {
        Way::Each => wire.get(keys.iter().cloned(), deadline).await,
        Way::Moment => moment(wire, keys, deadline).await,
    }
}

/// Items of one moment. Where there are more than one call takes, what belongs together is asked for together: a level with all
/// of its shares.
async fn moment(wire: &Wire, keys: &BTreeSet<Key>, deadline: Deadline) -> Result<Found> {
    if keys.len() <= MOST_ITEMS {
        return wire.snapshot(keys, deadline).await;
    }
    let mut groups: BTreeMap<Option<(&str, &str)>, Vec<Key>> = BTreeMap::new();
    for key in keys {
        groups.entry(key.level_parts()).or_default().push(key.clone());
    }
    let (mut found, mut call) = (Found::new(), BTreeSet::new());
    for group in groups.into_values() {
        if call.len() + group.len() > MOST_ITEMS {
            found.extend(wire.snapshot(&std::mem::take(&mut call), deadline).await?);
        }
        call.extend(group);
    }
    found.extend(wire.snapshot(&call, deadline).await?);
    Ok(found)
}

fn levels_with_what_is_over(items: &Found, now: Timestamp) -> Vec<(Key, (Sku, LocationId))> {
    let shares = items.iter().filter(|(key, _)| key.is_level() || key.is_share());
    let levels: BTreeMap<Key, _> = shares
        .filter_map(|(_, item)| {
            let (sku, location) = over_level(item, now)?;
            Some((Key::share(&sku, &location, 0), (sku, location)))
        })
        .collect();
    levels.into_iter().collect()
}

/// Which level it is, if it may hold what is over.
pub(in crate::backend::dynamodb) fn over_level(item: &Map, now: Timestamp) -> Option<(Sku, LocationId)> {
    if !Counters::read(item).is_ok_and(|counters| counters.may_hold_what_is_over(now)) {
        return None;
    }
    let sku = Sku::new(item.get_text("sku").ok()?).ok()?;
    Some((sku, LocationId::new(item.get_text("location").ok()?).ok()?))
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
