//! Who hears of invalidations in this process, and until when it is sure to have heard of all.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use uuid::Uuid;

use super::clock::CoarseClock;
use super::clock::millis;
use super::keys::Names;
use super::stats::Counters;
use super::stats::add;
use super::tier::Drops;
use crate::model::Aggregate;
use crate::spi::cache::Follower;

/// The tiers of this process, as whoever tells of invalidations sees them.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) names: Names,
    pub(super) aggregates: Vec<(Aggregate, Arc<dyn Drops>)>,
    pub(super) clock: Arc<CoarseClock>,
    pub(super) sound_until: Arc<AtomicU64>,
    /// How long after the last proof values are served.
    pub(super) allowance: Duration,
    pub(super) counters: Arc<Counters>,
}

impl Front {
    pub(super) fn drop_one(&self, aggregate: Aggregate, id: Uuid) {
        for (kind, drops) in &self.aggregates {
            if *kind == aggregate {
                drops.drop_one(id);
            }
        }
    }
}

impl Follower for Front {
    fn invalidated(&self, key: &str) {
        if let Some((aggregate, id)) = self.names.parse(key) {
            add(&self.counters.told);
            self.drop_one(aggregate, id);
        }
    }

    fn doubt(&self) {
        add(&self.counters.doubts);
        self.sound_until.store(0, Ordering::Release);
        self.aggregates.iter().for_each(|(_, drops)| drops.drop_all());
    }

    fn sound(&self, as_of: Instant) {
        let until = self.clock.at(as_of).saturating_add(millis(self.allowance));
        self.sound_until.fetch_max(until, Ordering::AcqRel);
    }
}
