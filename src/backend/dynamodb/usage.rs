//! What the calls of a store cost, and how often the service throttled them.

use std::collections::BTreeMap;

/// What a store's calls have cost since it was opened, in this process.
///
/// ```no_run
/// # fn show(store: &stockroom::DynamoStore) {
/// let usage = store.usage();
/// for (operation, cost) in usage.operations() {
///     println!("{operation}: {} calls, {} read units, {} write units", cost.calls, cost.read_units, cost.write_units);
/// }
/// if usage.throttles.hot_key > 0 {
///     println!("one key is asked for too much");
/// }
/// # }
/// ```
///
/// - Units are those that the service reports. It reports none for calls that it refuses, though it may charge for them: a
///   condition that does not hold costs as much as the write.
/// - DynamoDB Local reports the units of one item for each table of a transaction, and none for what is absent.
/// - Calls of streams and of the tables' management are not in it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DynamoUsage {
    pub(super) operations: BTreeMap<&'static str, OperationUsage>,
    /// Attempts that were throttled, by reason.
    pub throttles: Throttles,
    /// How often something was tried once more because the service throttled or failed: each is paid for out of a budget.
    pub repeats: u64,
}

/// What the calls of one kind have cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OperationUsage {
    /// Attempts that were made.
    pub calls: u64,
    /// Those of them that failed or were refused; what was given up when its time was over is not in it.
    pub failed: u64,
    /// Read capacity units.
    pub read_units: f64,
    /// Write capacity units.
    pub write_units: f64,
}

/// Attempts that were throttled, by the reason that the service gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Throttles {
    /// One key, or keys beside it, is asked for more than a partition gives (`KeyRangeThroughputExceeded`).
    pub hot_key: u64,
    /// The throughput that a table or an index is provisioned with is used up (`ProvisionedThroughputExceeded`).
    pub table: u64,
    /// The limit that was set for a table on demand is reached (`MaxOnDemandThroughputExceeded`).
    pub maximum: u64,
    /// The account's limit in the region is reached (`AccountLimitExceeded`, `RequestLimitExceeded`).
    pub account: u64,
    /// The service gave no reason: a cancelled transaction tells `ThrottlingError`, whatever was too much.
    pub untold: u64,
}

impl DynamoUsage {
    /// The kinds of calls that were made, such as `BatchGetItem`, with their cost.
    pub fn operations(&self) -> impl Iterator<Item = (&'static str, &OperationUsage)> {
        self.operations
            .iter()
            .map(|(operation, usage)| (*operation, usage))
    }

    /// What the calls of one kind have cost.
    #[must_use]
    pub fn operation(&self, name: &str) -> OperationUsage {
        self.operations.get(name).copied().unwrap_or_default()
    }

    /// What all calls have cost.
    #[must_use]
    pub fn total(&self) -> OperationUsage {
        let mut total = OperationUsage::default();
        for usage in self.operations.values() {
            total.calls += usage.calls;
            total.failed += usage.failed;
            total.read_units += usage.read_units;
            total.write_units += usage.write_units;
        }
        total
    }

    /// What was added since `earlier`, a look at the same store.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let operations = self.operations.iter().map(|(name, now)| {
            let before = earlier.operation(name);
            let since = OperationUsage {
                calls: now.calls.saturating_sub(before.calls),
                failed: now.failed.saturating_sub(before.failed),
                read_units: now.read_units - before.read_units,
                write_units: now.write_units - before.write_units,
            };
            (*name, since)
        });
        Self {
            operations: operations.filter(|(_, usage)| usage.calls > 0).collect(),
            throttles: self.throttles.since(earlier.throttles),
            repeats: self.repeats.saturating_sub(earlier.repeats),
        }
    }
}

impl Throttles {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.hot_key + self.table + self.maximum + self.account + self.untold
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            hot_key: self.hot_key.saturating_sub(earlier.hot_key),
            table: self.table.saturating_sub(earlier.table),
            maximum: self.maximum.saturating_sub(earlier.maximum),
            account: self.account.saturating_sub(earlier.account),
            untold: self.untold.saturating_sub(earlier.untold),
        }
    }

    /// Counts a reason in the service's words, such as `TableWriteKeyRangeThroughputExceeded`.
    pub(super) fn count(&mut self, reason: &str) {
        let counter = match reason {
            _ if reason.ends_with("KeyRangeThroughputExceeded") => &mut self.hot_key,
            _ if reason.ends_with("MaxOnDemandThroughputExceeded") => &mut self.maximum,
            _ if reason.ends_with("ProvisionedThroughputExceeded") => &mut self.table,
            _ if reason.ends_with("AccountLimitExceeded") => &mut self.account,
            "RequestLimitExceeded" => &mut self.account,
            _ => &mut self.untold,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart() {
        let mut throttles = Throttles::default();
        for reason in [
            "TableReadKeyRangeThroughputExceeded",
            "IndexWriteProvisionedThroughputExceeded",
            "ProvisionedThroughputExceeded",
            "TableReadMaxOnDemandThroughputExceeded",
            "TableWriteAccountLimitExceeded",
            "RequestLimitExceeded",
            "ThrottlingError",
        ] {
            throttles.count(reason);
        }
        let expected = Throttles {
            hot_key: 1,
            table: 2,
            maximum: 1,
            account: 2,
            untold: 1,
        };
        assert_eq!((throttles, throttles.total()), (expected, 7));
    }

    #[test]
    fn what_was_added_is_the_difference() {
        let usage = |calls| DynamoUsage {
            operations: BTreeMap::from([(
                "GetItem",
                OperationUsage {
                    calls,
                    read_units: 0.5,
                    ..OperationUsage::default()
                },
            )]),
            ..DynamoUsage::default()
        };
        assert_eq!(usage(7).since(&usage(3)).operation("GetItem").calls, 4);
        assert_eq!(usage(7).since(&usage(7)).operations().count(), 0);
        assert_eq!(usage(7).total().calls, 7);
    }
}
