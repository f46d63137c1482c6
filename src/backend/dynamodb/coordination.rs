//! Who reads the feed up to where: leases and positions as items, each step a conditional write on holder and fence.
//!
//! - A step is one call, so that a call that is dropped has happened or not; saving with letters is one transaction.
//! - A checkpoint that is forgotten stays as an item that nobody is shown: its fence must go on rising, since what an earlier
//!   holder sends late is told by it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::Put;
use aws_sdk_dynamodb::types::ReturnValue;
use aws_sdk_dynamodb::types::TransactWriteItem;
use aws_sdk_dynamodb::types::Update;
use uuid::Uuid;

use super::error::Class;
use super::fetch::Range;
use super::fetch::incomplete;
use super::item::Map;
use super::item::Read as _;
use super::item::missing;
use super::keys::Key;
use super::keys::SK;
use super::letters;
use super::records::life_of;
use super::tables::Table;
use super::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::micros;
use crate::resilience::Deadline;
use crate::spi::changes::Checkpoint;
use crate::spi::changes::Coordination;
use crate::spi::changes::DeadLetter;
use crate::spi::changes::FeedLease;
use crate::spi::changes::LeaseRequest;
use crate::spi::changes::Position;
use crate::spi::changes::Progress;
use crate::spi::changes::SinkReport;

/// Letters that are kept in one step at most: the transaction's hundred items less the checkpoint.
const MOST_LETTERS: usize = 99;

/// Takes the lease of a checkpoint that is free.
const ACQUIRE: &str = "SET holder = :holder, leased_until = :until ADD fence :one";
const FREE: &str = "attribute_not_exists(holder) OR holder = :holder OR leased_until <= :now";

/// Whoever saves must have the lease still.
const HELD: &str = "holder = :holder AND fence = :fence";
const RENEW: &str = "SET leased_until = :until";
const SAVE: &str = "SET leased_until = :until, place = :place, done = :done";
const SAVE_NOWHERE: &str = "SET leased_until = :until, done = :done REMOVE place";
const RELEASE: &str = "REMOVE holder SET leased_until = :never";

/// A forgotten checkpoint has neither holder nor life.
const FORGET: &str = "REMOVE holder, leased_until, place, done ADD fence :one";

/// Positions, leases and letters in the table of keys.
#[derive(Debug)]
pub(super) struct DynamoCoordination(pub(super) Arc<Wire>);

/// The place of a checkpoint: those of a sink, whose name is all before the slash, lie together.
fn checkpoint(name: &str) -> Key {
    Key::new(Table::Keys, sink_partition(name), name)
}

fn sink_partition(name: &str) -> String {
    let sink = name.split_once('/').map_or(name, |(sink, _)| sink);
    format!("checkpoint#{sink}")
}

/// The checkpoints of a sink.
fn checkpoints(sink: &str) -> Range {
    Range::beginning(Table::Keys, sink_partition(sink), &format!("{sink}/"))
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn id(id: Uuid) -> AttributeValue {
    AttributeValue::S(id.to_string())
}

impl DynamoCoordination {
    fn now(&self) -> i64 {
        micros(self.0.clock.now())
    }

    fn until(&self, ttl: Duration) -> AttributeValue {
        let now = self.0.clock.now();
        number(now.checked_add(life_of(ttl)).map_or(i64::MAX, micros))
    }

    fn update(&self, key: &Key, update: &str) -> UpdateItemFluentBuilder {
        self.0
            .client
            .update_item()
            .table_name(self.0.name(key.table))
            .set_key(Some(key.attributes()))
            .update_expression(update)
    }

    /// Sends an update; `None` when its condition does not hold.
    async fn send(
        &self,
        update: UpdateItemFluentBuilder,
        deadline: Deadline,
    ) -> Result<Option<UpdateItemOutput>> {
        match self.0.call(deadline, || update.clone().send()).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failed) if failed.class == Class::Condition => Ok(None),
            Err(failed) => Err(failed.error),
        }
    }

    async fn save_with_letters(
        &self,
        lease: &FeedLease,
        (update, values): (&str, Map),
        kept: &[DeadLetter],
        deadline: Deadline,
    ) -> Result<bool> {
        if kept.len() > MOST_LETTERS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("at most {MOST_LETTERS} letters are kept in one step"),
            ));
        }
        let key = checkpoint(&lease.checkpoint);
        let table = self.0.name(key.table);
        let save = Update::builder()
            .table_name(table)
            .set_key(Some(key.attributes()))
            .update_expression(update)
            .condition_expression(HELD)
            .set_expression_attribute_values(Some(values))
            .build()
            .map_err(incomplete)?;
        let mut items = vec![TransactWriteItem::builder().update(save).build()];
        for letter in kept {
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(letters::write(letter)));
            let put = put.build().map_err(incomplete)?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        // One token for all attempts: what was applied is not applied again.
        let token = Uuid::now_v7().to_string();
        let send = || {
            let call = self.0.client.transact_write_items();
            call.client_request_token(token.as_str())
                .set_transact_items(Some(items.clone()))
                .send()
        };
        match self.0.call(deadline, send).await {
            Ok(_) => Ok(true),
            Err(failed) if failed.class == Class::Condition => Ok(false),
            Err(failed) => Err(failed.error),
        }
    }
}

#[async_trait]
impl Coordination for DynamoCoordination {
    async fn acquire(&self, request: LeaseRequest<'_>, deadline: Deadline) -> Result<Option<FeedLease>> {
        let update = self
            .update(&checkpoint(request.checkpoint), ACQUIRE)
            .condition_expression(FREE)
            .expression_attribute_values(":holder", id(request.holder))
            .expression_attribute_values(":until", self.until(request.ttl))
            .expression_attribute_values(":now", number(self.now()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        let Some(answer) = self.send(update, deadline).await? else {
            return Ok(None);
        };
        let item = answer.attributes.unwrap_or_default();
        Ok(Some(FeedLease {
            checkpoint: request.checkpoint.to_owned(),
            holder: request.holder,
            fence: item.get_int("fence")?,
            position: position(&item)?,
            done: item.opt_get_int("done")? == Some(1),
        }))
    }

    async fn save(&self, lease: &FeedLease, progress: Progress, deadline: Deadline) -> Result<()> {
        let mut values = held(lease);
        values.insert(":until".to_owned(), self.until(progress.ttl));
        values.insert(":done".to_owned(), number(i64::from(progress.done)));
        let text = match &progress.position {
            Some(place) => {
                let place = AttributeValue::B(Blob::new(place.as_bytes()));
                values.insert(":place".to_owned(), place);
                SAVE
            }
            None => SAVE_NOWHERE,
        };
        let saved = if progress.letters.is_empty() {
            let update = self
                .update(&checkpoint(&lease.checkpoint), text)
                .condition_expression(HELD)
                .set_expression_attribute_values(Some(values));
            self.send(update, deadline).await?.is_some()
        } else {
            self.save_with_letters(lease, (text, values), &progress.letters, deadline)
                .await?
        };
        if saved { Ok(()) } else { Err(lost(lease)) }
    }

    async fn renew(&self, lease: &FeedLease, ttl: Duration, deadline: Deadline) -> Result<()> {
        let update = self
            .update(&checkpoint(&lease.checkpoint), RENEW)
            .condition_expression(HELD)
            .set_expression_attribute_values(Some(held(lease)))
            .expression_attribute_values(":until", self.until(ttl));
        match self.send(update, deadline).await? {
            Some(_) => Ok(()),
            None => Err(lost(lease)),
        }
    }

    async fn release(&self, lease: &FeedLease, deadline: Deadline) -> Result<()> {
        let update = self
            .update(&checkpoint(&lease.checkpoint), RELEASE)
            .condition_expression(HELD)
            .set_expression_attribute_values(Some(held(lease)))
            .expression_attribute_values(":never", number(0));
        // Taken by another since: there is nothing to give up.
        self.send(update, deadline).await.map(drop)
    }

    async fn report(&self, sink: &str, deadline: Deadline) -> Result<SinkReport> {
        let items = self.0.all(&checkpoints(sink), deadline).await?;
        let shown = items.iter().filter(|item| item.contains_key("leased_until"));
        let checkpoints = shown.map(|item| {
            Ok(Checkpoint {
                name: item.get_text(SK)?.to_owned(),
                holder: item.opt_get_id("holder")?,
                position: position(item)?,
                done: item.opt_get_int("done")? == Some(1),
            })
        });
        let checkpoints = checkpoints.collect::<Result<_>>()?;
        let kept = Range::beginning(Table::Keys, letters::letters(sink), "");
        Ok(SinkReport {
            checkpoints,
            dead_letters: self.0.all(&kept, deadline).await?.len() as u64,
        })
    }

    async fn letters(&self, sink: &str, page: &PageRequest, deadline: Deadline) -> Result<Page<DeadLetter>> {
        let digest = Cursor::digest(&format!("letters:{sink}"));
        let bad_cursor = || Error::invalid("after", "is not a cursor of this list");
        let mut range = Range::beginning(Table::Keys, letters::letters(sink), "").latest_first();
        let after = match page.position(digest)?.as_deref() {
            None => None,
            Some([CursorValue::Text(id)]) => Some(Uuid::parse_str(id).map_err(|_| bad_cursor())?.to_string()),
            _ => return Err(bad_cursor()),
        };
        if let Some(after) = &after {
            range.to.clone_from(after);
        }
        let wanted = page.limit() as usize + 1;
        let (mut items, mut next): (Vec<DeadLetter>, _) = (Vec::new(), None);
        while items.len() < wanted {
            let slice = self.0.slice(&range, (wanted + 1, next), deadline).await?;
            for item in &slice.items {
                if Some(item.get_text(SK)?) != after.as_deref() {
                    items.push(letters::read(item)?);
                }
            }
            match slice.next {
                Some(more) => next = Some(more),
                None => break,
            }
        }
        items.truncate(wanted);
        Ok(Page::cut(items, page, |letter| {
            Cursor::encode(digest, &[CursorValue::Text(letter.id.to_string())])
        }))
    }

    async fn discard(&self, sink: &str, letter: Uuid, deadline: Deadline) -> Result<bool> {
        let key = letters::place(sink, letter);
        let send = || {
            self.0
                .client
                .delete_item()
                .table_name(self.0.name(key.table))
                .set_key(Some(key.attributes()))
                .return_values(ReturnValue::AllOld)
                .send()
        };
        let answer = self.0.read(deadline, send).await?;
        Ok(answer.attributes.is_some_and(|item| !item.is_empty()))
    }

    async fn forget(&self, sink: &str, deadline: Deadline) -> Result<()> {
        for item in self.0.all(&checkpoints(sink), deadline).await? {
            let key = Key::of(Table::Keys, &item).ok_or_else(|| missing("key"))?;
            let update = self
                .update(&key, FORGET)
                .expression_attribute_values(":one", number(1));
            self.send(update, deadline).await?;
        }
        Ok(())
    }
}

/// What a step is conditioned on.
fn held(lease: &FeedLease) -> Map {
    Map::from([
        (":holder".to_owned(), id(lease.holder)),
        (":fence".to_owned(), number(lease.fence)),
    ])
}

fn position(item: &Map) -> Result<Option<Position>> {
    Ok(item.opt_get_bytes("place")?.map(Position::new))
}

fn lost(lease: &FeedLease) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "another has taken the lease since: stop, and acquire it again",
    )
    .concerning(&lease.checkpoint)
}
