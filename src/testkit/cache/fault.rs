//! The list of faults, each with the bullets of the contract that it breaks.

/// One line a fault: what it does, its name, and what it breaks.
macro_rules! faults {
    ($($(#[$meta:meta])* $name:ident: [$($bullet:literal),+];)*) => {
        /// A way in which a shared cache can be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CacheFault {
            $($(#[$meta])* $name,)*
        }

        impl CacheFault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The behaviour bullets that a cache with this fault does not keep.
            #[must_use]
            pub const fn breaks(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($bullet),+],)*
                }
            }
        }
    };
}

faults! {
    /// A key that was never filled has an empty value.
    InventsValues: ["get.absent"];
    /// The answers of a batch come in another order.
    ReversesBatches: ["get.order"];
    /// The last byte of a payload is lost.
    CutsPayloads: ["fill.get"];
    /// Values stay fresh for a thousand times as long.
    KeepsValues: ["fill.expires"];
    /// A refused fill is reported as stored.
    ClaimsToStore: ["fill.void", "fill.once", "fill.floor", "fill.too_large", "acquire.expires",
        "invalidate.voids", "hold.voids"];
    /// Plain cache-aside: a refused fill is stored all the same.
    StoresWithoutLease: ["invalidate.voids", "hold.voids", "fill.void"];
    /// Replicas are believed.
    TrustsReplicas: ["fill.floor"];
    /// A lease does not tell the floor.
    HidesFloor: ["acquire.floor"];
    /// Everybody who asks has a lease.
    LeasesToAll: ["acquire.one"];
    /// A fresh value is not given to whoever asks for a lease.
    HidesFilled: ["acquire.filled"];
    /// Nobody may load before the time.
    NeverEarly: ["acquire.early"];
    /// Leases last a thousand times as long.
    KeepsLeases: ["acquire.expires"];
    /// Invalidations are acknowledged and forgotten.
    ForgetsInvalidations: ["invalidate.drops", "invalidate.voids", "push.told"];
    /// A newer value is dropped as well.
    DropsNewer: ["invalidate.newer"];
    /// Each telling of an invalidation counts as a newer one.
    CountsTellings: ["invalidate.repeated"];
    /// A value that was to be kept as stale is dropped.
    DropsStale: ["invalidate.stale"];
    /// Holds are acknowledged and forgotten.
    ForgetsHolds: ["hold.blocks", "hold.voids", "hold.several", "hold.renew"];
    /// The last writer's hold replaces the others'.
    KeepsOneHold: ["hold.several"];
    /// Holds last a thousand times as long.
    KeepsHolds: ["hold.expires", "hold.renew"];
    /// A hold that was over counts as renewed.
    NeverLapses: ["hold.renew"];
    /// Raised tags keep their generation.
    ForgetsRaises: ["tags.raised"];
    /// A tag has another generation each time that it is asked for.
    InventsGenerations: ["tags.same"];
    /// Followers are told nothing.
    TellsNobody: ["push.told", "push.sound"];
    /// Followers are promised more than they were told.
    ProvesTooMuch: ["push.sound"];
    /// Long keys are cut.
    CutsKeys: ["key.strange"];
    /// Deadlines are not looked at.
    IgnoresDeadlines: ["deadline.over"];
    /// A dropped call takes its connection with it.
    LosesConnections: ["cancel.harmless"];
    /// A ping is not answered.
    LeavesPings: ["ping.answers"];
    /// A closed cache answers.
    StaysOpen: ["close.refuses"];
}
