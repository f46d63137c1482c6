//! Aggregates as items: one file each, with its attributes, its entries in the indexes, and the way back.

pub(super) mod cart;
pub(super) mod change;
pub(super) mod level;
pub(super) mod order;
pub(super) mod past;
pub(super) mod payment;
pub(super) mod product;

use std::time::Duration;

use super::item::Map;
use super::item::Read as _;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Expiry;
use crate::model::Record;
use crate::model::Timestamp;
use crate::model::Version;

/// Version of an aggregate; absent where it is not there, or no more.
pub(super) const VERSION: &str = "v";

/// Seconds since 1970 after which the service may remove an item by itself.
pub(super) const TTL: &str = "ttl";

/// The attributes of a record, keys and version apart.
pub(super) fn write(record: &Record, now: Timestamp) -> Map {
    match record {
        Record::Product(product) => product::write(product),
        Record::Cart(cart) => cart::write(cart, now),
        Record::Order(order) => order::write(order),
        Record::Payment(payment) => payment::write(payment, now),
        Record::Level(level) => level::write(level),
    }
}

/// The attribute that holds the parts of an aggregate, which a put of the root alone leaves as they are.
pub(super) const fn parts(aggregate: Aggregate) -> Option<&'static str> {
    match aggregate {
        Aggregate::Product => Some(product::PARTS),
        Aggregate::Cart => Some(cart::LINES),
        Aggregate::Order => Some(order::PARTS),
        Aggregate::Payment | Aggregate::Level => None,
    }
}

/// The version that an item has; 0 where there is none.
pub(super) fn version_number(item: Option<&Map>) -> Result<i64> {
    item.map_or(Ok(None), |item| item.opt_get_int(VERSION))
        .map(Option::unwrap_or_default)
}

fn version(item: &Map) -> Result<Version> {
    Version::try_from(item.get_int(VERSION)?).map_err(Error::corrupted)
}

/// The longest that something lives after its commit: past a hundred years times overflow.
const LONGEST: time::Duration = time::Duration::days(36_525);

/// When something ends, with a life that is counted from now; a life of nothing lasts a microsecond.
pub(super) fn ends(expiry: Expiry, now: Timestamp) -> Timestamp {
    match expiry {
        Expiry::At(at) => at,
        Expiry::In(life) => now.checked_add(life_of(life)).unwrap_or(now),
    }
}

/// A life that a time can be moved by.
pub(super) fn life_of(life: Duration) -> time::Duration {
    let life = time::Duration::try_from(life).unwrap_or(LONGEST);
    life.clamp(time::Duration::MICROSECOND, LONGEST)
}
