//! The feed: the streams of the tables, read as one. What happened to an aggregate stands in its root, and a stream tells the
//! changes of one item in their order.
//!
//! - Which questions a read asks, and what the answers come to, is a state machine without I/O (`reading`); here they are asked.
//! - A position is the number of the last record that was given whole, and how many changes of the next one. The service's own
//!   iterators end after 15 minutes: they are kept in memory only, and made again from the number.
//! - A stream keeps its records for a day: whoever stays away for longer has to begin anew.

mod iterators;
mod place;
mod reading;
mod record;
mod shards;
#[cfg(test)]
#[cfg(feature = "testkit")]
mod simulation;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsError;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;

use self::iterators::Iterators;
use self::place::Origin;
use self::place::Place;
use self::reading::Answer;
use self::reading::Ask;
use self::reading::Reading;
use self::reading::Step;
use self::shards::Shard;
use self::shards::Shards;
use super::epoch::Epoch;
use super::epoch::restored;
use super::tables::Table;
use super::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::micros;
use crate::resilience::Deadline;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// How far the clocks of two processes may be apart, in microseconds, where a place is told by time.
const SKEW: i64 = 60 * 1_000_000;

/// Reads the feed.
#[derive(Debug)]
pub(super) struct DynamoChanges {
    wire: Arc<Wire>,
    epoch: Epoch,
    streams: tokio::sync::OnceCell<HashMap<Table, String>>,
    iterators: Iterators,
}

/// A shard that is read.
struct Source<'a> {
    table: Table,
    shard: &'a str,
    arn: &'a str,
    origin: Origin,
}

impl DynamoChanges {
    pub(super) fn new(wire: Arc<Wire>, epoch: Epoch) -> Self {
        Self {
            wire,
            epoch,
            streams: tokio::sync::OnceCell::new(),
            iterators: Iterators::default(),
        }
    }

    async fn streams(&self, deadline: Deadline) -> Result<&HashMap<Table, String>> {
        let find = || async {
            let mut streams = HashMap::new();
            for table in Table::ALL.into_iter().filter(|table| table.has_stream()) {
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

    async fn iterator(
        &self,
        source: &Source<'_>,
        kind: ShardIteratorType,
        record: Option<String>,
        deadline: Deadline,
    ) -> Result<Answer> {
        let send = || async {
            let call = self.wire.streams.get_shard_iterator();
            let call = call.stream_arn(source.arn).shard_id(source.shard);
            let call = call
                .shard_iterator_type(kind.clone())
                .set_sequence_number(record.clone());
            match call.send().await {
                Ok(answer) => Ok(answer.shard_iterator.map_or(Answer::Gone, Answer::Iterator)),
                Err(error) => match error.as_service_error() {
                    Some(GetShardIteratorError::TrimmedDataAccessException(_)) => Ok(Answer::Trimmed),
                    Some(GetShardIteratorError::ResourceNotFoundException(_)) => Ok(Answer::Gone),
                    _ => Err(error),
                },
            }
        };
        self.wire.read(deadline, send).await
    }

    async fn records(&self, iterator: &str, most: usize, deadline: Deadline) -> Result<Answer> {
        let send = || async {
            let call = self.wire.streams.get_records().shard_iterator(iterator);
            match call.limit(i32::try_from(most).unwrap_or(i32::MAX)).send().await {
                Ok(answer) => Ok(Answer::Records {
                    records: answer.records.unwrap_or_default(),
                    next: answer.next_shard_iterator,
                }),
                Err(error) => match error.as_service_error() {
                    Some(GetRecordsError::ExpiredIteratorException(_)) => Ok(Answer::Expired),
                    Some(GetRecordsError::TrimmedDataAccessException(_)) => Ok(Answer::Trimmed),
                    Some(GetRecordsError::ResourceNotFoundException(_)) => Ok(Answer::Gone),
                    _ => Err(error),
                },
            }
        };
        self.wire.read(deadline, send).await
    }

    async fn answer(&self, source: &Source<'_>, ask: Ask, deadline: Deadline) -> Result<Answer> {
        match ask {
            Ask::Iterator(None) => {
                let oldest = ShardIteratorType::TrimHorizon;
                self.iterator(source, oldest, None, deadline).await
            }
            Ask::Iterator(record) => {
                let behind = ShardIteratorType::AfterSequenceNumber;
                self.iterator(source, behind, record, deadline).await
            }
            Ask::Records { iterator, most } => self.records(&iterator, most, deadline).await,
            Ask::Children => {
                let shards = self.shards(source.table, source.arn, deadline).await?;
                Ok(Answer::Children(shards.children(source.shard)))
            }
        }
    }

    async fn page(
        &self,
        source: &Source<'_>,
        place: Place,
        limit: usize,
        deadline: Deadline,
    ) -> Result<ChangePage> {
        let known = self.iterators.at(&source.origin.position(&place), Instant::now());
        let (mut reading, mut ask) = Reading::begin(place, known, limit);
        loop {
            let answer = self.answer(source, ask, deadline).await?;
            let step = reading.on(answer);
            let (place, iterator) = reading.known();
            self.iterators
                .keep(&source.origin.position(place), iterator, Instant::now());
            match step? {
                Step::Ask(next) => ask = next,
                Step::Page(told, end) => {
                    return Ok(ChangePage {
                        next: source.origin.position(&told.place),
                        changes: told.changes,
                        end,
                    });
                }
            }
        }
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
        let epoch = Epoch::read(&self.wire, deadline).await?;
        self.epoch.saw(epoch);
        let mut tail = Vec::new();
        for (table, arn) in self.streams(deadline).await? {
            for shard in self.shards(*table, arn, deadline).await?.open() {
                let source = Source {
                    table: *table,
                    shard: &shard.id,
                    arn,
                    origin: Origin::new(epoch, arn, &shard.id),
                };
                let position = source
                    .origin
                    .position(&Place::Since(micros(self.wire.clock.now()), 0));
                let latest = ShardIteratorType::Latest;
                // Without one the records are told by time.
                if let Answer::Iterator(iterator) = self.iterator(&source, latest, None, deadline).await? {
                    self.iterators.keep(&position, Some(&iterator), Instant::now());
                }
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
        let epoch = Epoch::read(&self.wire, deadline).await?;
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
        let source = Source {
            table,
            shard,
            arn,
            origin,
        };
        self.page(&source, place, read.limit, deadline).await
    }
}
