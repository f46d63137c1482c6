//! What callers note, and whether it has an order.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::Action;
use todc_utils::linearizability::history::History;

use super::shelf::OneShelf;
use super::shelf::Shelf;
use super::shelf::Told;

/// Counts moments: what got the smaller number came first.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// A call that was made while nobody else made one.
    pub(super) fn alone(&self, caller: usize, sku: &'static str, told: Told) -> Noted {
        Noted {
            caller,
            sku,
            began: self.now(),
            ended: self.now(),
            told,
        }
    }
}

/// A call about a SKU, from its beginning to its answer.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) caller: usize,
    pub(super) sku: &'static str,
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) told: Told,
}

impl Noted {
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.told, Told::Short { .. })
    }
}

/// Whether calls one after the other, each at some moment between its beginning and its end, would have been answered so.
pub(super) fn is_linearizable(began: Shelf, noted: &[Noted]) -> bool {
    let calls = noted.iter().map(|call| (call.began, call, true));
    let answers = noted.iter().map(|call| (call.ended, call, false));
    let mut moments: Vec<_> = calls.chain(answers).collect();
    moments.sort_by_key(|(moment, ..)| *moment);
    let first = Told::Began(began);
    let mut actions = vec![(0, Action::Call(first)), (0, Action::Response(first))];
    actions.extend(moments.into_iter().map(|(_, call, begins)| {
        let action = if begins { Action::Call } else { Action::Response };
        (call.caller, action(call.told))
    }));
    WGLChecker::<OneShelf>::is_linearizable(History::from_actions(actions))
}

/// Demands an order; shows a history that has none, without the calls that have no part in it.
pub(super) fn assert_linearizable(began: Shelf, noted: &[Noted]) {
    if is_linearizable(began, noted) {
        return;
    }
    let mut calls = noted.to_vec();
    calls.sort_by_key(|call| call.ended);
    // A call that changes nothing can be left out of a history: if there is still no order, it was not the culprit.
    for position in (0..calls.len()).rev() {
        let call = calls.remove(position);
        if call.told.changes() || is_linearizable(began, &calls) {
            calls.insert(position, call);
        }
    }
    let list: Vec<_> = calls.iter().map(Noted::to_string).collect();
    panic!(
        "no order explains what was told about {}, which began as {began:?}:\n{}",
        calls[0].sku,
        list.join("\n")
    );
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            began, ended, caller, ..
        } = self;
        write!(f, "{began:>8} to {ended:>8} caller {caller:>2}: {:?}", self.told)
    }
}
