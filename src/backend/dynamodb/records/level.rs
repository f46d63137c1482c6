//! Levels, and the lines of holds.
//!
//! A level counts everything that is held, also by holds that are over; `next_end` is a time before which none of its holds
//! ends. From then on the lines of holds that are over are looked up, and what they hold is taken off.
//!
//! A level that is written very often can be spread over several items, its shares: each has counters of its own, the level's are
//! their sum, and so is its version. docs/decisions/0012-sharded-levels.md tells why.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::item::missing;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::level_name;
use crate::backend::dynamodb::keys::sortable;
use crate::backend::dynamodb::tables::Index;
use crate::error::Error;
use crate::error::Result;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Sku;
use crate::model::Timestamp;
use crate::model::Version;
use crate::model::from_micros;
use crate::model::micros;
use uuid::Uuid;

/// How many shares a level has; absent where it has one.
pub(in crate::backend::dynamodb) const SHARES: &str = "shares";

/// What a share counts of the level's version; absent where the level has one share.
pub(in crate::backend::dynamodb) const COUNTED: &str = "counted";

/// Shares that a level can have: all of them are read where it is read.
pub(in crate::backend::dynamodb) const MOST_SHARES: usize = 32;

/// The number of shares that the root of a level tells of.
pub(in crate::backend::dynamodb) fn shares(root: &Map) -> Result<usize> {
    let shares = root.opt_get_int(SHARES)?.unwrap_or(1);
    Ok(usize::try_from(shares).unwrap_or(1).clamp(1, MOST_SHARES))
}

/// What an item counts of the version of its level.
pub(in crate::backend::dynamodb) fn counted(share: Option<&Map>) -> Result<i64> {
    let counted = share.map_or(Ok(None), |share| share.opt_get_int(COUNTED))?;
    counted.map_or_else(|| super::version_number(share), Ok)
}

/// A new level as a put makes it: the counters change by steps only.
pub(super) fn write(level: &Level) -> Map {
    let mut item = blank(&level.sku, &level.location);
    item.int("backorder_limit", level.backorder_limit);
    item.time("updated_at", level.updated_at);
    item
}

/// A level that counts nothing.
pub(in crate::backend::dynamodb) fn blank(sku: &Sku, location: &LocationId) -> Map {
    let mut item = Map::new();
    item.text("sku", sku.as_str());
    item.text("location", location.as_str());
    Counters::default().write(&mut item);
    item.int("backorder_limit", 0);
    item
}

/// The counters of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend::dynamodb) struct Counters {
    pub(in crate::backend::dynamodb) on_hand: i64,
    pub(in crate::backend::dynamodb) allocated: i64,
    /// With what holds hold that are over and not swept.
    pub(in crate::backend::dynamodb) held: i64,
    pub(in crate::backend::dynamodb) backorder_limit: i64,
    /// A time before which no hold ends; `None` while nothing is held.
    pub(in crate::backend::dynamodb) next_end: Option<i64>,
}

impl Counters {
    pub(in crate::backend::dynamodb) fn read(item: &Map) -> Result<Self> {
        Ok(Self {
            on_hand: item.get_int("on_hand")?,
            allocated: item.get_int("allocated")?,
            held: item.get_int("held")?,
            backorder_limit: item.get_int("backorder_limit")?,
            next_end: item.opt_get_int("next_end")?,
        })
    }

    pub(in crate::backend::dynamodb) fn write(&self, item: &mut Map) {
        item.int("on_hand", self.on_hand);
        item.int("allocated", self.allocated);
        item.int("held", self.held);
        item.int("backorder_limit", self.backorder_limit);
        match self.next_end {
            Some(end) => item.int("next_end", end),
            None => {
                item.remove("next_end");
            }
        }
    }

    /// Whether there may be holds that are over.
    pub(in crate::backend::dynamodb) fn may_hold_what_is_over(&self, now: Timestamp) -> bool {
        self.next_end.is_some_and(|end| end <= micros(now))
    }
}

/// A level by its shares, of which so much is held by holds that are over; the first share is its root.
pub(in crate::backend::dynamodb) fn read(root: &Map, further: &[&Map], over: i64) -> Result<Level> {
    let mut sum = Counters::read(root)?;
    let (mut version, mut updated_at) = (counted(Some(root))?, root.get_time("updated_at")?);
    for share in further {
        let own = Counters::read(share)?;
        sum.on_hand += own.on_hand;
        sum.allocated += own.allocated;
        sum.held += own.held;
        version += counted(Some(share))?;
        updated_at = updated_at.max(share.get_time("updated_at")?);
    }
    Ok(Level {
        sku: Sku::new(root.get_text("sku")?)?,
        location: LocationId::new(root.get_text("location")?)?,
        version: Version::try_from(version).map_err(Error::corrupted)?,
        on_hand: sum.on_hand,
        allocated: sum.allocated,
        held: sum.held - over,
        backorder_limit: sum.backorder_limit,
        updated_at,
    })
}

/// What a hold keeps on one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backend::dynamodb) struct Line {
    pub(in crate::backend::dynamodb) hold: Uuid,
    pub(in crate::backend::dynamodb) sku: Sku,
    pub(in crate::backend::dynamodb) location: LocationId,
    pub(in crate::backend::dynamodb) quantity: i64,
    /// In microseconds.
    pub(in crate::backend::dynamodb) until: i64,
    /// How much of it each share of the level holds.
    pub(in crate::backend::dynamodb) shares: Vec<(usize, i64)>,
}

/// Partition of all holds by their end.
pub(in crate::backend::dynamodb) const ALL_HOLDS: &str = "holds";

impl Line {
    pub(in crate::backend::dynamodb) fn key(&self) -> Key {
        Key::hold(self.hold, &self.sku, &self.location)
    }

    pub(in crate::backend::dynamodb) fn write(&self) -> Map {
        let mut item = Map::new();
        item.id("hold", self.hold);
        item.text("sku", self.sku.as_str());
        item.text("location", self.location.as_str());
        item.int("quantity", self.quantity);
        item.int("until", self.until);
        if self.shares.iter().any(|(share, _)| *share > 0) {
            let most = self
                .shares
                .iter()
                .map(|(share, _)| *share)
                .max()
                .unwrap_or_default();
            let mut units = vec![0; most + 1];
            for (share, held) in &self.shares {
                units[*share] += held;
            }
            let units = units
                .iter()
                .map(|units: &i64| AttributeValue::N(units.to_string()));
            item.put(SHARES, AttributeValue::L(units.collect()));
        }
        let place = format!("{}#{}", sortable(self.until), self.hold);
        for (index, partition) in [
            (Index::HoldsOfLevel, level_name(&self.sku, &self.location)),
            (Index::HoldsByEnd, ALL_HOLDS.to_owned()),
        ] {
            let (_, pk, sk) = index.names();
            item.text(pk, partition);
            item.text(sk, place.as_str());
        }
        item
    }

    pub(in crate::backend::dynamodb) fn read(item: &Map) -> Result<Self> {
        // A line that ends out of all range could not be shown.
        from_micros(item.get_int("until")?)?;
        let mut shares = Vec::new();
        for (share, units) in item.get_list(SHARES)?.iter().enumerate() {
            let units = units.as_n().ok().and_then(|units| units.parse().ok());
            match units.ok_or_else(|| missing(SHARES))? {
                0 => {}
                units => shares.push((share, units)),
            }
        }
        if shares.is_empty() {
            shares.push((0, item.get_int("quantity")?));
        }
        Ok(Self {
            shares,
            hold: item.get_id("hold")?,
            sku: Sku::new(item.get_text("sku")?)?,
            location: LocationId::new(item.get_text("location")?)?,
            quantity: item.get_int("quantity")?,
            until: item.get_int("until")?,
        })
    }

    pub(in crate::backend::dynamodb) fn is_over(&self, now: Timestamp) -> bool {
        self.until <= micros(now)
    }
}
