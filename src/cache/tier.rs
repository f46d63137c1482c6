//! The tier in this process: values behind `Arc`, found without a clock, an allocation or a lock held across anything.

use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quick_cache::DefaultHashBuilder;
use quick_cache::Lifecycle;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::clock::CoarseClock;
use super::clock::millis;
use super::codec::Cacheable;
use super::stats::Counters;
use super::stats::add;

/// Keys that share a generation: one in so many is dropped with another.
const GENERATIONS: usize = 4096;

/// About what an entry takes beside its value.
const OVERHEAD: usize = 96;

/// Numbers that rise when something is invalidated. A value is good while the number is what it was before the value was
/// looked for: whatever is invalidated in between, by whomever, the value is not served.
#[derive(Debug)]
pub(super) struct Generations([AtomicU32; GENERATIONS]);

impl Generations {
    pub(super) fn new() -> Self {
        Self([const { AtomicU32::new(0) }; GENERATIONS])
    }

    #[inline]
    fn slot(&self, id: &Uuid) -> &AtomicU32 {
        // The last bytes of a UUID of version 7 are random.
        &self.0[(number(id) >> 112) as usize % GENERATIONS]
    }

    #[inline]
    pub(super) fn of(&self, id: &Uuid) -> u32 {
        self.slot(id).load(Ordering::Acquire)
    }

    fn raise(&self, id: &Uuid) {
        self.slot(id).fetch_add(1, Ordering::AcqRel);
    }

    fn raise_all(&self) {
        for slot in &self.0 {
            slot.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The bytes as they lie, as one number.
#[inline]
fn number(id: &Uuid) -> u128 {
    u128::from_le_bytes(*id.as_bytes())
}

/// An id as the map has it: hashed as one number, which takes half of what a text of sixteen bytes takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(Uuid);

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(number(&self.0));
    }
}

/// Milliseconds of the clock that are one in a slot: the fewer bytes it has, the fewer a hit has to fetch. Past two years of a
/// process nothing is kept any more.
const GRAIN: u64 = 16;

/// What is kept of one key.
#[derive(Debug)]
struct Slot<T> {
    value: Option<Arc<T>>,
    /// In grains, rounded down.
    until: u32,
    generation: u32,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            ..*self
        }
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl<T: Cacheable> Weighter<Key, Slot<T>> for ByBytes {
    fn weight(&self, _: &Key, slot: &Slot<T>) -> u64 {
        let value = slot.value.as_deref().map_or(0, Cacheable::weight);
        (OVERHEAD + value) as u64
    }
}

/// Counts what had to go for others.
#[derive(Clone, Debug)]
struct Evictions(Arc<Counters>);

impl<T> Lifecycle<Key, Slot<T>> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Key, _: Slot<T>) {
        add(&self.0.evictions);
    }
}

/// The time, and until when it is known that every invalidation was told; the tiers of all aggregates share them.
pub(super) type News = (Arc<CoarseClock>, Arc<AtomicU64>);

/// What this process knows of one aggregate: which loads are still good, and the values if it keeps any.
#[derive(Debug)]
pub(super) struct Local<T: Cacheable> {
    pub(super) generations: Arc<Generations>,
    pub(super) tier: Option<Tier<T>>,
}

impl<T: Cacheable> Local<T> {
    /// A value of this process that is good now; `Some(None)` where it is known that there is none.
    #[inline]
    pub(super) fn get(&self, id: &Uuid) -> Option<Option<Arc<T>>> {
        self.tier.as_ref()?.get(id)
    }
}

/// Whatever has to be dropped when something is invalidated.
pub(super) trait Drops: std::fmt::Debug + Send + Sync {
    /// Serves nothing of this key that is kept or being loaded.
    fn drop_one(&self, id: Uuid);

    /// Serves nothing that is kept or being loaded.
    fn drop_all(&self);
}

impl<T: Cacheable> Drops for Local<T> {
    fn drop_one(&self, id: Uuid) {
        self.generations.raise(&id);
        if let Some(tier) = &self.tier {
            tier.kept.remove(&Key(id));
        }
    }

    fn drop_all(&self) {
        self.generations.raise_all();
        if let Some(tier) = &self.tier {
            tier.kept.clear();
        }
    }
}

/// The values of one aggregate.
#[derive(Debug)]
pub(super) struct Tier<T: Cacheable> {
    kept: Cache<Key, Slot<T>, ByBytes, DefaultHashBuilder, Evictions>,
    generations: Arc<Generations>,
    clock: Arc<CoarseClock>,
    /// Until when it is known that every invalidation was told; shared by the tiers of all aggregates.
    sound_until: Arc<AtomicU64>,
}

impl<T: Cacheable> Tier<T> {
    pub(super) fn new(
        bytes: u64,
        generations: Arc<Generations>,
        (clock, sound_until): News,
        counters: Arc<Counters>,
    ) -> Self {
        // An entry is refused when it weighs more than a shard's share of the capacity.
        let entries = usize::try_from(bytes / 2048).unwrap_or(usize::MAX).max(64);
        Self {
            kept: Cache::with(
                entries,
                bytes,
                ByBytes,
                DefaultHashBuilder::default(),
                Evictions(counters),
            ),
            generations,
            clock,
            sound_until,
        }
    }

    #[inline]
    fn get(&self, id: &Uuid) -> Option<Option<Arc<T>>> {
        // Before the value: bytes that were just written are read again late, behind the counter of the `Arc`, which comes
        // from memory. For the same reason the slot is taken apart at once, rather than moved as a whole.
        let current = self.generations.slot(id);
        let Slot {
            value,
            until,
            generation,
        } = self.kept.get(&Key(*id))?;
        let now = self.clock.now();
        let is_good = now / GRAIN < u64::from(until)
            && generation == current.load(Ordering::Acquire)
            && now < self.sound_until.load(Ordering::Acquire);
        is_good.then_some(value)
    }

    /// Keeps a value that was looked for after this generation was read.
    pub(super) fn put(&self, id: Uuid, value: Option<Arc<T>>, (generation, keep): (u32, Duration)) {
        if self.generations.of(&id) != generation {
            return;
        }
        let until = self.clock.move_on().saturating_add(millis(keep)) / GRAIN;
        let slot = Slot {
            value,
            until: u32::try_from(until).unwrap_or(u32::MAX),
            generation,
        };
        self.kept.insert(Key(id), slot);
    }

    pub(super) fn entries(&self) -> u64 {
        self.kept.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kept.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Currency;
    use crate::model::Money;
    use crate::model::NewProduct;
    use crate::model::Product;
    use crate::model::ProductId;
    use crate::model::from_micros;

    const KEEP: Duration = Duration::from_secs(60);

    fn local(sound_until: u64) -> (Local<Product>, Arc<AtomicU64>) {
        let (generations, sound) = (
            Arc::new(Generations::new()),
            Arc::new(AtomicU64::new(sound_until)),
        );
        let news = (CoarseClock::new(), Arc::clone(&sound));
        let tier = Some(Tier::new(1 << 20, Arc::clone(&generations), news, Arc::default()));
        (Local { generations, tier }, sound)
    }

    fn mug() -> Arc<Product> {
        let new = NewProduct::new("Mug").variant("MUG", Money::new(1, Currency::EUR));
        Arc::new(new.build(ProductId::new(), from_micros(0).unwrap()).unwrap())
    }

    #[test]
    fn what_was_looked_for_before_an_invalidation_is_not_served_after_it() {
        let (local, _) = local(u64::MAX);
        let (tier, mug) = (local.tier.as_ref().unwrap(), mug());
        let id = mug.id.uuid();
        let before = local.generations.of(&id);
        local.drop_one(id);
        tier.put(id, Some(Arc::clone(&mug)), (before, KEEP));
        assert_eq!(local.get(&id), None);
        tier.put(id, Some(Arc::clone(&mug)), (local.generations.of(&id), KEEP));
        assert_eq!(local.get(&id), Some(Some(mug)));
        local.drop_all();
        assert_eq!(local.get(&id), None);
    }

    #[test]
    fn a_value_is_good_for_its_time_and_while_the_news_is_sound() {
        let (local, sound) = local(0);
        let (tier, mug) = (local.tier.as_ref().unwrap(), mug());
        let id = mug.id.uuid();
        tier.put(id, None, (local.generations.of(&id), KEEP));
        assert_eq!(local.get(&id), None, "nothing is known of invalidations");
        sound.store(u64::MAX, Ordering::Release);
        assert_eq!(local.get(&id), Some(None));
        tier.put(id, Some(mug), (local.generations.of(&id), Duration::ZERO));
        assert_eq!(local.get(&id), None, "its time is over");
    }

    #[test]
    fn what_has_to_go_for_others_is_counted() {
        let counters = Arc::new(Counters::default());
        let news = (CoarseClock::new(), Arc::new(AtomicU64::new(u64::MAX)));
        let tier = Tier::new(
            256 * 1024,
            Arc::new(Generations::new()),
            news,
            Arc::clone(&counters),
        );
        for _ in 0..2_000 {
            let mug = mug();
            tier.put(mug.id.uuid(), Some(mug), (0, KEEP));
        }
        assert!(tier.bytes() <= 256 * 1024);
        let evictions = counters.stats().evictions;
        assert_eq!(evictions + tier.entries(), 2_000);
    }
}
