//! A stream as the service keeps it: shards that split and end, records that are forgotten, iterators that end, lists that
//! are behind.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::AttributeValue as Streamed;
use aws_sdk_dynamodbstreams::types::Record;
use aws_sdk_dynamodbstreams::types::StreamRecord;
use uuid::Uuid;

use super::super::reading::Answer;
use super::super::reading::Ask;
use super::super::shards::Shard;
use super::super::shards::Shards;
use super::Dice;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::SK;
use crate::backend::dynamodb::records::change;
use crate::backend::dynamodb::records::change::Deed;
use crate::backend::dynamodb::tables::Table;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::spi::changes::ChangeAction;

/// The keys whose records there are.
pub(super) const KEYS: usize = 24;

/// For so many acts of the service a list of shards may lack the youngest.
const BEHIND: usize = 40;

pub(super) const STREAM: &str = "arn:aws:dynamodb:eu-central-1:1:table/orders/stream/1";

/// One shard: its records, of which the first were forgotten.
struct Stored {
    parent: Option<usize>,
    keys: Range<usize>,
    records: Vec<(u64, Record)>,
    /// How many of the records are forgotten.
    forgotten: usize,
    closed: bool,
    /// Forgotten as a whole.
    gone: bool,
    born: usize,
}

/// The stream.
pub(super) struct Service {
    shards: Vec<Stored>,
    /// Where each iterator stands: the shard, and how many of its records lie before.
    iterators: HashMap<String, (usize, usize)>,
    numbers: u64,
    /// Changes that there were of each key.
    pub(super) changes: [u64; KEYS],
    acts: usize,
}

fn name(shard: usize) -> String {
    format!("shardId-{shard:05}")
}

fn index(shard: &str) -> usize {
    shard.trim_start_matches("shardId-").parse().unwrap()
}

fn number(record: u64) -> String {
    format!("{record:021}")
}

impl Service {
    pub(super) fn new() -> Self {
        let mut service = Self {
            shards: Vec::new(),
            iterators: HashMap::new(),
            numbers: 0,
            changes: [0; KEYS],
            acts: 0,
        };
        service.open(None, 0..KEYS);
        service
    }

    fn open(&mut self, parent: Option<usize>, keys: Range<usize>) {
        self.shards.push(Stored {
            parent,
            keys,
            records: Vec::new(),
            forgotten: 0,
            closed: false,
            gone: false,
            born: self.acts,
        });
    }

    /// Adds a record of some key: of a root with a few changes, or of something that the feed passes over.
    pub(super) fn append(&mut self, dice: &mut Dice) {
        self.acts += 1;
        self.numbers += 1 + dice.below(3) as u64;
        let key = dice.below(KEYS);
        let deeds = 1 + dice.below(3);
        let root = dice.below(3) > 0;
        let image = if root {
            let first = self.changes[key];
            self.changes[key] += deeds as u64;
            root_of(key, first + 1..=first + deeds as u64)
        } else {
            HashMap::from([(SK.to_owned(), Streamed::S("C#1".to_owned()))])
        };
        let record = StreamRecord::builder()
            .sequence_number(number(self.numbers))
            .set_new_image(Some(image))
            .build();
        let mut open = self.shards.iter_mut();
        let shard = open
            .find(|shard| !shard.closed && shard.keys.contains(&key))
            .unwrap();
        shard
            .records
            .push((self.numbers, Record::builder().dynamodb(record).build()));
    }

    /// Closes an open shard; one or two go on from it.
    pub(super) fn reshard(&mut self, dice: &mut Dice) {
        self.acts += 1;
        let open: Vec<usize> = (0..self.shards.len())
            .filter(|shard| !self.shards[*shard].closed)
            .collect();
        let parent = open[dice.below(open.len())];
        self.shards[parent].closed = true;
        let keys = self.shards[parent].keys.clone();
        if keys.len() > 1 && dice.below(2) == 0 {
            let middle = keys.start + keys.len() / 2;
            self.open(Some(parent), keys.start..middle);
            self.open(Some(parent), middle..keys.end);
        } else {
            self.open(Some(parent), keys);
        }
    }

    /// All iterators end.
    pub(super) fn expire(&mut self) {
        self.iterators.clear();
    }

    /// Forgets what comes before a record, which is kept.
    pub(super) fn forget_before(&mut self, shard: &str, record: &str) {
        let shard = &mut self.shards[index(shard)];
        let until: u64 = record.parse().unwrap();
        let before = shard.records.iter().filter(|(record, _)| *record < until).count();
        shard.forgotten = shard.forgotten.max(before);
    }

    /// Forgets all records of a shard.
    pub(super) fn forget_records(&mut self, shard: &str) {
        let shard = &mut self.shards[index(shard)];
        shard.forgotten = shard.records.len();
    }

    /// Forgets a shard that has ended.
    pub(super) fn forget(&mut self, shard: &str) {
        let shard = &mut self.shards[index(shard)];
        shard.gone = shard.closed;
    }

    /// The list of shards, which may lack the youngest.
    pub(super) fn list(&self, dice: &mut Dice) -> Shards {
        let behind = if dice.below(4) == 0 { BEHIND } else { 0 };
        let known = (0..self.shards.len()).filter(|shard| {
            let stored = &self.shards[*shard];
            !stored.gone && (stored.parent.is_none() || stored.born + behind <= self.acts)
        });
        let all = known.map(|shard| Shard {
            id: name(shard),
            parent: self.shards[shard].parent.map(name),
            closed: self.shards[shard].closed,
        });
        Shards {
            table: Table::Orders,
            all: all.collect(),
        }
    }

    /// What the service answers to a question about a shard.
    pub(super) fn answer(&mut self, shard: &str, ask: &Ask, dice: &mut Dice) -> Answer {
        let place = index(shard);
        match ask {
            Ask::Children => Answer::Children(self.list(dice).children(shard)),
            _ if self.shards[place].gone => Answer::Gone,
            Ask::Iterator(None) => self.iterator(place, self.shards[place].forgotten),
            Ask::Iterator(Some(record)) => {
                let stored = &self.shards[place];
                let behind: u64 = record.parse().unwrap();
                let before = stored
                    .records
                    .iter()
                    .filter(|(record, _)| *record <= behind)
                    .count();
                if before <= stored.forgotten && stored.forgotten > 0 {
                    return Answer::Trimmed;
                }
                self.iterator(place, before)
            }
            Ask::Records { iterator, most } => self.records(iterator, *most, dice),
        }
    }

    fn iterator(&mut self, shard: usize, before: usize) -> Answer {
        Answer::Iterator(self.new_iterator(shard, before))
    }

    fn new_iterator(&mut self, shard: usize, before: usize) -> String {
        self.acts += 1;
        let iterator = format!("{shard}/{before}/{}", self.acts);
        self.iterators.insert(iterator.clone(), (shard, before));
        iterator
    }

    /// Some of the records, or none of them, although there are more: so does the service.
    fn records(&mut self, iterator: &str, most: usize, dice: &mut Dice) -> Answer {
        let Some((shard, before)) = self.iterators.get(iterator).copied() else {
            return Answer::Expired;
        };
        let stored = &self.shards[shard];
        if before < stored.forgotten {
            return Answer::Trimmed;
        }
        let there = stored.records.len() - before;
        let given = dice.below(there.min(most) + 1);
        let records = stored.records[before..before + given]
            .iter()
            .map(|(_, record)| record.clone());
        let records: Vec<Record> = records.collect();
        let ended = stored.closed && given == there;
        Answer::Records {
            records,
            next: (!ended).then(|| self.new_iterator(shard, before + given)),
        }
    }
}

/// The image of a root: its changes say which of their key they are, in place of the actor.
fn root_of(key: usize, changes: impl Iterator<Item = u64> + Clone) -> HashMap<String, Streamed> {
    let deeds: Vec<Deed> = changes
        .clone()
        .map(|change| Deed {
            action: ChangeAction::Put,
            actor: change.to_string(),
            events: Vec::new(),
        })
        .collect();
    let mut item = Map::new();
    item.text(SK, "R");
    let row = RowKey::Id(Uuid::from_u128(key as u128));
    let version = i64::try_from(changes.last().unwrap()).unwrap();
    change::write_head(&mut item, (Aggregate::Order, &row), version, version, &deeds);
    item.iter()
        .map(|(name, value)| (name.clone(), streamed(value)))
        .collect()
}

/// The same value in the words of the streams' client.
fn streamed(value: &AttributeValue) -> Streamed {
    match value {
        AttributeValue::S(text) => Streamed::S(text.clone()),
        AttributeValue::N(digits) => Streamed::N(digits.clone()),
        AttributeValue::L(values) => Streamed::L(values.iter().map(streamed).collect()),
        AttributeValue::M(values) => {
            let values = values.iter().map(|(name, value)| (name.clone(), streamed(value)));
            Streamed::M(values.collect())
        }
        other => panic!("a root has no such value: {other:?}"),
    }
}
