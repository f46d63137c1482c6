//! Which request is struck by what, and what was counted.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::DynamoFault;
use crate::testkit::random::Random;

/// What passed the layer, and what struck it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DynamoCounts {
    requests: BTreeMap<String, u64>,
    items: u64,
    struck: BTreeMap<DynamoFault, u64>,
}

impl DynamoCounts {
    /// How often a call was made, such as `TransactWriteItems`: each attempt counts, whatever became of it.
    #[must_use]
    pub fn requests(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or_default()
    }

    /// How many items requests were to write or check: the service counts each as two units of a transaction, for each KB.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// How often a fault has struck.
    #[must_use]
    pub fn struck(&self, fault: DynamoFault) -> u64 {
        self.struck.get(&fault).copied().unwrap_or_default()
    }
}

/// A fault that strikes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) fault: DynamoFault,
    /// How often it has struck, this time included.
    pub(crate) count: u64,
    /// For whatever else is left to chance.
    pub(crate) random: u64,
}

#[derive(Debug)]
pub(super) struct Plan {
    random: Random,
    /// Percent of the requests that a fault can strike.
    pub(super) rates: BTreeMap<DynamoFault, u8>,
    /// Strikes that are due at once.
    pub(super) due: BTreeMap<DynamoFault, u64>,
    pub(super) counts: DynamoCounts,
    /// How often each item was written, if that is counted.
    pub(super) items: Option<HashMap<String, u64>>,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            rates: BTreeMap::new(),
            due: BTreeMap::new(),
            counts: DynamoCounts::default(),
            items: None,
        }
    }

    pub(super) fn sent(&mut self, operation: &str, items: usize, written: impl Iterator<Item = String>) {
        self.counts.items += items as u64;
        *self.counts.requests.entry(operation.to_owned()).or_default() += 1;
        if let Some(items) = &mut self.items {
            written.for_each(|item| *items.entry(item).or_default() += 1);
        }
    }

    /// The fault that strikes a call; an item that is busy strikes beside others and is asked for by itself.
    pub(super) fn strike(&mut self, operation: &str) -> Option<Strike> {
        let others = || {
            DynamoFault::ALL
                .iter()
                .filter(|fault| **fault != DynamoFault::BusyItem)
        };
        if let Some(due) = others().find(|fault| self.is_due(**fault, operation)) {
            return Some(self.count(*due));
        }
        // Each fault draws for each of its calls, so that another beside it does not change when it strikes.
        let struck: Vec<_> = others().filter(|fault| self.draws(**fault, operation)).collect();
        struck.first().map(|fault| self.count(**fault))
    }

    /// Whether a call keeps its items busy.
    pub(super) fn busies(&mut self, operation: &str) -> bool {
        let fault = DynamoFault::BusyItem;
        let busies = self.is_due(fault, operation) || self.draws(fault, operation);
        if busies {
            self.count(fault);
        }
        busies
    }

    fn is_due(&mut self, fault: DynamoFault, operation: &str) -> bool {
        let due = self
            .due
            .get_mut(&fault)
            .filter(|due| **due > 0 && fault.strikes(operation));
        due.map(|due| *due -= 1).is_some()
    }

    fn draws(&mut self, fault: DynamoFault, operation: &str) -> bool {
        let rate = self.rates.get(&fault).copied().unwrap_or_default();
        rate > 0 && fault.strikes(operation) && self.random.strikes(rate)
    }

    fn count(&mut self, fault: DynamoFault) -> Strike {
        let count = self.counts.struck.entry(fault).or_default();
        *count += 1;
        Strike {
            fault,
            count: *count,
            random: self.random.draw(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(rate: u8, seed: u64) -> Vec<usize> {
        let mut plan = Plan::new(seed);
        plan.rates.insert(DynamoFault::LostReply, rate);
        (0..1_000).filter(|_| plan.strike("PutItem").is_some()).collect()
    }

    #[test]
    fn a_seed_strikes_the_same_requests_at_about_the_rate() {
        assert_eq!(struck(30, 7), struck(30, 7));
        assert_ne!(struck(30, 7), struck(30, 8));
        assert!((240..360).contains(&struck(30, 7).len()));
        assert_eq!((struck(0, 7).len(), struck(100, 7).len()), (0, 1_000));
    }

    #[test]
    fn what_is_due_strikes_first_and_is_counted() {
        let mut plan = Plan::new(1);
        plan.due.insert(DynamoFault::TransactionInProgress, 2);
        let operations = [
            "BatchGetItem",
            "TransactWriteItems",
            "TransactWriteItems",
            "TransactWriteItems",
        ];
        let struck = operations.map(|operation| plan.strike(operation).is_some());
        assert_eq!(struck, [false, true, true, false]);
        assert_eq!(plan.counts.struck(DynamoFault::TransactionInProgress), 2);
    }
}
