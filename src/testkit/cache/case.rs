//! A case: the bullet that it proves, what it needs of a cache, and the check itself.

use std::fmt;
use std::pin::Pin;

use super::CacheHarness;
use crate::spi::cache::CacheCapability;
use crate::testkit::conformance::CaseResult;

/// A running case.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = CaseResult> + Send + 'a>>;

/// What a case asks of a cache beside the contract that every cache keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheNeed {
    /// Writers can hold keys.
    Holds,
    /// It keeps the least version that a fill may have.
    Floors,
    /// It tells of invalidations.
    Push,
}

impl CacheNeed {
    /// Whether a cache with this capability can run the case.
    #[must_use]
    pub const fn is_met(self, capability: &CacheCapability) -> bool {
        match self {
            Self::Holds => capability.holds,
            Self::Floors => capability.floors,
            Self::Push => capability.push,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Floors => "floors",
            Self::Push => "push",
        }
    }
}

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct CacheCase {
    pub(super) bullet: &'static str,
    pub(super) needs: &'static [CacheNeed],
    pub(super) run: for<'a> fn(&'a CacheHarness) -> Running<'a>,
}

impl CacheCase {
    /// The behaviour bullet that the case proves; also its name.
    #[must_use]
    pub const fn bullet(&self) -> &'static str {
        self.bullet
    }

    /// What the case asks of a cache.
    #[must_use]
    pub const fn needs(&self) -> &'static [CacheNeed] {
        self.needs
    }
}

/// One line of the manifest.
impl fmt::Display for CacheCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needs: Vec<_> = self.needs.iter().map(|need| need.as_str()).collect();
        write!(f, "{:<24} {}", self.bullet, needs.join(", "))
    }
}

impl fmt::Debug for CacheCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheCase")
            .field("bullet", &self.bullet)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// The cases of a file: `"bullet": function, [Need, …];`.
macro_rules! cases {
    ($($bullet:literal: $run:ident $(+ $need:ident)*;)*) => {
        pub(super) const CASES: &[$crate::testkit::cache::CacheCase] = &[$(
            $crate::testkit::cache::CacheCase {
                bullet: $bullet,
                needs: &[$($crate::testkit::cache::CacheNeed::$need,)*],
                run: |harness| Box::pin($run(harness)),
            },
        )*];
    };
}

pub(super) use cases;
