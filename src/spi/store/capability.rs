//! What a store can do, as plain facts: the builder refuses what they do not allow.

use crate::model::Aggregate;
use crate::model::MAX_LINES;

/// The facts about a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Capability {
    /// Name of the engine, as used in errors and metrics: `sqlite`, `postgresql`, `dynamodb`.
    pub engine: &'static str,
    /// Aggregates that it holds.
    pub aggregates: &'static [Aggregate],
    /// Largest write set.
    pub limits: Limits,
    /// Lines, each from a level of its own, of the largest order that is placed in one write set. A larger one is placed in
    /// parts: see [`Checkout::place_in_parts`](crate::Checkout::place_in_parts).
    pub order_lines: usize,
    /// Whether products can be listed by category, price and availability.
    pub product_lists: bool,
    /// Whether reads always see every commit that returned before them. Reads by key always do; where this is false, lists may be
    /// behind by moments.
    pub reads_own_writes: bool,
    /// In which regions the data lies, and whether it may be written from here.
    pub regions: Regions,
}

/// Where a store's data lies, and what is safe there.
///
/// | | writes | reads | feed, leases |
/// |---|---|---|---|
/// | `One` | yes | as the store promises | yes |
/// | `WrittenHere` | yes | as the store promises | yes |
/// | `WrittenElsewhere` | `Unsupported` | behind the region that writes, by a second or by an outage | no |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Regions {
    /// In one region, or wherever the one server is.
    #[default]
    One,
    /// In several, of which this one is written; the others follow.
    WrittenHere,
    /// In several, of which another one is written: here it is only read.
    WrittenElsewhere,
}

impl Regions {
    /// Whether the data may be written from here.
    #[must_use]
    pub const fn takes_writes(self) -> bool {
        !matches!(self, Self::WrittenElsewhere)
    }
}

/// The largest write set that a store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations: puts, deletes, deltas, claims and read checks together.
    pub operations: usize,
    /// Bytes of the set as sent.
    pub bytes: usize,
}

impl Capability {
    /// Facts of an engine that holds `aggregates` within `limits`, lists products and reads its own writes.
    #[must_use]
    pub const fn new(engine: &'static str, aggregates: &'static [Aggregate], limits: Limits) -> Self {
        Self {
            engine,
            aggregates,
            limits,
            order_lines: order_lines(limits),
            product_lists: true,
            reads_own_writes: true,
            regions: Regions::One,
        }
    }

    /// Whether the store holds this aggregate.
    #[must_use]
    pub fn holds(&self, aggregate: Aggregate) -> bool {
        self.aggregates.contains(&aggregate)
    }
}

/// An operation for each line, beside the order, the claim on its cart, the cart, and the key.
const fn order_lines(limits: Limits) -> usize {
    match limits.operations.saturating_sub(4) {
        lines if lines < MAX_LINES => lines,
        _ => MAX_LINES,
    }
}
