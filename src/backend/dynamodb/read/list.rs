//! Lists over indexes: one or several ranges in one order, in pages behind a place.

use std::collections::VecDeque;

use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::missing;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Result;
use crate::resilience::Deadline;

/// Entries of an index in one order, from several partitions.
pub(super) struct Merge<'a> {
    wire: &'a Wire,
    streams: Vec<Stream>,
    latest_first: bool,
    deadline: Deadline,
}

struct Stream {
    range: Range,
    buffer: VecDeque<String>,
    /// Where to read on; `None` once everything was read.
    next: Option<Option<Map>>,
}

/// Entries that are read from a partition at once.
const SLICE: usize = 100;

impl<'a> Merge<'a> {
    /// The sort keys of these ranges, which must be of one index; those that lie on or before `after` are left out.
    pub(super) fn new(
        wire: &'a Wire,
        ranges: impl IntoIterator<Item = Range>,
        after: Option<&str>,
        deadline: Deadline,
    ) -> Self {
        let streams = ranges.into_iter().map(|mut range| {
            if let Some(after) = after {
                // U+0001 is below every character of a key: nothing lies between the two.
                if range.latest_first {
                    range.to = range.to.min(after.to_owned());
                } else {
                    range.from = range.from.max(format!("{after}\u{1}"));
                }
            }
            Stream {
                range,
                buffer: VecDeque::new(),
                next: Some(None),
            }
        });
        let streams: Vec<_> = streams.collect();
        Self {
            wire,
            latest_first: streams.iter().any(|stream| stream.range.latest_first),
            streams,
            deadline,
        }
    }

    /// The next sort keys, at most so many; none at the end.
    pub(super) async fn take(&mut self, most: usize, after: Option<&str>) -> Result<Vec<String>> {
        let mut taken: Vec<String> = Vec::new();
        while taken.len() < most {
            for stream in &mut self.streams {
                stream.fill(self.wire, self.deadline).await?;
            }
            let fronts = self.streams.iter_mut().filter(|stream| !stream.buffer.is_empty());
            let latest_first = self.latest_first;
            let first = fronts.min_by(|one, other| {
                let order = one.buffer.front().cmp(&other.buffer.front());
                if latest_first { order.reverse() } else { order }
            });
            let Some(place) = first.and_then(|stream| stream.buffer.pop_front()) else {
                break;
            };
            // The place itself is in a range that ends with it.
            if after != Some(place.as_str()) {
                taken.push(place);
            }
        }
        Ok(taken)
    }
}

impl Stream {
    async fn fill(&mut self, wire: &Wire, deadline: Deadline) -> Result<()> {
        while self.buffer.is_empty()
            && let Some(after) = self.next.take()
        {
            if self.range.from > self.range.to {
                return Ok(());
            }
            let slice = wire.slice(&self.range, (SLICE, after), deadline).await?;
            let place = self.range.index.map_or("sk", |index| index.names().2);
            for item in &slice.items {
                self.buffer
                    .push_back(item.get_text(place).map_err(|_| missing("sk"))?.to_owned());
            }
            self.next = slice.next.map(Some);
        }
        Ok(())
    }
}
