//! Reading items: by key, as one moment, and in the order of their sort keys.

use std::collections::BTreeSet;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::Get;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use aws_sdk_dynamodb::types::TransactGetItem;

use super::item::Map;
use super::keys::Key;
use super::keys::PK;
use super::keys::SK;
use super::tables::Index;
use super::tables::Table;
use super::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Backoff;
use crate::resilience::Deadline;

/// Items that one call takes at most: of a batch as of a transaction.
const MOST: usize = 100;

/// Items by key; what is absent is not in it.
pub(super) type Found = HashMap<Key, Map>;

/// Which items of a partition to read.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) table: Table,
    pub(super) index: Option<Index>,
    pub(super) partition: String,
    /// Sort keys from here on, included.
    pub(super) from: String,
    /// Sort keys up to here, included.
    pub(super) to: String,
    /// Whether the highest comes first.
    pub(super) latest_first: bool,
}

/// Above every sort key: U+10FFFF is the last character there is.
pub(super) const LAST: &str = "\u{10FFFF}";

/// Below every sort key. An empty one is not allowed.
pub(super) const FIRST: &str = "\u{1}";

impl Range {
    /// All of a partition whose sort keys begin so.
    pub(super) fn beginning(table: Table, partition: impl Into<String>, with: &str) -> Self {
        Self {
            table,
            index: None,
            partition: partition.into(),
            from: if with.is_empty() {
                FIRST.to_owned()
            } else {
                with.to_owned()
            },
            to: format!("{with}{LAST}"),
            latest_first: false,
        }
    }

    /// All of a partition of an index.
    pub(super) fn of_index(index: Index, partition: impl Into<String>) -> Self {
        Self {
            index: Some(index),
            ..Self::beginning(index.table(), partition, "")
        }
    }

    #[must_use]
    pub(super) fn latest_first(mut self) -> Self {
        self.latest_first = true;
        self
    }

    /// The names of its partition and sort keys.
    const fn names(&self) -> (&'static str, &'static str) {
        match self.index {
            Some(index) => (index.names().1, index.names().2),
            None => (PK, SK),
        }
    }
}

/// Some items of a range, and where to read on.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) items: Vec<Map>,
    pub(super) next: Option<Map>,
}

impl Wire {
    /// Items by key, each as it is after every write that returned before; not all of one moment.
    pub(super) async fn get(&self, keys: impl IntoIterator<Item = Key>, deadline: Deadline) -> Result<Found> {
        let mut found = Found::new();
        // One key may stand once in a call.
        let keys: Vec<Key> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        // The call for one item is the faster one.
        if let [key] = keys.as_slice() {
            let item = self.get_one(key, deadline).await?;
            found.extend(item.map(|item| (key.clone(), item)));
            return Ok(found);
        }
        for chunk in keys.chunks(MOST) {
            self.get_chunk(chunk, &mut found, deadline).await?;
        }
        Ok(found)
    }

    async fn get_one(&self, key: &Key, deadline: Deadline) -> Result<Option<Map>> {
        let send = || {
            let call = self.client.get_item().table_name(self.name(key.table));
            call.set_key(Some(key.attributes())).consistent_read(true).send()
        };
        Ok(self.read(deadline, send).await?.item)
    }

    /// What the service does not get done is asked for again after a pause, however often, until the deadline.
    async fn get_chunk(&self, keys: &[Key], found: &mut Found, deadline: Deadline) -> Result<()> {
        let mut asked: HashMap<String, KeysAndAttributes> = HashMap::new();
        for table in Table::ALL {
            let of_table: Vec<Map> = keys
                .iter()
                .filter(|key| key.table == table)
                .map(Key::attributes)
                .collect();
            if !of_table.is_empty() {
                let keys = KeysAndAttributes::builder()
                    .set_keys(Some(of_table))
                    .consistent_read(true)
                    .build()
                    .map_err(incomplete)?;
                asked.insert(self.name(table).to_owned(), keys);
            }
        }
        let pauses = Backoff::default();
        let mut attempt = 0;
        while !asked.is_empty() {
            let send = || {
                let call = self.client.batch_get_item();
                call.set_request_items(Some(asked.clone())).send()
            };
            let answer = self.read(deadline, send).await?;
            for (name, items) in answer.responses.unwrap_or_default() {
                let Some(table) = self.table(&name) else { continue };
                found.extend(
                    items
                        .into_iter()
                        .filter_map(|item| Some((Key::of(table, &item)?, item))),
                );
            }
            asked = answer.unprocessed_keys.unwrap_or_default();
            if !asked.is_empty() {
                let pause = pauses.next(attempt);
                if pause >= deadline.remaining() {
                    return Err(super::error::timeout());
                }
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
        }
        Ok(())
    }

    /// Items by key, all of one moment where there are at most a hundred.
    pub(super) async fn snapshot(&self, keys: &BTreeSet<Key>, deadline: Deadline) -> Result<Found> {
        let keys: Vec<&Key> = keys.iter().collect();
        let mut found = Found::new();
        for chunk in keys.chunks(MOST) {
            let gets = chunk.iter().map(|key| {
                let get = Get::builder()
                    .table_name(self.name(key.table))
                    .set_key(Some(key.attributes()))
                    .build()
                    .map_err(incomplete)?;
                Ok(TransactGetItem::builder().get(get).build())
            });
            let gets = gets.collect::<Result<Vec<_>>>()?;
            let send = || {
                let call = self.client.transact_get_items();
                call.set_transact_items(Some(gets.clone())).send()
            };
            let answer = self.read(deadline, send).await?;
            for (key, answer) in chunk.iter().zip(answer.responses.unwrap_or_default()) {
                if let Some(item) = answer.item {
                    found.insert((*key).clone(), item);
                }
            }
        }
        Ok(found)
    }

    /// Items of a range in order, at most so many, behind `after`.
    ///
    /// - Strongly consistent, but for those of an index.
    pub(super) async fn slice(
        &self,
        range: &Range,
        (limit, after): (usize, Option<Map>),
        deadline: Deadline,
    ) -> Result<Slice> {
        let (pk, sk) = range.names();
        let send = || {
            self.client
                .query()
                .table_name(self.name(range.table))
                .set_index_name(range.index.map(|index| index.names().0.to_owned()))
                .key_condition_expression("#p = :p AND #s BETWEEN :from AND :to")
                .expression_attribute_names("#p", pk)
                .expression_attribute_names("#s", sk)
                .expression_attribute_values(":p", AttributeValue::S(range.partition.clone()))
                .expression_attribute_values(":from", AttributeValue::S(range.from.clone()))
                .expression_attribute_values(":to", AttributeValue::S(range.to.clone()))
                .consistent_read(range.index.is_none())
                .scan_index_forward(!range.latest_first)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .set_exclusive_start_key(after.clone())
                .send()
        };
        let answer = self.read(deadline, send).await?;
        Ok(Slice {
            items: answer.items.unwrap_or_default(),
            next: answer.last_evaluated_key.filter(|key| !key.is_empty()),
        })
    }

    /// All items of a range.
    pub(super) async fn all(&self, range: &Range, deadline: Deadline) -> Result<Vec<Map>> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let slice = self.slice(range, (1_000, after), deadline).await?;
            items.extend(slice.items);
            match slice.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// Hands every item of a table to `look`, in no order.
    pub(super) async fn scan(
        &self,
        table: Table,
        mut look: impl FnMut(Map) -> Result<()> + Send,
        deadline: Deadline,
    ) -> Result<()> {
        let mut after: Option<Map> = None;
        loop {
            let send = || {
                self.client
                    .scan()
                    .table_name(self.name(table))
                    .consistent_read(true)
                    .set_exclusive_start_key(after.clone())
                    .send()
            };
            let answer = self.read(deadline, send).await?;
            answer
                .items
                .unwrap_or_default()
                .into_iter()
                .try_for_each(&mut look)?;
            match answer.last_evaluated_key.filter(|key| !key.is_empty()) {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// A call without something that it must have.
pub(super) fn incomplete(error: aws_sdk_dynamodb::error::BuildError) -> Error {
    Error::new(ErrorKind::Internal, "a call is incomplete").caused_by(error)
}
