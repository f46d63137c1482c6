//! What a write set would cost on a store, before it is sent.

use std::fmt;

use super::Capability;
use super::Delta;
use super::Parts;
use super::WriteSet;
use crate::model::Record;

/// The cost of a write set on one store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Name of the engine.
    pub engine: &'static str,
    /// Operations, as the store's limit counts them.
    pub operations: usize,
    /// Rows written, the change records and the commit row included; a store may keep many records in one row.
    pub rows: usize,
    /// Why the store would refuse it; `None` when it could take it.
    pub refusal: Option<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} operations, {} rows",
            self.engine, self.operations, self.rows
        )?;
        match &self.refusal {
            Some(reason) => write!(f, ", refused: {reason}"),
            None => Ok(()),
        }
    }
}

impl WriteSet {
    /// Tells what the set costs on a store with this capability, and whether the store could take it.
    #[must_use]
    pub fn explain(&self, capability: &Capability) -> Explanation {
        let touched = self.touched();
        let operations = self.operations();
        let foreign = touched
            .iter()
            .find(|(aggregate, _)| !capability.holds(*aggregate));
        let refusal = match foreign {
            Some((aggregate, _)) => Some(format!("{} is not held here", aggregate.as_str())),
            None if operations > capability.limits.operations => {
                Some(format!("more than {} operations", capability.limits.operations))
            }
            None => None,
        };
        let parts: usize = self
            .puts
            .iter()
            .map(|put| {
                if put.parts == Parts::Whole {
                    parts_of(&put.record)
                } else {
                    0
                }
            })
            .sum();
        let steps = self
            .deltas
            .iter()
            .filter(|delta| !matches!(delta, Delta::Order { .. } | Delta::Payment { .. }))
            .count();
        let keys =
            self.all_claims().len() + self.all_releases().len() + usize::from(self.idempotency.is_some());
        // Each touched aggregate writes its root and its change record; one row names the commit.
        let rows = if self.is_read_only() {
            0
        } else {
            touched.len() * 2 + parts + steps + keys + 1
        };
        Explanation {
            engine: capability.engine,
            operations,
            rows,
            refusal,
        }
    }
}

fn parts_of(record: &Record) -> usize {
    match record {
        Record::Product(product) => product.variants.len(),
        Record::Cart(cart) => cart.lines.len(),
        Record::Order(order) => order.lines.len(),
        Record::Payment(_) | Record::Level(_) => 0,
    }
}
