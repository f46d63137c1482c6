//! The lists of rows that a batch is made of.

#[cfg(feature = "postgres")]
use crate::backend::sql::tables::ROOTS;
use crate::model::Aggregate;

/// What is done with the rows of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::backend::sql) enum List {
    /// What rows of an aggregate must be like.
    Check(Aggregate),
    NeedLines,
    ReleaseClaims,
    Claims,
    Insert(Aggregate),
    Update(Aggregate),
    Delete(Aggregate),
    /// Aggregates whose parts are removed.
    ClearParts(Aggregate),
    InsertParts(Aggregate),
    AddLines,
    /// Sums of deltas; of levels with what must be there before.
    Change(Aggregate),
    InsertHolds,
    CreateLevels,
    InsertMovements,
    /// The history of what deltas changed, a row each.
    #[cfg(feature = "sqlite")]
    Record(Aggregate),
    /// The history of what was put or deleted, a row each.
    #[cfg(feature = "sqlite")]
    RecordKnown,
    /// The history of all that changed, as entries.
    #[cfg(feature = "postgres")]
    Pack,
}

/// Every list that PostgreSQL is sent.
#[cfg(feature = "postgres")]
pub(in crate::backend::sql) fn all() -> Vec<List> {
    let of_roots = [
        List::Check,
        List::Insert,
        List::Update,
        List::Delete,
        List::ClearParts,
        List::InsertParts,
        List::Change,
    ];
    let roots = of_roots
        .into_iter()
        .flat_map(|list| ROOTS.iter().map(move |root| list(root.aggregate)));
    let others = [
        List::NeedLines,
        List::ReleaseClaims,
        List::Claims,
        List::AddLines,
        List::InsertHolds,
        List::CreateLevels,
        List::InsertMovements,
        List::Pack,
    ];
    roots.chain(others).collect()
}
