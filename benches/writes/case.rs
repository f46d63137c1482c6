//! What is measured.

use std::time::Duration;

use crate::compared::ground::Distance;
use crate::compared::rounds::Pace;
use crate::compared::till::How;
use crate::support::Engine;
use crate::support::Settings;

/// What the callers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Another title for a product that was read; one in a hundred was read too long ago.
    Products,
    /// One more unit of any SKU in any cart.
    CartLines,
    /// Of ten writes four are cart lines, two product updates, four orders of three SKUs.
    Mix,
}

impl Work {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Products => "product update, 1 % stale",
            Self::CartLines => "cart line",
            Self::Mix => "mix",
        }
    }
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Shop,
    ByHand(How),
}

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Shop => "stockroom",
            Self::ByHand(How::Transaction) => "a transaction each",
            Self::ByHand(How::Statement) => "a statement each",
        }
    }
}

const TWO_WAYS: &[Way] = &[Way::Shop, Way::ByHand(How::Transaction)];
const THREE_WAYS: &[Way] = &[
    Way::Shop,
    Way::ByHand(How::Transaction),
    Way::ByHand(How::Statement),
];

/// What is done, where, and by how many at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) engine: Engine,
    pub(crate) work: Work,
    pub(crate) distance: Distance,
    pub(crate) callers: usize,
    pub(crate) ways: &'static [Way],
}

impl Case {
    const fn postgres(work: Work, callers: usize) -> Self {
        Self {
            engine: Engine::Postgres,
            work,
            distance: Distance::Near,
            callers,
            ways: THREE_WAYS,
        }
    }

    const fn sqlite(work: Work, callers: usize) -> Self {
        Self {
            engine: Engine::Sqlite,
            ways: TWO_WAYS,
            ..Self::postgres(work, callers)
        }
    }

    const fn far(self) -> Self {
        Self {
            distance: Distance::Far,
            ..self
        }
    }

    pub(crate) fn name(self) -> String {
        let mut name = format!("{}, {}", self.engine.name(), self.work.name());
        name += &match self.callers {
            1 => ", 1 caller".to_owned(),
            callers => format!(", {callers} callers"),
        };
        if self.distance == Distance::Far {
            name += ", +0.5 ms a round trip";
        }
        name
    }
}

/// Every case of a report.
const FULL: &[Case] = &[
    Case::postgres(Work::Products, 64),
    Case::postgres(Work::CartLines, 64),
    Case::postgres(Work::Mix, 1),
    Case::postgres(Work::Mix, 64),
    Case::postgres(Work::Mix, 64).far(),
    Case::sqlite(Work::Products, 64),
    Case::sqlite(Work::CartLines, 64),
    Case::sqlite(Work::Mix, 64),
];

/// Enough to see that everything works.
const QUICK: &[Case] = &[
    Case::postgres(Work::Products, 64),
    Case::postgres(Work::CartLines, 64),
    Case::postgres(Work::Mix, 64),
    Case::sqlite(Work::Mix, 64),
];

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) products: usize,
    pub(crate) pace: Pace,
    pub(crate) cases: &'static [Case],
    pub(crate) ways: usize,
}

impl Effort {
    pub(crate) fn of(settings: Settings) -> Self {
        Self {
            products: settings.pick(10_000, 200),
            pace: Pace {
                rounds: settings.pick(5, 1),
                round: Duration::from_millis(settings.pick(1_000, 100)),
                warm_up: settings.pick(1_000, 100),
            },
            cases: settings.pick(FULL, QUICK),
            ways: settings.ways(THREE_WAYS.len()),
        }
    }
}
