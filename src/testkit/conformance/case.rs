//! A case: a name, the bullet that it proves, what it needs, and the check itself.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::CaseResult;
use super::Harness;
use crate::model::Aggregate;
use crate::spi::store::Store;

/// A running case.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = CaseResult> + Send + 'a>>;

/// What a case asks of a store beside the contract that every store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// It holds this aggregate.
    Holds(Aggregate),
    /// It holds an aggregate that is put as a whole: any but levels.
    Puts,
    /// It lists products by category, price and availability.
    ProductLists,
    /// It tells who holds a unique key.
    Claims,
    /// It keeps the history of aggregates.
    History,
    /// It has a feed of its changes.
    Changes,
    /// It keeps positions, leases and letters.
    Coordination,
}

impl Need {
    /// Why this store cannot run the case; `None` when it can.
    #[must_use]
    pub fn unmet(self, store: &dyn Store) -> Option<String> {
        let (capability, readers) = (store.capability(), store.readers());
        match self {
            Self::Holds(aggregate) if !capability.holds(aggregate) => {
                Some(format!("holds no {}", aggregate.as_str()))
            }
            Self::Puts if super::harness::PUT.iter().all(|kind| !capability.holds(*kind)) => {
                Some("holds nothing that is put".to_owned())
            }
            Self::ProductLists if !capability.product_lists => Some("lists no products".to_owned()),
            Self::Claims if readers.claim.is_none() => Some("does not read unique keys".to_owned()),
            Self::History if readers.history.is_none() => Some("keeps no history".to_owned()),
            Self::Changes if store.changes().is_none() => Some("has no feed".to_owned()),
            Self::Coordination if store.coordination().is_none() => Some("keeps no positions".to_owned()),
            _ => None,
        }
    }
}

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    pub(super) bullet: &'static str,
    pub(super) variant: &'static str,
    pub(super) needs: &'static [Need],
    pub(super) run: for<'a> fn(&'a Harness) -> Running<'a>,
}

impl Case {
    /// Name: the bullet, with a suffix where a bullet has several cases.
    #[must_use]
    pub fn name(&self) -> String {
        match self.variant {
            "" => self.bullet.to_owned(),
            variant => format!("{}/{variant}", self.bullet),
        }
    }

    /// The behaviour bullet of the SPI that the case proves.
    #[must_use]
    pub const fn bullet(&self) -> &'static str {
        self.bullet
    }

    /// What the case asks of a store.
    #[must_use]
    pub const fn needs(&self) -> &'static [Need] {
        self.needs
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds(aggregate) => aggregate.as_str(),
            Self::Puts => "any",
            Self::ProductLists => "lists",
            Self::Claims => "claims",
            Self::History => "history",
            Self::Changes => "changes",
            Self::Coordination => "coordination",
        })
    }
}

/// One line of the manifest: the case, the bullet that it proves, what it needs.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needs: Vec<_> = self.needs.iter().map(ToString::to_string).collect();
        write!(f, "{:<40} {:<28} {}", self.name(), self.bullet, needs.join(", "))
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name())
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// The cases of a file: `"bullet" / "variant": function, needs [Aggregate, …] + Fact …;`.
macro_rules! cases {
    ($($bullet:literal $(/ $variant:literal)?: $run:ident, [$($aggregate:ident),*] $(+ $fact:ident)*;)*) => {
        pub(super) const CASES: &[$crate::testkit::conformance::Case] = &[$(
            $crate::testkit::conformance::Case {
                bullet: $bullet,
                variant: concat!($($variant)?),
                needs: &[
                    $($crate::testkit::conformance::Need::Holds($crate::model::Aggregate::$aggregate),)*
                    $($crate::testkit::conformance::Need::$fact,)*
                ],
                run: |harness| Box::pin($run(harness)),
            },
        )*];
    };
}

/// Cases that run once for each aggregate that is put as a whole: `"bullet": function + Fact …;`.
macro_rules! cases_for_each {
    ($($bullet:literal: $run:ident $(+ $fact:ident)*;)*) => {
        pub(super) const CASES: &[$crate::testkit::conformance::Case] = &[$(
            $crate::testkit::conformance::case::one!($bullet, "product", Product, $run $(, $fact)*),
            $crate::testkit::conformance::case::one!($bullet, "cart", Cart, $run $(, $fact)*),
            $crate::testkit::conformance::case::one!($bullet, "order", Order, $run $(, $fact)*),
            $crate::testkit::conformance::case::one!($bullet, "payment", Payment, $run $(, $fact)*),
        )*];
    };
}

macro_rules! one {
    ($bullet:literal, $variant:literal, $aggregate:ident, $run:ident $(, $fact:ident)*) => {
        $crate::testkit::conformance::Case {
            bullet: $bullet,
            variant: $variant,
            needs: &[
                $crate::testkit::conformance::Need::Holds($crate::model::Aggregate::$aggregate),
                $($crate::testkit::conformance::Need::$fact,)*
            ],
            run: |harness| Box::pin($run(harness, $crate::model::Aggregate::$aggregate)),
        }
    };
}

pub(super) use cases;
pub(super) use cases_for_each;
pub(super) use one;
