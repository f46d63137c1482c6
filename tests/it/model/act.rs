//! What customers and clerks do, as data that can be drawn and shrunk.

use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::prop_oneof;
use proptest::strategy::Just;
use proptest::strategy::Strategy;

/// SKUs that each customer has to itself.
pub(super) const SKUS: usize = 3;

/// Which of the latest is meant: 0 is the last one.
pub(super) type Latest = usize;
/// Units of SKUs.
pub(super) type Units = BTreeMap<usize, i64>;

/// What happens at once.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Each customer does one thing.
    Act(Vec<Act>),
    /// So many hours pass.
    Pass(u64),
}

/// One call, or a few that belong together.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Receive(usize, i64),
    Adjust(usize, i64),
    Backorder(usize, i64),
    OpenCart,
    Add(Latest, usize, i64),
    SetQuantity(Latest, usize, i64),
    Remove(Latest, usize),
    Abandon(Latest),
    /// Units, and for how many hours.
    Hold(Units, u64),
    Release(Latest),
    Place(Latest),
    /// Quoted, held, and placed with the hold.
    PlaceHeld(Latest),
    Pay(Latest, Answer),
    /// The latest orders' requests once more.
    Again(Latest),
    Cancel(Latest),
    Ship(Latest),
}

/// What the provider answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Captured,
    Declined,
}

pub(super) fn step(customers: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        15 => vec(act(), 1..=customers).prop_map(Step::Act),
        // Holds last 1 to 5 hours, carts 30 days.
        2 => (1_u64..4).prop_map(Step::Pass),
        1 => Just(Step::Pass(30 * 24)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let latest = || 0_usize..3;
    let sku = || 0..SKUS;
    let few = || 1_i64..5;
    let answer = prop_oneof![Just(Answer::Captured), Just(Answer::Declined)];
    prop_oneof![
        3 => (sku(), few()).prop_map(|(sku, units)| Act::Receive(sku, units)),
        2 => (sku(), prop_oneof![-6_i64..0, 1_i64..4]).prop_map(|(sku, by)| Act::Adjust(sku, by)),
        1 => (sku(), 0_i64..3).prop_map(|(sku, limit)| Act::Backorder(sku, limit)),
        4 => Just(Act::OpenCart),
        9 => (latest(), sku(), few()).prop_map(|(cart, sku, units)| Act::Add(cart, sku, units)),
        2 => (latest(), sku(), few()).prop_map(|(cart, sku, units)| Act::SetQuantity(cart, sku, units)),
        1 => (latest(), sku()).prop_map(|(cart, sku)| Act::Remove(cart, sku)),
        1 => latest().prop_map(Act::Abandon),
        4 => (btree_map(sku(), few(), 1..=SKUS), 1_u64..6).prop_map(|(units, hours)| Act::Hold(units, hours)),
        2 => latest().prop_map(Act::Release),
        4 => latest().prop_map(Act::Place),
        2 => latest().prop_map(Act::PlaceHeld),
        3 => (latest(), answer).prop_map(|(cart, answer)| Act::Pay(cart, answer)),
        2 => latest().prop_map(Act::Again),
        2 => latest().prop_map(Act::Cancel),
        1 => latest().prop_map(Act::Ship),
    ]
}
