//! The list of faults, each with the bullets of the SPI that it breaks.

/// One line a fault: what it does, its name, and what it breaks.
macro_rules! faults {
    ($($(#[$meta:meta])* $name:ident: [$($bullet:literal),+];)*) => {
        /// A way in which a store can be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$meta])* $name,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The behaviour bullets that a store with this fault does not keep.
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
    /// Each operation of a set is committed by itself.
    SplitsSets: ["commit.atomic", "commit.stock_guard", "commit.claims_swap", "commit.hold_consumed",
        "commit.delta_version", "commit.cancel"];
    /// The last operation of a set with several is left out.
    DropsTheLast: ["commit.atomic", "commit.versions", "commit.cart_add", "commit.hold"];
    /// A refused set uses up its idempotency key.
    BurnsKeys: ["commit.atomic"];
    /// An insert over an aggregate that exists replaces it.
    OverwritesExisting: ["commit.create_existing"];
    /// A put or delete with a stale version is applied all the same.
    IgnoresExpected: ["commit.update_stale", "commit.delete_stale"];
    /// A conflict does not tell the version found.
    HidesFound: ["commit.create_existing", "commit.update_stale", "commit.delete_stale"];
    /// An update of an absent aggregate creates it.
    CreatesOnUpdate: ["commit.update_absent"];
    /// Updates are acknowledged and forgotten.
    ForgetsUpdates: ["commit.update", "commit.root_only", "product.find_by_slug"];
    /// A put raises the version by two.
    RaisesTwice: ["commit.create_new", "commit.update"];
    /// A root is put with its parts.
    WritesWhole: ["commit.root_only"];
    /// Deletes are acknowledged and forgotten.
    IgnoresDeletes: ["commit.delete", "product.find_by_skus"];
    /// Recorded reads are not checked.
    IgnoresReads: ["commit.read_check", "commit.read_absent"];
    /// A recorded absence never holds.
    RefusesAbsence: ["commit.read_absent"];
    /// A taken key is given to the next one as well.
    AdmitsTakenKeys: ["commit.claims_unique", "commit.claims_own"];
    /// The refusal of a taken key does not name its owner.
    HidesOwner: ["commit.claims_unique", "commit.claims_own"];
    /// Keys claimed beside the puts are not kept.
    DropsClaims: ["commit.claims_unique", "claim.find"];
    /// A key that its owner holds already is refused.
    RefusesOwnKeys: ["commit.claims_own"];
    /// Keys are never given up.
    NeverReleases: ["commit.claims_released", "commit.claims_swap", "commit.delete"];
    /// A key released by a set cannot be claimed by the same set.
    RefusesSwaps: ["commit.claims_swap"];
    /// Idempotency keys are not looked at.
    IgnoresKeys: ["commit.replay", "commit.key_reused", "commit.audit", "commit.cancel"];
    /// The other checks of a set come before its idempotency key.
    ChecksBeforeKeys: ["commit.replay", "commit.key_reused"];
    /// The fingerprint of a request is not looked at.
    IgnoresFingerprint: ["commit.key_reused"];
    /// A key counts in every scope.
    IgnoresScope: ["commit.key_scoped"];
    /// Steps take what is not available.
    IgnoresAvailability: ["commit.stock_guard", "commit.stock_exact", "commit.stock_backorder", "commit.hold"];
    /// Availability is read before the commit instead of inside it.
    GuardsTooEarly: ["commit.stock_exact", "commit.ledger"];
    /// A refusal names one short level alone.
    HidesShortages: ["commit.stock_guard"];
    /// The last unit cannot be taken.
    KeepsTheLast: ["commit.stock_exact"];
    /// There is no first receipt at a location.
    RefusesFirstReceipt: ["commit.stock_creates"];
    /// A counter below zero is passed over in silence.
    AcceptsNegative: ["commit.stock_physical"];
    /// The backorder limit of a level is not stored.
    IgnoresBackorder: ["commit.stock_backorder"];
    /// Every movement is called an adjustment.
    MislabelsMovements: ["commit.ledger"];
    /// A hold sets nothing aside.
    HoldsNothing: ["commit.hold", "inventory.hold", "commit.hold_consumed"];
    /// Everything that lives for a while lives a thousand times longer.
    StretchesLives: ["commit.hold_expires", "commit.cart_closed", "commit.cart_add", "commit.expiry_relative",
        "cart.expired", "cart.find_active", "payment.lease", "inventory.levels", "inventory.hold"];
    /// The release of a hold is acknowledged and forgotten.
    IgnoresUnhold: ["commit.unhold", "commit.hold", "commit.ledger", "commit.hold_consumed"];
    /// The release of a hold that is gone is refused.
    RefusesSecondUnhold: ["commit.unhold"];
    /// The units of a hold that is over are freed a second time when it is released.
    FreesTwice: ["commit.unhold", "commit.hold_consumed"];
    /// Every other added line is acknowledged and forgotten.
    LosesAdds: ["commit.cart_add", "commit.cart_limit"];
    /// Each added line is a line of its own.
    SplitsLines: ["commit.cart_add", "commit.cart_limit"];
    /// Whether a cart is open is not checked.
    AcceptsClosed: ["commit.cart_closed"];
    /// Whether a cart that is put is alive is not checked.
    IgnoresLive: ["commit.cart_closed"];
    /// The limit of a line is passed over in silence.
    AcceptsOverLimit: ["commit.cart_limit"];
    /// A delta on an absent aggregate is passed over in silence.
    AcceptsAbsent: ["commit.delta_absent", "commit.atomic"];
    /// Settlement counts twice.
    SettlesTwice: ["commit.settlement", "commit.delta_version"];
    /// Settlement of what is over is refused.
    RefusesLateFacts: ["commit.settlement"];
    /// Expiry is resolved by the clock of the client.
    ResolvesByClient: ["commit.expiry_relative"];
    /// The history does not tell who it was.
    DropsActor: ["commit.audit"];
    /// The history does not tell the events.
    DropsEvents: ["commit.audit"];
    /// The history tells a deletion at the version that was removed.
    RepeatsVersions: ["commit.delete", "commit.audit", "history.list"];
    /// The history bears the time of the reader.
    StampsHistoryLate: ["commit.audit"];
    /// The answer has no versions.
    HidesVersions: ["commit.versions", "commit.create_new", "commit.delta_version", "commit.replay"];
    /// A set past the limits is applied in part.
    WritesTooLarge: ["commit.too_large"];
    /// The limits are not kept.
    AcceptsTooLarge: ["commit.too_large"];
    /// The deadline is not looked at.
    IgnoresDeadline: ["commit.deadline"];
    /// The epoch is not looked at.
    IgnoresEpoch: ["commit.epoch"];
    /// Nothing ends with `close`.
    ServesAfterClose: ["close.refuses"];

    /// Batch reads answer in the opposite order.
    ReversesAnswers: ["product.get_many", "cart.get_many", "order.get_many", "payment.get_many",
        "product.find_by_skus", "claim.find"];
    /// Batch reads leave out what is absent.
    LeavesNoGaps: ["product.get_many", "cart.get_many", "order.get_many", "payment.get_many",
        "product.find_by_skus", "claim.find"];
    /// One field of each aggregate does not come back.
    LosesFields: ["product.round_trip", "cart.round_trip", "order.round_trip", "payment.round_trip"];
    /// An absent field comes back as an empty one.
    InventsFields: ["product.round_trip", "cart.round_trip", "order.round_trip", "payment.round_trip"];
    /// Only reads by id find something.
    FindsNothing: ["product.find_by_slug", "product.find_by_skus", "cart.find_active", "payment.for_order",
        "payment.find_by_reference", "inventory.hold"];
    /// Readers answer what they answered first.
    ReadsStale: ["commit.update", "commit.delete", "product.find_by_slug", "cart.expired", "cart.find_active",
        "payment.lease"];
    /// Lists are not filtered.
    IgnoresFilters: ["product.list_filters", "order.list"];
    /// Lists come in the opposite order.
    ReversesLists: ["product.list_order", "order.list", "inventory.movements", "inventory.levels",
        "history.list", "payment.for_order"];
    /// Every page is the first one.
    IgnoresCursors: ["product.list_pages", "order.list", "product.list_cursor", "order.list_cursor",
        "inventory.movements", "history.list"];
    /// A bad cursor starts from the first page.
    ForgivesCursors: ["product.list_cursor", "order.list_cursor"];
    /// The last item of a page that has a next one is lost.
    SkipsBetweenPages: ["product.list_pages", "order.list", "inventory.movements", "history.list"];
    /// Every lease is alive.
    LeasesForever: ["payment.lease"];
    /// A SKU has one location.
    ForgetsLocations: ["inventory.levels", "inventory.expired"];
    /// The latest movement is not told.
    LosesMovements: ["commit.ledger", "inventory.movements"];
    /// The ledger is never looked at.
    VerifiesNothing: ["inventory.verify"];
    /// A movement is counted once too often.
    ReportsDrift: ["inventory.verify", "commit.ledger"];

    /// The last change of a page that has a next one is lost.
    SkipsBetweenFeedPages: ["feed.pages", "feed.complete", "feed.order", "feed.repeatable"];
    /// A page begins with the last change of the page before.
    RepeatsBetweenFeedPages: ["feed.pages", "feed.order"];
    /// A page has more changes than were asked for.
    IgnoresFeedLimit: ["feed.pages"];
    /// The changes of a page come in the opposite order.
    ReversesFeed: ["feed.order", "feed.content"];
    /// A change is given once, whoever reads from where.
    FeedsOnce: ["feed.repeatable", "feed.complete", "feed.pages"];
    /// A refused write set and a replay leave a change.
    FeedsRefusals: ["feed.refused"];
    /// A change does not tell its events.
    FeedsWithoutEvents: ["feed.content"];
    /// Every change is called a put.
    FeedsPutsOnly: ["feed.content"];
    /// The tail is where the feed ends when it is read for the first time.
    TailsLate: ["feed.tail", "feed.complete", "feed.content"];
    /// The tail is the oldest change.
    TailsFromTheStart: ["feed.tail"];
    /// A position of before a restore is read from.
    IgnoresFeedEpoch: ["feed.epoch"];
    /// A position of another source is taken for the beginning.
    AcceptsForeignPlaces: ["feed.foreign"];
    /// Nothing is given while a commit is under way.
    HoldsFeedBack: ["feed.live"];
    /// A restore is not taken note of.
    IgnoresRestore: ["restore.epoch", "commit.epoch", "feed.epoch"];

    /// Whoever asks for a lease is given it.
    SharesLeases: ["lease.exclusive", "lease.expires", "lease.renew", "lease.release"];
    /// Whoever has a lease is not given it again.
    RefusesOwnLease: ["lease.own"];
    /// The fence stays as it is.
    KeepsFence: ["lease.own", "lease.expires", "lease.release"];
    /// A lease lasts until it is released.
    LeasesNeverEnd: ["lease.expires", "lease.renew", "lease.fenced", "progress.saved"];
    /// Renewing is acknowledged and forgotten.
    ForgetsRenewals: ["lease.renew", "lease.fenced"];
    /// The release of a lease is acknowledged and forgotten.
    IgnoresRelease: ["lease.release", "progress.saved"];
    /// A release is of whoever has the lease.
    ReleasesAnyones: ["lease.release"];
    /// What an earlier holder saves is taken for the present one's.
    SavesUnfenced: ["lease.fenced", "progress.letters"];
    /// Positions are not kept.
    LosesPositions: ["progress.saved", "progress.letters", "lease.fenced"];
    /// That a partition was read to its end is not kept.
    LosesEnds: ["progress.saved"];
    /// A position is kept without its letters.
    LosesLetters: ["progress.letters", "letters.list", "letters.discard", "sink.report"];
    /// Letters are kept without their position.
    KeepsLostLetters: ["progress.letters"];
    /// The oldest letters come first.
    ReversesLetters: ["letters.list"];
    /// With one letter all are discarded.
    DiscardsAll: ["letters.discard"];
    /// Every letter that is discarded was there.
    SaysDiscarded: ["letters.discard"];
    /// A report has what belongs to other sinks.
    ReportsOtherSinks: ["sink.report"];
    /// Forgetting a sink is acknowledged and forgotten.
    ForgetsNothing: ["sink.forget"];
    /// The letters of a sink are forgotten with it.
    ForgetsLetters: ["sink.forget"];
}
