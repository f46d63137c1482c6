//! What a shared cache can do, as plain facts: the builder refuses what they do not allow.

/// The facts about a shared cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheCapability {
    /// Name of the engine, as used in errors and metrics: `redis`, `memcached`, `in_process`.
    pub engine: &'static str,
    /// Whether writers can hold keys, several at once: what `Strict` needs.
    pub holds: bool,
    /// Whether it keeps the least version that a fill may have: without it nothing read from a replica may be filled.
    pub floors: bool,
    /// Whether invalidations are told to whoever follows them.
    pub push: bool,
    /// The longest payload that it takes, in bytes.
    pub value_limit: usize,
}

impl CacheCapability {
    /// Facts of an engine with leases alone: no holds, no floors, no push.
    #[must_use]
    pub const fn new(engine: &'static str, value_limit: usize) -> Self {
        Self {
            engine,
            holds: false,
            floors: false,
            push: false,
            value_limit,
        }
    }

    /// The same with holds.
    #[must_use]
    pub const fn with_holds(self) -> Self {
        Self { holds: true, ..self }
    }

    /// The same with floors.
    #[must_use]
    pub const fn with_floors(self) -> Self {
        Self { floors: true, ..self }
    }

    /// The same with push.
    #[must_use]
    pub const fn with_push(self) -> Self {
        Self { push: true, ..self }
    }
}
