//! The changes of a transaction as the service is sent them: every item under the condition that it still is as it was read.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ConditionCheck;
use aws_sdk_dynamodb::types::Delete;
use aws_sdk_dynamodb::types::Put;
use aws_sdk_dynamodb::types::TransactWriteItem;
use uuid::Uuid;

use super::facts::Facts;
use super::guard::Guard;
use super::trial::OWNER;
use super::world::Changes;
use super::world::Log;
use crate::backend::dynamodb::error::Class;
use crate::backend::dynamodb::error::failure;
use crate::backend::dynamodb::error::timeout;
use crate::backend::dynamodb::fetch::incomplete;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records::TTL;
use crate::backend::dynamodb::records::change;
use crate::backend::dynamodb::records::change::LAST_CHANGE;
use crate::backend::dynamodb::records::level::COUNTED;
use crate::backend::dynamodb::records::level::MOST_SHARES;
use crate::backend::dynamodb::records::past::Past;
use crate::backend::dynamodb::tables::Table;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::micros;
use crate::resilience::Deadline;

/// How long a removed aggregate is told of, in seconds: longer than the day for which streams keep their records.
const TOLD: i64 = 30 * 86_400;

/// How long a transaction is remembered, in seconds: far longer than anyone asks for its outcome.
const REMEMBERED: i64 = 7 * 86_400;

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is through.
    Applied,
    /// An item was not as it had been read, or another transaction was at work on it; nothing was written.
    Moved(Error),
    /// The service throttles; nothing was written.
    Busy(Error),
    /// It was refused for good; nothing was written.
    Failed(Error),
    /// Whether it is through, or still will be, is not known.
    Doubtful(Error),
}

/// The items of a transaction.
pub(super) struct Composer<'a> {
    pub(super) wire: &'a Wire,
    pub(super) facts: &'a Facts,
}

impl Composer<'_> {
    /// What is sent for these changes; nothing where nothing is written or checked.
    pub(super) fn compose(&self, commit: Uuid, changes: &Changes) -> Result<Vec<TransactWriteItem>> {
        let mut sent = Vec::new();
        let homes: HashMap<&Key, &Log> = changes
            .logs
            .iter()
            .map(|(root, log)| (log.home.as_ref().unwrap_or(root), log))
            .collect();
        for (key, item) in &changes.items {
            match (item, homes.get(key)) {
                (Some(item), Some(log)) => sent.extend(self.aggregate(key, item.clone(), log)?),
                (None, Some(log)) => sent.extend(self.removed(key, log)?),
                (item, None) if key.is_level() || key.is_share() => {
                    sent.extend(self.share(key, item.as_ref())?);
                }
                (item, None) => sent.extend(self.other(key, item.as_ref())?),
            }
        }
        for (key, version) in &changes.checks {
            if !changes.items.contains_key(key) {
                sent.push(self.check(key, *version)?);
            }
        }
        if !changes.items.is_empty() {
            sent.push(self.commit_item(commit)?);
        }
        Ok(sent)
    }

    /// An aggregate as it becomes, with what happened to it, and the item of its history where there is one.
    ///
    /// What happened stands in the root: streams tell the changes of one item in their order, and of different items in none.
    fn aggregate(&self, key: &Key, mut item: Map, log: &Log) -> Result<Vec<TransactWriteItem>> {
        let number = self.number(key, item.contains_key(COUNTED))?;
        self.head(&mut item, log, number);
        let history = if log.row.0 == Aggregate::Level {
            Some(self.history(log, number)?)
        } else {
            let past = Past::of(self.facts.items.get(key))?;
            if past.is_long() {
                self.past(past, log, &mut item)?
            } else {
                past.keep(&mut item);
                None
            }
        };
        let guard = Guard::version(self.facts.version(key)?);
        Ok([self.put(key, item, &guard)?]
            .into_iter()
            .chain(history)
            .collect())
    }

    /// The item that the past of an aggregate is moved to.
    fn past(&self, past: Past, log: &Log, root: &mut Map) -> Result<Option<TransactWriteItem>> {
        let row = (log.row.0, &log.row.1);
        let Some((number, item)) = past.apart(row, root)? else {
            return Ok(None);
        };
        let key = Key::change(row.0, row.1, number);
        self.put(&key, item, &Guard::ABSENT).map(Some)
    }

    /// A share of a level that another one tells the changes of.
    pub(super) fn share(&self, key: &Key, item: Option<&Map>) -> Result<Option<TransactWriteItem>> {
        let stored = self.facts.version(key)?;
        let guard = Guard::version(stored);
        match item {
            Some(item) => {
                let mut item = item.clone();
                // What it told before is told: the feed passes over it.
                item.remove(change::CHANGES);
                self.put(key, item, &guard).map(Some)
            }
            None if stored == 0 => Ok(None),
            None => self.delete(key, &guard).map(Some),
        }
    }

    /// What is left of an aggregate that is removed: no version, but what happened last. Its past stays, though the service
    /// will remove the root.
    fn removed(&self, key: &Key, log: &Log) -> Result<Vec<TransactWriteItem>> {
        let number = self.number(key, false)?;
        let mut item = Map::new();
        self.head(&mut item, log, number);
        item.int(TTL, self.seconds() + TOLD);
        let history = if log.row.0 == Aggregate::Level {
            Some(self.history(log, number)?)
        } else {
            let past = Past::of(self.facts.items.get(key))?.and_now(&item);
            self.past(past, log, &mut item)?
        };
        let guard = Guard::version(self.facts.version(key)?);
        Ok([self.put(key, item, &guard)?]
            .into_iter()
            .chain(history)
            .collect())
    }

    fn head(&self, item: &mut Map, log: &Log, number: i64) {
        let at = micros(self.facts.now);
        change::write_head(item, (log.row.0, &log.row.1), log.version, at, &log.deeds);
        item.int(LAST_CHANGE, number);
    }

    fn number(&self, key: &Key, is_spread: bool) -> Result<i64> {
        let last = self
            .facts
            .items
            .get(key)
            .map(|item| item.opt_get_int(LAST_CHANGE));
        let (last, now) = (last.transpose()?.flatten(), micros(self.facts.now));
        if !is_spread {
            return Ok(last.map_or(now, |last| last.saturating_add(1)));
        }
        // Each share has numbers of its own, so that two of them never give one change the place of another's.
        let least = last.map_or(now, |last| now.max(last.saturating_add(1)));
        let stride = i64::try_from(MOST_SHARES).unwrap_or(1);
        let own = i64::try_from(key.share_number()).unwrap_or_default();
        Ok(least + (own - least).rem_euclid(stride))
    }

    fn history(&self, log: &Log, number: i64) -> Result<TransactWriteItem> {
        let key = Key::change(log.row.0, &log.row.1, number);
        let place = (number, log.version, micros(self.facts.now));
        let item = change::write((log.row.0, &log.row.1), place, &log.deeds, &log.moves);
        self.put(&key, item, &Guard::ABSENT)
    }

    /// A unique key, a line of a hold, or the pointer to a payment.
    fn other(&self, key: &Key, item: Option<&Map>) -> Result<Option<TransactWriteItem>> {
        let guard = match key.table {
            Table::Keys => match (self.owner(key), item.and_then(|item| item.get(OWNER))) {
                (was, is) if was == is => return Ok(None),
                (Some(was), _) => Guard::was("#owner = :was", was.clone()),
                (None, _) => Guard::ABSENT,
            },
            Table::Inventory => match (self.is_known_line(key), item) {
                (false, None) => return Ok(None),
                (false, Some(_)) => Guard::ABSENT,
                (true, _) => Guard::PRESENT,
            },
            // It says nothing that its payment does not say, and the payment has a guard.
            Table::Orders | Table::Catalogue | Table::Carts => Guard::NONE,
        };
        match item {
            Some(item) => self.put(key, item.clone(), &guard).map(Some),
            None => self.delete(key, &guard).map(Some),
        }
    }

    fn owner(&self, key: &Key) -> Option<&AttributeValue> {
        self.facts.items.get(key)?.get(OWNER)
    }

    fn is_known_line(&self, key: &Key) -> bool {
        let mut over = self.facts.over.values().flat_map(|over| &over.lines);
        self.facts.items.contains_key(key) || over.any(|line| line.key() == *key)
    }

    fn commit_item(&self, commit: Uuid) -> Result<TransactWriteItem> {
        let mut item = Map::new();
        item.int("at", micros(self.facts.now));
        item.int(TTL, self.seconds() + REMEMBERED);
        self.put(&Key::commit(commit), item, &Guard::ABSENT)
    }

    fn seconds(&self) -> i64 {
        self.facts.now.unix_timestamp()
    }

    fn put(&self, key: &Key, mut item: Map, guard: &Guard) -> Result<TransactWriteItem> {
        item.extend(key.attributes());
        let put = Put::builder()
            .table_name(self.wire.name(key.table))
            .set_item(Some(item))
            .set_condition_expression(guard.text.map(str::to_owned))
            .set_expression_attribute_names(guard.names())
            .set_expression_attribute_values(guard.values())
            .build()
            .map_err(incomplete)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete(&self, key: &Key, guard: &Guard) -> Result<TransactWriteItem> {
        let delete = Delete::builder()
            .table_name(self.wire.name(key.table))
            .set_key(Some(key.attributes()))
            .set_condition_expression(guard.text.map(str::to_owned))
            .set_expression_attribute_names(guard.names())
            .set_expression_attribute_values(guard.values())
            .build()
            .map_err(incomplete)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn check(&self, key: &Key, version: i64) -> Result<TransactWriteItem> {
        let guard = Guard::version(version);
        let check = ConditionCheck::builder()
            .table_name(self.wire.name(key.table))
            .set_key(Some(key.attributes()))
            .set_condition_expression(guard.text.map(str::to_owned))
            .set_expression_attribute_values(guard.values())
            .build()
            .map_err(incomplete)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}

impl Wire {
    /// Sends a transaction once. The service takes the same token with the same items for one transaction, for ten minutes.
    pub(super) async fn transact(
        &self,
        commit: Uuid,
        items: Vec<TransactWriteItem>,
        deadline: Deadline,
    ) -> Sent {
        let call = self
            .client
            .transact_write_items()
            .client_request_token(commit.to_string())
            .set_transact_items(Some(items))
            .send();
        match deadline.min(self.attempt_timeout).bound(call).await {
            Some(Ok(_)) => Sent::Applied,
            Some(Err(error)) => ended(error),
            None => Sent::Doubtful(timeout()),
        }
    }
}

fn ended(error: SdkError<TransactWriteItemsError>) -> Sent {
    let failed = failure(error);
    match failed.class {
        Class::Condition | Class::Contended => Sent::Moved(failed.error),
        Class::Again => Sent::Busy(failed.error),
        Class::Doubtful => Sent::Doubtful(failed.error),
        Class::Final => Sent::Failed(failed.error),
    }
}
