//! How tables are made where they are made on request.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// Tags that the service takes for one table, and the characters of a tag's key and value.
const MOST_TAGS: usize = 50;
const LONGEST_TAG_KEY: usize = 128;
const LONGEST_TAG_VALUE: usize = 256;

/// What auto scaling takes as a target, in percent.
const TARGETS: std::ops::RangeInclusive<u8> = 20..=90;

/// How the tables of a shop are made by [`Migrate::Apply`](crate::Migrate::Apply), and what
/// [`DynamoStore::describe`](crate::DynamoStore::describe) compares them with.
///
/// - As new: on demand, encrypted by a key of the service, without point-in-time recovery, tags and protection from deletion.
/// - All tables of a shop are made alike. What exists already is left as it is; `describe` tells what differs.
/// - Keys, indexes, streams and the removal of what has ended are the store's own, and no option.
///
/// ```
/// use stockroom::backend::dynamo::{Scaling, TableOptions};
///
/// let options = TableOptions::new()
///     .provisioned(Scaling::between(10, 1_000), Scaling::between(10, 500).target(60))
///     .point_in_time_recovery()
///     .protected_from_deletion()
///     .encrypted_with("arn:aws:kms:eu-central-1:111122223333:key/1234abcd")
///     .tag("team", "checkout");
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    pub(super) capacity: TableCapacity,
    pub(super) recovery: bool,
    pub(super) encryption: TableEncryption,
    pub(super) protection: bool,
    pub(super) tags: BTreeMap<String, String>,
}

/// What is paid for reads and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableCapacity {
    /// By the request.
    #[default]
    OnDemand,
    /// So many units a second for a table, and for each of its indexes.
    Provisioned {
        /// Read units.
        reads: Scaling,
        /// Write units.
        writes: Scaling,
    },
}

/// Capacity units of a table, and of each of its indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    pub(super) least: u32,
    pub(super) most: u32,
    pub(super) target: u8,
}

impl Scaling {
    /// Always so many units a second.
    #[must_use]
    pub const fn fixed(units: u32) -> Self {
        Self::between(units, units)
    }

    /// Between so many and so many units a second. Tables are made with the least;
    /// [`DynamoOptions::auto_scaling`](crate::DynamoOptions::auto_scaling) prints what makes them follow the load.
    #[must_use]
    pub const fn between(least: u32, most: u32) -> Self {
        Self {
            least,
            most,
            target: 70,
        }
    }

    /// How much of the capacity shall be in use, in percent: 20 to 90; 70 unless told otherwise.
    #[must_use]
    pub const fn target(mut self, percent: u8) -> Self {
        self.target = percent;
        self
    }

    pub(super) const fn is_fixed(&self) -> bool {
        self.least == self.most
    }
}

/// The key that tables are encrypted with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableEncryption {
    /// A key of the service, at no cost.
    #[default]
    ServiceKey,
    /// The account's own key for DynamoDB, which the service manages.
    ManagedKey,
    /// A key of the account, by its ARN, id or alias.
    Key(String),
}

impl TableOptions {
    /// Tables on demand.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tables whose capacity is provisioned, instead of by the request.
    #[must_use]
    pub const fn provisioned(mut self, reads: Scaling, writes: Scaling) -> Self {
        self.capacity = TableCapacity::Provisioned { reads, writes };
        self
    }

    /// Keeps what it takes to restore the tables to any second of the last 35 days.
    #[must_use]
    pub const fn point_in_time_recovery(mut self) -> Self {
        self.recovery = true;
        self
    }

    /// Encrypts the tables with the account's own key for DynamoDB.
    #[must_use]
    pub fn encrypted_with_managed_key(mut self) -> Self {
        self.encryption = TableEncryption::ManagedKey;
        self
    }

    /// Encrypts the tables with this key, named by its ARN, id or alias. A policy can be printed for an ARN only.
    #[must_use]
    pub fn encrypted_with(mut self, key: impl Into<String>) -> Self {
        self.encryption = TableEncryption::Key(key.into());
        self
    }

    /// Lets nobody delete the tables before the protection is switched off.
    #[must_use]
    pub const fn protected_from_deletion(mut self) -> Self {
        self.protection = true;
        self
    }

    /// A tag for each table, such as for the bill.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// # Errors
    /// `Config` naming what the service would refuse.
    pub(super) fn check(&self) -> Result<()> {
        if let TableCapacity::Provisioned { reads, writes } = self.capacity {
            for scaling in [reads, writes] {
                if scaling.least == 0 || scaling.least > scaling.most {
                    return Err(config(
                        "capacity is provisioned from 1 unit on, and not beyond its most",
                    ));
                }
                if !TARGETS.contains(&scaling.target) {
                    return Err(config("auto scaling takes a target of 20 to 90 percent"));
                }
            }
        }
        if self.encryption == TableEncryption::Key(String::new()) {
            return Err(config("the name of the key to encrypt tables with is empty"));
        }
        let is_wrong = |(key, value): (&String, &String)| {
            let length = key.chars().count();
            length == 0
                || length > LONGEST_TAG_KEY
                || key.starts_with("aws:")
                || value.chars().count() > LONGEST_TAG_VALUE
        };
        if self.tags.len() > MOST_TAGS || self.tags.iter().any(is_wrong) {
            return Err(config(
                "a table has at most 50 tags, with keys of 1 to 128 characters that do not begin with aws: and values of at most 256",
            ));
        }
        Ok(())
    }
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_would_refuse_is_refused_first() {
        let new = TableOptions::new;
        let five = Scaling::fixed(5);
        let mut crowded = new();
        for number in 0..51 {
            crowded = crowded.tag(format!("tag {number}"), "");
        }
        for wrong in [
            new().provisioned(Scaling::fixed(0), five),
            new().provisioned(five, Scaling::between(9, 8)),
            new().provisioned(five.target(95), five),
            new().encrypted_with(""),
            new().tag("", "value"),
            new().tag("aws:name", "value"),
            new().tag("name", "x".repeat(257)),
            crowded,
        ] {
            assert!(wrong.check().unwrap_err().is(ErrorKind::Config), "{wrong:?}");
        }
        let right = new().provisioned(five, Scaling::between(1, 10).target(20));
        right.encrypted_with_managed_key().tag("a", "b").check().unwrap();
    }
}
