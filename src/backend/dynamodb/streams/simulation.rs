//! A random simulation of a stream and of whoever reads it, with a crash at any step.
//!
//! Everything between the service and the sink is the code that runs in earnest, but for I/O and leases: which shards may be
//! read, which questions a read asks, what records tell, positions as bytes. In the service's place stands `service`, which
//! splits and ends shards, ends iterators, forgets what was read, and lists shards late.
//!
//! What must hold: each change is given, those of a key in their order, and none twice unless a crash came between giving and
//! saving. `STOCKROOM_SEED` replays a schedule.

mod service;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use uuid::Uuid;

use self::service::KEYS;
use self::service::STREAM;
use self::service::Service;
use super::iterators::Iterators;
use super::place;
use super::place::Origin;
use super::place::Place;
use super::reading::Ask;
use super::reading::Reading;
use super::reading::Step;
use super::shards;
use crate::changes::Partitions;
use crate::error::ErrorKind;
use crate::model::RowKey;
use crate::spi::changes::Change;
use crate::spi::changes::ChangePage;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;
use crate::testkit::engines;

/// Worlds that are begun, and the acts in each.
const WORLDS: usize = 40;
const ACTS: usize = 2_500;

/// More acts than reading what is left takes in any world.
const PATIENCE: usize = 400_000;

/// Random numbers of a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// What outlasts a crash of whoever reads: positions, and the sink.
#[derive(Default)]
struct Kept {
    checkpoints: BTreeMap<PartitionId, (Option<Position>, bool)>,
    /// The last change of each key that the sink has.
    given: [u64; KEYS],
    /// Changes that were given and not saved.
    unsaved: BTreeMap<PartitionId, BTreeSet<(usize, u64)>>,
    /// Those of them that a crash left so: they come again.
    doubtful: BTreeSet<(usize, u64)>,
}

/// Where the reading of a partition stands.
enum Task {
    Begin,
    Asking(Reading, Ask),
    Deliver(ChangePage),
    Save(Position, PartitionEnd),
}

/// What a crash takes.
#[derive(Default)]
struct Memory {
    tree: Partitions,
    tasks: BTreeMap<PartitionId, Task>,
    iterators: Iterators,
}

struct World {
    dice: Dice,
    service: Service,
    kept: Kept,
    memory: Memory,
    now: Instant,
}

fn origin(partition: &PartitionId) -> (&str, Origin) {
    let (_, shard) = shards::parse(partition).unwrap();
    (shard, Origin::new(0, STREAM, shard))
}

fn changed(change: &Change) -> (usize, u64) {
    let RowKey::Id(id) = &change.key else {
        panic!("only orders are written");
    };
    let key = usize::try_from(Uuid::as_u128(id)).unwrap();
    (key, change.actor.parse().unwrap())
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            service: Service::new(),
            kept: Kept::default(),
            memory: Memory::default(),
            now: Instant::now(),
        }
    }

    /// One act of anybody.
    fn act(&mut self) {
        self.now += Duration::from_secs(self.dice.below(20) as u64);
        match self.dice.below(1_000) {
            0..200 => self.service.append(&mut self.dice),
            200..215 => self.service.reshard(&mut self.dice),
            215..235 => self.service.expire(),
            235..260 => self.forget_what_was_read(),
            260..270 => self.crash(),
            270..300 => self.discover(),
            _ => self.read(),
        }
    }

    fn crash(&mut self) {
        self.memory = Memory::default();
        for changes in std::mem::take(&mut self.kept.unsaved).into_values() {
            self.kept.doubtful.extend(changes);
        }
    }

    fn discover(&mut self) {
        let list = self.service.list(&mut self.dice);
        self.memory.tree.learn(list.partitions());
        self.begin();
    }

    fn begin(&mut self) {
        for partition in self.memory.tree.ready() {
            self.memory.tasks.entry(partition).or_insert(Task::Begin);
        }
    }

    /// The service forgets some of what is saved as read, and shards that are done.
    fn forget_what_was_read(&mut self) {
        let known: Vec<_> = self.kept.checkpoints.iter().collect();
        if known.is_empty() {
            return;
        }
        let (partition, (position, done)) = known[self.dice.below(known.len())];
        let (shard, origin) = origin(partition);
        let place = position
            .as_ref()
            .map(|at| place::parse(at, &origin.shard).unwrap().1);
        match (done, place) {
            (true, _) => self.service.forget(shard),
            // The record itself is kept, or the place behind it would be unknown.
            (false, Some(Place::After(Some(record), _))) => self.service.forget_before(shard, &record),
            _ => {}
        }
    }

    /// One step of one partition's reader.
    fn read(&mut self) {
        let count = self.memory.tasks.len();
        if count == 0 {
            return self.discover();
        }
        let chosen = self.dice.below(count);
        let partition = self.memory.tasks.keys().nth(chosen).unwrap().clone();
        let task = self.memory.tasks.remove(&partition).unwrap();
        if let Some(next) = self.step(&partition, task) {
            self.memory.tasks.insert(partition, next);
        }
        self.begin();
    }

    fn step(&mut self, partition: &PartitionId, task: Task) -> Option<Task> {
        match task {
            Task::Begin => {
                let (position, done) = self.kept.checkpoints.entry(partition.clone()).or_default();
                if *done {
                    self.memory.tree.done(partition);
                    return None;
                }
                let (_, origin) = origin(partition);
                let place = position.as_ref().map_or(Place::After(None, 0), |at| {
                    place::parse(at, &origin.shard).unwrap().1
                });
                let known = self.memory.iterators.at(&origin.position(&place), self.now);
                let (reading, ask) = Reading::begin(place, known, 1 + self.dice.below(6));
                Some(Task::Asking(reading, ask))
            }
            Task::Asking(reading, ask) => Some(self.ask(partition, reading, &ask)),
            Task::Deliver(page) => Some(self.deliver(partition, page)),
            Task::Save(position, end) => self.save(partition, position, end),
        }
    }

    fn ask(&mut self, partition: &PartitionId, mut reading: Reading, ask: &Ask) -> Task {
        let (shard, origin) = origin(partition);
        let answer = self.service.answer(shard, ask, &mut self.dice);
        let step = reading.on(answer).unwrap();
        let (place, iterator) = reading.known();
        self.memory
            .iterators
            .keep(&origin.position(place), iterator, self.now);
        match step {
            Step::Ask(next) => Task::Asking(reading, next),
            Step::Page(told, PartitionEnd::Reached) if told.changes.is_empty() => Task::Begin,
            Step::Page(told, end) => Task::Deliver(ChangePage {
                next: origin.position(&told.place),
                changes: told.changes,
                end,
            }),
        }
    }

    fn deliver(&mut self, partition: &PartitionId, page: ChangePage) -> Task {
        for (key, number) in page.changes.iter().map(changed) {
            let last = self.kept.given[key];
            if number <= last {
                assert!(
                    self.kept.doubtful.contains(&(key, number)),
                    "change {number} of key {key} is given twice although it was saved"
                );
            } else {
                assert_eq!(
                    number,
                    last + 1,
                    "key {key}: changes are skipped, or out of order"
                );
                self.kept.given[key] = number;
            }
            let unsaved = self.kept.unsaved.entry(partition.clone()).or_default();
            unsaved.insert((key, number));
        }
        Task::Save(page.next, page.end)
    }

    fn save(&mut self, partition: &PartitionId, position: Position, end: PartitionEnd) -> Option<Task> {
        for change in self.kept.unsaved.remove(partition).unwrap_or_default() {
            self.kept.doubtful.remove(&change);
        }
        let done = matches!(end, PartitionEnd::Closed { .. });
        self.kept
            .checkpoints
            .insert(partition.clone(), (Some(position), done));
        let PartitionEnd::Closed { children } = end else {
            return Some(Task::Begin);
        };
        self.memory.tree.done(partition);
        self.memory.tree.learn(children);
        None
    }

    /// Reads what is left.
    fn drain(&mut self) {
        for _ in 0..PATIENCE {
            if self.kept.given == self.service.changes {
                return;
            }
            self.now += Duration::from_secs(1);
            match self.dice.below(50) {
                0 => self.discover(),
                _ => self.read(),
            }
        }
        panic!("lost: {:?} of {:?}", self.kept.given, self.service.changes);
    }
}

fn seed() -> u64 {
    let given = engines::setting("STOCKROOM_SEED").map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1);
    println!("streams: STOCKROOM_SEED={seed}");
    seed
}

#[test]
fn every_change_is_given_in_order_over_splits_and_crashes() {
    let mut seeds = Dice(seed());
    let mut given = 0;
    for _ in 0..WORLDS {
        let mut world = World::new(seeds.below(usize::MAX) as u64);
        (0..ACTS).for_each(|_| world.act());
        world.drain();
        given += world.kept.given.iter().sum::<u64>();
    }
    assert!(
        given > (WORLDS * ACTS / 10) as u64,
        "only {given} changes were given"
    );
}

#[test]
fn what_was_forgotten_unread_is_told_and_never_skipped() {
    let mut seeds = Dice(seed());
    let mut told = 0;
    for _ in 0..WORLDS {
        let mut world = World::new(seeds.below(usize::MAX) as u64);
        (0..ACTS / 4).for_each(|_| world.act());
        world.crash();
        (0..50).for_each(|_| world.service.append(&mut world.dice));
        let known = std::mem::take(&mut world.kept.checkpoints);
        let open = known.into_iter().filter(|(_, (_, done))| !done);
        for (partition, (position, _)) in open {
            let (shard, origin) = origin(&partition);
            let place = position.map(|at| place::parse(&at, &origin.shard).unwrap().1);
            let Some(place @ Place::After(Some(_), _)) = place else {
                continue;
            };
            world.service.forget_records(shard);
            let (mut reading, ask) = Reading::begin(place, None, 10);
            let answer = world.service.answer(shard, &ask, &mut world.dice);
            assert_eq!(reading.on(answer).unwrap_err().kind(), ErrorKind::Conflict);
            told += 1;
        }
    }
    assert!(told > WORLDS, "only {told} readers were left behind");
}
