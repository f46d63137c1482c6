//! What is run: everything for the report, or a few moments of it to see that it works.

/// What the command line asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    is_quick: bool,
    only: Option<Engine>,
    is_alone: bool,
    /// A part of the names of the cases that are run, where a bench has cases.
    pub(crate) case: Option<&'static str>,
}

/// Where the shop lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    Sqlite,
}

impl Engine {
    pub(crate) const ALL: [Self; 2] = [Self::Postgres, Self::Sqlite];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        }
    }
}

impl Settings {
    /// Reads the arguments: `--quick` (or `--test`, as test runners say it), `postgres` or `sqlite` for one engine alone,
    /// `shop` for the shop without what it is compared with, as a profiler wants it, `--case=TEXT` for the cases with this
    /// in their name, where a bench has cases.
    pub(crate) fn from_args() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let has = |name: &str| args.iter().any(|arg| arg == name);
        let only = match (has("postgres"), has("sqlite")) {
            (true, false) => Some(Engine::Postgres),
            (false, true) => Some(Engine::Sqlite),
            _ => None,
        };
        let case = args.iter().find_map(|arg| arg.strip_prefix("--case="));
        // `cargo bench` says --bench; whoever else starts the program wants to see that it works.
        Self {
            is_quick: has("--quick") || has("--test") || !has("--bench"),
            only,
            is_alone: has("shop"),
            // Once in the life of the program.
            case: case.map(|part| &*part.to_owned().leak()),
        }
    }

    /// The first for a report, the second for a quick look.
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        if self.is_quick { quick } else { full }
    }

    pub(crate) fn wants(self, engine: Engine) -> bool {
        self.only.is_none_or(|only| only == engine)
    }

    /// How many of the ways to do the same are taken, the shop's first.
    pub(crate) fn ways(self, all: usize) -> usize {
        if self.is_alone { 1 } else { all }
    }

    /// Whether the numbers are good enough to be kept: all of them, at full length.
    pub(crate) fn is_report(self) -> bool {
        !self.is_quick && self.only.is_none() && !self.is_alone && self.case.is_none()
    }
}
