//! One SKU as a single caller would know it: the rules that every history must agree with.

use stockroom::Level;
use todc_utils::specifications::Specification;

/// The counters of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shelf {
    pub(super) on_hand: i64,
    pub(super) allocated: i64,
    pub(super) held: i64,
}

impl Shelf {
    pub(super) fn of(level: &Level) -> Self {
        Self {
            on_hand: level.on_hand,
            allocated: level.allocated,
            held: level.held,
        }
    }

    fn available(self) -> i64 {
        self.on_hand - self.allocated - self.held
    }
}

/// What a caller was told about one SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// What lay there before the window began.
    Began(Shelf),
    /// So many are held for the caller.
    Held(i64),
    /// So many are the caller's order's.
    Ordered(i64),
    /// The caller's hold of so many is given up.
    Unheld(i64),
    /// The caller's order of so many is cancelled.
    Cancelled(i64),
    /// So many were wanted, fewer were there.
    Short { wanted: i64, available: i64 },
    /// So many would have been there: nothing was taken, for lack of another SKU or because it was a question.
    Enough(i64),
    /// The whole level.
    Read(Shelf),
}

impl Told {
    /// Whether the call changed the shelf.
    pub(super) fn changes(self) -> bool {
        !matches!(self, Self::Short { .. } | Self::Enough(_) | Self::Read(_))
    }
}

/// A shelf that calls change one after the other; none before the window began.
#[derive(Debug)]
pub(super) struct OneShelf;

impl Specification for OneShelf {
    type State = Option<Shelf>;
    type Operation = Told;

    fn init() -> Self::State {
        None
    }

    fn apply(told: &Told, state: &Self::State) -> (bool, Self::State) {
        let next = match (told, *state) {
            (Told::Began(shelf), None) => Some(*shelf),
            (told, Some(shelf)) => shelf.after(told),
            (_, None) => None,
        };
        (next.is_some(), next.or(*state))
    }
}

impl Shelf {
    /// The shelf after a call with this answer; none where the answer would have been another.
    fn after(mut self, told: &Told) -> Option<Self> {
        let is_true = match *told {
            Told::Began(_) => false,
            Told::Held(units) => {
                let is_there = units <= self.available();
                self.held += units;
                is_there
            }
            Told::Ordered(units) => {
                let is_there = units <= self.available();
                self.allocated += units;
                is_there
            }
            Told::Unheld(units) => {
                self.held -= units;
                self.held >= 0
            }
            Told::Cancelled(units) => {
                self.allocated -= units;
                self.allocated >= 0
            }
            Told::Short { wanted, available } => available == self.available().max(0) && wanted > available,
            Told::Enough(wanted) => wanted <= self.available(),
            Told::Read(shelf) => shelf == self,
        };
        is_true.then_some(self)
    }
}
