//! What is measured.

use std::time::Duration;

use crate::basket::Basket;
use crate::compared::ground::Counted;
use crate::compared::ground::Distance;
use crate::compared::rounds::Pace;
use crate::compared::till::How;
use crate::support::Engine;
use crate::support::Settings;

/// How orders are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Shop,
    ByHand(How),
    /// Two shops of one database, as in two processes: two committers, the callers divided between them.
    TwoShops,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [
        Self::Shop,
        Self::ByHand(How::Transaction),
        Self::ByHand(How::Statement),
        Self::TwoShops,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Shop => "stockroom",
            Self::ByHand(How::Transaction) => "a transaction each",
            Self::ByHand(How::Statement) => "a statement each",
            Self::TwoShops => "two stockrooms",
        }
    }
}

/// How much there is of what is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supply {
    /// More than can be sold.
    Plenty,
    /// Half of what is asked for: the other half of the buyers is refused.
    Half,
}

/// A shop, and how many buy there at once: one case after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) engine: Engine,
    pub(crate) basket: Basket,
    pub(crate) distance: Distance,
    pub(crate) counted: Counted,
    pub(crate) supply: Supply,
    pub(crate) callers: &'static [usize],
    pub(crate) ways: &'static [Way],
}

const THREE_WAYS: &[Way] = &[
    Way::Shop,
    Way::ByHand(How::Transaction),
    Way::ByHand(How::Statement),
];
const ON_SQLITE: &[Way] = &[Way::Shop, Way::ByHand(How::Transaction)];

impl Setup {
    const fn postgres(basket: Basket, callers: &'static [usize]) -> Self {
        Self {
            engine: Engine::Postgres,
            basket,
            distance: Distance::Near,
            counted: Counted::Full,
            supply: Supply::Plenty,
            callers,
            ways: THREE_WAYS,
        }
    }

    const fn sqlite(basket: Basket) -> Self {
        Self {
            engine: Engine::Sqlite,
            ways: ON_SQLITE,
            ..Self::postgres(basket, &[1, 64])
        }
    }

    const fn with_two_shops(self) -> Self {
        Self {
            ways: &Way::ALL,
            ..self
        }
    }

    const fn far(self) -> Self {
        Self {
            distance: Distance::Far,
            ..self
        }
    }

    const fn counted_while_empty(self) -> Self {
        Self {
            counted: Counted::Empty,
            ..self
        }
    }

    const fn sold_out(self) -> Self {
        Self {
            supply: Supply::Half,
            ..self
        }
    }

    pub(crate) fn name(self, callers: usize) -> String {
        let mut name = format!("{}, {}", self.engine.name(), self.basket.name());
        name += &match callers {
            1 => ", 1 caller".to_owned(),
            callers => format!(", {callers} callers"),
        };
        if self.distance == Distance::Far {
            name += ", +0.5 ms a round trip";
        }
        if self.counted == Counted::Empty {
            name += ", tables counted while empty";
        }
        if self.supply == Supply::Half {
            name += ", selling out";
        }
        name
    }
}

/// Every case of a report.
const FULL: &[Setup] = &[
    Setup::postgres(Basket::Hot, &[1, 64, 256]).with_two_shops(),
    Setup::postgres(Basket::ThreeSpread, &[1, 64, 256]).with_two_shops(),
    Setup::postgres(Basket::Spread, &[1, 64]),
    Setup::postgres(Basket::HotAndTwo, &[1, 64]),
    Setup::postgres(Basket::Zipf, &[64]),
    Setup::postgres(Basket::Hot, &[64]).sold_out(),
    Setup::postgres(Basket::Hot, &[1, 64]).far(),
    Setup::postgres(Basket::ThreeSpread, &[1, 64]).far(),
    Setup::postgres(Basket::Hot, &[64]).counted_while_empty(),
    Setup::postgres(Basket::ThreeSpread, &[64]).counted_while_empty(),
    Setup::sqlite(Basket::Hot),
    Setup::sqlite(Basket::Spread),
    Setup::sqlite(Basket::HotAndTwo),
    Setup::sqlite(Basket::ThreeSpread),
];

/// Enough to see that everything works.
const QUICK: &[Setup] = &[
    Setup::postgres(Basket::Hot, &[64]).with_two_shops(),
    Setup::postgres(Basket::Zipf, &[64]).counted_while_empty(),
    Setup::postgres(Basket::Hot, &[64]).sold_out(),
    Setup::postgres(Basket::ThreeSpread, &[64]).far(),
    Setup::sqlite(Basket::ThreeSpread),
];

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) skus: usize,
    pub(crate) pace: Pace,
    pub(crate) setups: &'static [Setup],
    pub(crate) ways: usize,
}

impl Effort {
    pub(crate) fn of(settings: Settings) -> Self {
        Self {
            skus: settings.pick(10_000, 200),
            pace: Pace {
                rounds: settings.pick(5, 1),
                round: Duration::from_millis(settings.pick(1_000, 100)),
                warm_up: settings.pick(600, 60),
            },
            setups: settings.pick(FULL, QUICK),
            ways: settings.ways(Way::ALL.len()),
        }
    }
}
