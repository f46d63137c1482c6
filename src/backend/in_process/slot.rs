//! One entry: its value, its lease, the writers that hold it, the floor. The rules of the contract in plain code.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::error::Result;
use crate::model::Version;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::Entry;
use crate::spi::cache::Fill;
use crate::spi::cache::Filled;
use crate::spi::cache::Invalidate;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;
use crate::spi::cache::LoadedFrom;
use crate::spi::cache::NOTHING_WRITTEN;
use crate::spi::cache::Writer;
use crate::spi::cache::random_token;

#[derive(Debug)]
pub(super) struct Slot {
    floor: Version,
    /// The value and when it stops being fresh; `None` for that once it was dropped.
    value: Option<(Version, Bytes)>,
    fresh_until: Option<Instant>,
    lease: Option<(LeaseToken, Instant)>,
    holds: BTreeMap<Writer, Instant>,
    /// Until when floor and value are remembered.
    kept_until: Option<Instant>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            floor: Version::ZERO,
            value: None,
            fresh_until: None,
            lease: None,
            holds: BTreeMap::new(),
            kept_until: None,
        }
    }
}

impl Slot {
    /// Whether anything in it is in force.
    pub(super) fn is_needed(&self, now: Instant) -> bool {
        self.kept_until.is_some_and(|until| now < until)
            || self.lease.is_some_and(|(_, until)| now < until)
            || self.is_held(now)
    }

    pub(super) fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, |(_, payload)| payload.len())
    }

    pub(super) fn fresh(&self, now: Instant) -> Option<Entry> {
        if self.is_held(now) {
            return None;
        }
        let fresh_for = self.fresh_until?.checked_duration_since(now)?;
        let (version, payload) = self.value.clone()?;
        (!fresh_for.is_zero()).then_some(Entry {
            version,
            fresh_for,
            payload,
        })
    }

    pub(super) fn acquire(&mut self, ask: Acquire, now: Instant) -> Result<Acquired> {
        if self.is_held(now) {
            return Ok(Acquired::Held);
        }
        let leased = self.lease.is_some_and(|(_, until)| now < until);
        if let Some(entry) = self.fresh(now)
            && (ask.when == LoadWhen::Missing || leased)
        {
            return Ok(Acquired::Filled(entry));
        }
        let stale = self.stale(now);
        if leased {
            return Ok(Acquired::Busy { stale });
        }
        let token = LeaseToken(random_token()?);
        self.lease = Some((token, now + ask.lease));
        Ok(Acquired::Lease {
            token,
            floor: self.floor,
            stale,
        })
    }

    pub(super) fn fill(&mut self, fill: Fill, now: Instant) -> Filled {
        if self.lease.is_none_or(|(token, _)| token != fill.token) {
            return Filled::Void;
        }
        self.lease = None;
        if fill.from == LoadedFrom::Replica && fill.version < self.floor {
            return Filled::BelowFloor;
        }
        self.floor = self.floor.max(fill.version);
        self.value = Some((fill.version, fill.payload));
        self.fresh_until = Some(now + fill.fresh_for);
        self.kept_until = Some(now + fill.fresh_for + fill.stale_for);
        Filled::Stored
    }

    pub(super) fn hold(&mut self, (writer, lasts): (Writer, Duration), now: Instant) {
        self.holds.retain(|_, until| now < *until);
        self.holds.insert(writer, now + lasts);
        self.lease = None;
        // What it held before is not fresh any more once the write may have happened.
        self.fresh_until = None;
    }

    pub(super) fn is_held_by(&self, writer: Writer, now: Instant) -> bool {
        self.holds.get(&writer).is_some_and(|until| now < *until)
    }

    pub(super) fn invalidate(&mut self, version: Version, how: Invalidate, now: Instant) {
        if let Some(writer) = how.writer {
            self.holds.remove(&writer);
        }
        let (is_version, floor) = (version != NOTHING_WRITTEN, self.floor);
        self.floor = floor.max(version);
        let is_newer = |found: Version| is_version && found >= version;
        if self.is_held(now) {
            return;
        }
        match self.fresh(now) {
            Some(entry) if is_newer(entry.version) => return,
            // The lease was given after this version was known: it is told once more, by the feed.
            None if self.lease.is_some() && is_newer(floor) => return,
            _ => {}
        }
        self.lease = None;
        self.fresh_until = None;
        if how.stale_for.is_zero() {
            self.value = None;
        }
        self.kept_until = Some(now + how.holdoff.max(how.stale_for));
    }

    fn stale(&self, now: Instant) -> Option<Bytes> {
        let is_kept = self.kept_until.is_some_and(|until| now < until);
        let (_, payload) = self.value.as_ref().filter(|_| is_kept)?;
        Some(payload.clone())
    }

    fn is_held(&self, now: Instant) -> bool {
        self.holds.values().any(|until| now < *until)
    }
}
