//! The history of a PostgreSQL shop: the changes of a batch in few rows, numbered while all that changed is locked.
//!
//! A row's number is that of its last change, and the sequence steps by [`ROOM`]: so a row has numbers for all that it holds,
//! and whoever has read up to a row's number has read the whole row.

use std::fmt::Write as _;

use super::commit::versions;
use crate::backend::sql::packed::BUCKET_BITS;
use crate::backend::sql::packed::ROOM;
use crate::backend::sql::program::List;
use crate::backend::sql::program::N;
use crate::backend::sql::program::Phase;
use crate::backend::sql::program::Spelling;
use crate::backend::sql::program::Step;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::ROOTS;

/// What the step keeps the batch's changes in.
pub(super) const DECLARED: &str = "  v_entries text[];\n  v_versions bigint[];\n  v_keys bigint[];\n";

/// The entry; its number, or where the numbers begin when the version is not known; the version, or of which root it is and
/// where among the rows that deltas changed.
const PACK: [Column; 5] = [
    Column("entry", Kind::Text),
    Column("key", Kind::Int),
    Column("version", Kind::Int),
    Column("root", Kind::Int),
    N,
];

pub(super) fn step(sp: &dyn Spelling) -> Step {
    let list = List::Pack;
    let mut after = String::from("CASE r.root");
    for (number, root) in ROOTS
        .iter()
        .enumerate()
        .filter(|(_, root)| !root.delta.is_empty())
    {
        // Writing to a String cannot fail.
        let _ = write!(after, " WHEN {number} THEN {}[r.n + 1]", versions(root.aggregate));
    }
    after.push_str(" END");
    // A release of a hold may name a level that was never there: nothing of it was changed.
    let sql = format!(
        "SELECT array_agg(s.entry), array_agg(s.version), array_agg(s.key) INTO v_entries, v_versions, v_keys FROM \
         (SELECT u.entry, u.version, CASE WHEN u.known IS NULL THEN u.key + (u.version >> {BUCKET_BITS}) ELSE u.key END AS key FROM \
         (SELECT r.i, r.entry, r.key, r.version AS known, coalesce(r.version, {after}) AS version FROM {} AS r OFFSET 0) AS u \
         WHERE u.version IS NOT NULL ORDER BY u.i) AS s;\n    \
         INSERT INTO stockroom_changes (entries, versions, keys, at, commit_id) \
         SELECT v_entries[g + 1:g + {ROOM}], v_versions[g + 1:g + {ROOM}], v_keys[g + 1:g + {ROOM}], {}, {} \
         FROM generate_series(0, cardinality(v_entries) - 1, {ROOM}) AS g",
        sp.admitted(list, &PACK),
        sp.now(),
        sp.commit(),
    );
    Step {
        list,
        columns: PACK.to_vec(),
        phase: Phase::History,
        sql,
    }
}
