//! The feed: a stream that the commit script writes together with what it changes, numbered without gaps.

use std::sync::Arc;

use async_trait::async_trait;

use super::position::Place;
use super::record::corrupt;
use super::record::number;
use super::record::text;
use super::record::time;
use super::record::uuid;
use super::wire::Wire;
use crate::backend::feed;
use crate::backend::redis::client::Reply;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// Changes of a page at most, whatever is asked for: the server does nothing else meanwhile.
const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct RedisChanges(pub(super) Arc<Wire>);

impl RedisChanges {
    fn keys(&self) -> Vec<String> {
        vec![self.0.keys.epoch(), self.0.keys.changes()]
    }
}

#[async_trait]
impl ChangeSource for RedisChanges {
    async fn partitions(&self, _: Deadline) -> Result<Vec<Partition>> {
        self.0.check_open()?;
        Ok(feed::partitions())
    }

    async fn tail(&self, deadline: Deadline) -> Result<Vec<(PartitionId, Position)>> {
        let ask = (self.keys(), Vec::new());
        let reply = self.0.ask(&self.0.programs.tail, ask, deadline).await?;
        let [epoch, last] = reply.list()? else {
            return Err(corrupt("tail"));
        };
        let epoch = number(text(epoch)?)?;
        self.0.saw(epoch);
        let last = last.list()?.first().map(entry).transpose()?;
        let place = last.map_or_else(
            || beginning(epoch),
            |(number, entry)| behind(epoch, number, &entry),
        );
        Ok(vec![(feed::partition(), place.position())])
    }

    async fn read(&self, read: FeedRead<'_>, deadline: Deadline) -> Result<ChangePage> {
        let limit = feed::limit(&read, PAGE)?;
        let from = read.after.map(Place::read).transpose()?;
        let words = match &from {
            Some(place) => [
                place.epoch.to_string(),
                place.number.to_string(),
                place.nonce.clone(),
            ],
            None => [String::new(), "0".to_owned(), String::new()],
        };
        let words = words.into_iter().chain([limit.to_string()]).collect();
        let reply = self
            .0
            .ask(&self.0.programs.feed, (self.keys(), words), deadline)
            .await?;
        let [code, rest @ ..] = reply.list()? else {
            return Err(corrupt("feed"));
        };
        match (text(code)?, rest) {
            ("page", [epoch, more, found]) => self.page(number(text(epoch)?)?, more.number()?, found, from),
            ("restored", [epoch]) => {
                let made = from.map_or(0, |place| place.epoch);
                Err(self.0.restored(made, number(text(epoch)?)?))
            }
            ("dropped", []) => Err(dropped()),
            _ => Err(corrupt("feed")),
        }
    }
}

impl RedisChanges {
    fn page(&self, epoch: i64, more: i64, found: &Reply, from: Option<Place>) -> Result<ChangePage> {
        self.0.saw(epoch);
        let mut place = from.unwrap_or_else(|| beginning(epoch));
        let mut changes = Vec::new();
        for one in found.list()? {
            let (number, entry) = entry(one)?;
            changes.push(entry.change()?);
            place = behind(epoch, number, &entry);
        }
        Ok(ChangePage {
            changes,
            next: place.position(),
            end: if more == 1 {
                PartitionEnd::More
            } else {
                PartitionEnd::Reached
            },
        })
    }
}

fn beginning(epoch: i64) -> Place {
    Place {
        epoch,
        number: 0,
        nonce: String::new(),
    }
}

fn behind(epoch: i64, number: u64, entry: &Entry<'_>) -> Place {
    Place {
        epoch,
        number,
        nonce: entry.nonce.to_owned(),
    }
}

fn dropped() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the feed no longer has all changes behind this position: begin anew",
    )
}

/// An entry of the stream, its fields in the order in which the script writes them.
struct Entry<'a> {
    nonce: &'a str,
    id: &'a str,
    version: &'a str,
    action: &'a str,
    at: &'a str,
    actor: &'a str,
    events: &'a str,
}

fn entry(reply: &Reply) -> Result<(u64, Entry<'_>)> {
    let [id, fields] = reply.list()? else {
        return Err(corrupt("change"));
    };
    let place = text(id)?.strip_suffix("-0").ok_or_else(|| corrupt("change"))?;
    let values = fields.list()?.chunks(2).map(|pair| match pair {
        [_, value] => text(value),
        _ => Err(corrupt("change")),
    });
    let [nonce, id, version, action, at, actor, events] = values.collect::<Result<Vec<_>>>()?[..] else {
        return Err(corrupt("change"));
    };
    let entry = Entry {
        nonce,
        id,
        version,
        action,
        at,
        actor,
        events,
    };
    Ok((number(place)?, entry))
}

impl Entry<'_> {
    fn change(&self) -> Result<Change> {
        Ok(Change {
            aggregate: Aggregate::Cart,
            key: RowKey::Id(uuid(self.id)?),
            version: Version::from(number::<u64>(self.version)?),
            action: ChangeAction::parse(self.action).ok_or_else(|| corrupt("action"))?,
            actor: self.actor.to_owned(),
            at: time(self.at)?,
            events: serde_json::from_str(self.events).map_err(|error| corrupt("events").caused_by(error))?,
        })
    }
}
