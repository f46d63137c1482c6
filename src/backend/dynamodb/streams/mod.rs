//! The feed: the streams of the tables, read as one. What happened to an aggregate stands in its root, and a stream tells the
//! changes of one item in their order.
//!
//! - A position is the number of the last record that was given whole, and how many changes of the next one. The service's own
//!   iterators end after 15 minutes: they are kept in memory only, and made again from the number.
//! - A stream keeps its records for a day: whoever stays away for longer has to begin anew.

mod place;
mod record;
mod shards;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsError;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsOutput;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;

use self::place::Origin;
use self::place::Place;
use self::record::Told;
use self::shards::Shard;
use self::shards::Shards;
use super::epoch;
use super::tables::Table;
use super::wire::Wire;
use crate::backend::epoch::Epoch;
use crate::backend::epoch::restored;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::micros;
use crate::resilience::Deadline;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// Records that the service gives at once at most.
const RECORDS: usize = 1_000;

/// How often one read goes on over pages without records: a shard in which little happens has many of them.
const EMPTY: usize = 4;

/// How long an iterator is used; it ends after 15 minutes.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// How far the clocks of two processes may be apart, in microseconds, where a place is told by time.
const SKEW: i64 = 60 * 1_000_000;

/// The tables whose streams make the feed.
const FOLLOWED: [Table; 4] = [Table::Catalogue, Table::Carts, Table::Orders, Table::Inventory];

/// Reads the feed.
#[derive(Debug)]
pub(super) struct DynamoChanges {
    wire: Arc<Wire>,
    epoch: Epoch,
    streams: tokio::sync::OnceCell<HashMap<Table, String>>,
    /// Iterators at or behind a place, with nothing between.
    iterators: Mutex<HashMap<Vec<u8>, (String, Instant)>>,
}

/// A shard that is read.
struct Reading<'a> {
    table: Table,
    shard: &'a str,
    arn: &'a str,
    origin: Origin,
}

/// What came of asking for records.
enum Records {
    Some(Box<GetRecordsOutput>),
    /// The iterator has ended.
    Ended,
    /// What the iterator stood at is forgotten.
    Trimmed,
}

impl DynamoChanges {
    pub(super) fn new(wire: Arc<Wire>, epoch: Epoch) -> Self {
        Self {
            wire,
            epoch,
            streams: tokio::sync::OnceCell::new(),
            iterators: Mutex::default(),
        }
    }

    async fn streams(&self, deadline: Deadline) -> Result<&HashMap<Table, String>> {
        let find = || async {
            let mut streams = HashMap::new();
            for table in FOLLOWED {
                let send = || {
                    let call = self.wire.client.describe_table();
                    call.table_name(self.wire.name(table)).send()
                };
                let found = self.wire.read(deadline, send).await?.table;
                let arn = found.and_then(|table| table.latest_stream_arn);
                let arn = arn.ok_or_else(|| {
                    Error::new(
                        ErrorKind::Config,
                        format!(
                            "table {} has no stream: enable one with new images",
                            self.wire.name(table)
                        ),
                    )
                })?;
                streams.insert(table, arn);
            }
            Ok(streams)
        };
        self.streams.get_or_try_init(find).await
    }

    async fn shards(&self, table: Table, arn: &str, deadline: Deadline) -> Result<Shards> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let send = || {
                self.wire
                    .streams
                    .describe_stream()
                    .stream_arn(arn)
                    .set_exclusive_start_shard_id(after.clone())
                    .send()
            };
            let found = self.wire.read(deadline, send).await?.stream_description;
            let Some(found) = found else { break };
            all.extend(found.shards().iter().filter_map(|shard| {
                let range = shard.sequence_number_range();
                Some(Shard {
                    id: shard.shard_id()?.to_owned(),
                    parent: shard.parent_shard_id().map(str::to_owned),
                    closed: range.is_some_and(|range| range.ending_sequence_number().is_some()),
                })
            }));
            after = found.last_evaluated_shard_id;
            if after.is_none() {
                break;
            }
        }
        Ok(Shards { table, all })
    }

    /// An iterator at a place: one that is known, or a new one.
    async fn iterator(&self, reading: &Reading<'_>, place: &Place, deadline: Deadline) -> Result<String> {
        let position = reading.origin.position(place);
        if let Some((iterator, since)) = self.known().get(position.as_bytes())
            && since.elapsed() < FRESH
        {
            return Ok(iterator.clone());
        }
        let (kind, record) = match place {
            Place::After(Some(record), _) => (ShardIteratorType::AfterSequenceNumber, Some(record.clone())),
            Place::After(None, _) | Place::Since(..) => (ShardIteratorType::TrimHorizon, None),
        };
        self.new_iterator(reading, kind, record, deadline).await
    }

    async fn new_iterator(
        &self,
        reading: &Reading<'_>,
        kind: ShardIteratorType,
        record: Option<String>,
        deadline: Deadline,
    ) -> Result<String> {
        let send = || async {
            let call = self.wire.streams.get_shard_iterator();
            let call = call.stream_arn(reading.arn).shard_id(reading.shard);
            let call = call
                .shard_iterator_type(kind.clone())
                .set_sequence_number(record.clone());
            match call.send().await {
                Ok(answer) => Ok(answer.shard_iterator),
                Err(error) if error.as_service_error().is_some_and(is_trimmed) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.wire.read(deadline, send).await?.ok_or_else(trimmed)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, (String, Instant)>> {
        self.iterators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an iterator of a place, and forgets those that have ended.
    fn keep(&self, position: &Position, iterator: &str) {
        let mut known = self.known();
        known.retain(|_, (_, since)| since.elapsed() < FRESH);
        known.insert(
            position.as_bytes().to_vec(),
            (iterator.to_owned(), Instant::now()),
        );
    }

    async fn records(&self, iterator: &str, most: usize, deadline: Deadline) -> Result<Records> {
        let send = || async {
            let call = self.wire.streams.get_records().shard_iterator(iterator);
            match call.limit(i32::try_from(most).unwrap_or(1_000)).send().await {
                Ok(answer) => Ok(Records::Some(Box::new(answer))),
                Err(error) => match error.as_service_error() {
                    Some(GetRecordsError::ExpiredIteratorException(_)) => Ok(Records::Ended),
                    Some(GetRecordsError::TrimmedDataAccessException(_)) => Ok(Records::Trimmed),
                    _ => Err(error),
                },
            }
        };
        self.wire.read(deadline, send).await
    }

    async fn page(
        &self,
        reading: &Reading<'_>,
        place: Place,
        limit: usize,
        deadline: Deadline,
    ) -> Result<ChangePage> {
        let mut iterator = self.iterator(reading, &place, deadline).await?;
        // About every second record is a root; a page that is not full is no end.
        let most = limit.saturating_mul(4).min(RECORDS);
        let mut tries = 0;
        let mut from_the_oldest = false;
        loop {
            let answer = match self.records(&iterator, most, deadline).await? {
                Records::Some(answer) => *answer,
                Records::Ended => {
                    self.known().remove(reading.origin.position(&place).as_bytes());
                    iterator = self.iterator(reading, &place, deadline).await?;
                    continue;
                }
                // Nothing was read of the shard: what it still has is what there is, from the oldest on.
                Records::Trimmed if !from_the_oldest && !matches!(place, Place::After(Some(_), _)) => {
                    from_the_oldest = true;
                    let oldest = ShardIteratorType::TrimHorizon;
                    iterator = self.new_iterator(reading, oldest, None, deadline).await?;
                    continue;
                }
                Records::Trimmed => return Err(trimmed()),
            };
            let told = record::tell(&answer.records.unwrap_or_default(), &place, limit)?;
            let next = answer.next_shard_iterator;
            if told.changes.is_empty() && told.place == place {
                let Some(next) = next else {
                    return self.closed(reading, told, deadline).await;
                };
                self.keep(&reading.origin.position(&place), &next);
                tries += 1;
                if tries >= EMPTY {
                    return Ok(page(reading, told, PartitionEnd::Reached));
                }
                iterator = next;
                continue;
            }
            return match next {
                None if !told.cut => self.closed(reading, told, deadline).await,
                next => {
                    if let (Some(next), false) = (&next, told.cut) {
                        self.keep(&reading.origin.position(&told.place), next);
                    }
                    Ok(page(reading, told, PartitionEnd::More))
                }
            };
        }
    }

    async fn closed(&self, reading: &Reading<'_>, told: Told, deadline: Deadline) -> Result<ChangePage> {
        let shards = self.shards(reading.table, reading.arn, deadline).await?;
        let children = shards.children(reading.shard);
        Ok(page(reading, told, PartitionEnd::Closed { children }))
    }
}

fn page(reading: &Reading<'_>, told: Told, end: PartitionEnd) -> ChangePage {
    ChangePage {
        next: reading.origin.position(&told.place),
        changes: told.changes,
        end,
    }
}

#[async_trait]
impl ChangeSource for DynamoChanges {
    async fn partitions(&self, deadline: Deadline) -> Result<Vec<Partition>> {
        let mut partitions = Vec::new();
        for (table, arn) in self.streams(deadline).await? {
            let shards = self.shards(*table, arn, deadline).await?;
            partitions.extend(shards.partitions());
        }
        Ok(partitions)
    }

    async fn tail(&self, deadline: Deadline) -> Result<Vec<(PartitionId, Position)>> {
        let epoch = epoch::read(&self.wire, deadline).await?;
        self.epoch.saw(epoch);
        let mut tail = Vec::new();
        for (table, arn) in self.streams(deadline).await? {
            for shard in self.shards(*table, arn, deadline).await?.open() {
                let reading = Reading {
                    table: *table,
                    shard: &shard.id,
                    arn,
                    origin: Origin::new(epoch, arn, &shard.id),
                };
                let position = reading
                    .origin
                    .position(&Place::Since(micros(self.wire.clock.now()), 0));
                let latest = ShardIteratorType::Latest;
                let iterator = self.new_iterator(&reading, latest, None, deadline).await?;
                self.keep(&position, &iterator);
                tail.push((shards::partition(*table, &shard.id), position));
            }
        }
        Ok(tail)
    }

    async fn read(&self, read: FeedRead<'_>, deadline: Deadline) -> Result<ChangePage> {
        if read.limit == 0 {
            return Err(Error::invalid("limit", "a page has one change or more"));
        }
        let streams = self.streams(deadline).await?;
        let unknown = || Error::invalid("partition", "the feed has no partition of this name");
        let (table, shard) = shards::parse(read.partition).ok_or_else(unknown)?;
        let arn = streams.get(&table).ok_or_else(unknown)?;
        let epoch = epoch::read(&self.wire, deadline).await?;
        self.epoch.saw(epoch);
        let origin = Origin::new(epoch, arn, shard);
        let place = match read.after {
            None => Place::After(None, 0),
            Some(position) => {
                let (made, place) = place::parse(position, &origin.shard)?;
                if made != epoch {
                    return Err(restored(made, epoch));
                }
                place
            }
        };
        let reading = Reading {
            table,
            shard,
            arn,
            origin,
        };
        self.page(&reading, place, read.limit, deadline).await
    }
}

fn is_trimmed(error: &GetShardIteratorError) -> bool {
    error.is_trimmed_data_access_exception() || error.is_resource_not_found_exception()
}

fn trimmed() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the stream has forgotten what comes behind this position: begin anew, and rebuild what follows the changes",
    )
}
