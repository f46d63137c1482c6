//! The history: one row for each aggregate that a write set changed.
//!
//! The version of what was put or deleted is known beforehand; that of what deltas changed is read from its row.

use super::List;
use super::N;
use super::Phase;
use super::Spelling;
use super::Step;
use super::VersionAfter;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::Root;

const RECORD: [Column; 3] = [
    Column("action", Kind::Text),
    Column("actor", Kind::Text),
    Column("events", Kind::Text),
];

pub(super) fn changed(sp: &dyn Spelling, root: &Root) -> Step {
    let list = List::Record(root.aggregate);
    let mut columns: Vec<Column> = RECORD.to_vec();
    columns.extend([Column("row_key", Kind::Text), N]);
    // Where the versions are read from the rows themselves, they are found by the key's columns.
    columns.extend(root.key);
    let VersionAfter {
        value,
        from,
        returning,
    } = sp.version_after(root);
    let sql = format!(
        "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id) \
         SELECT '{}', r.row_key, {value}, r.action, r.actor, r.events, {}, {} FROM {} AS r {from}{returning}",
        root.aggregate.as_str(),
        sp.now(),
        sp.commit(),
        sp.admitted(list, &columns),
    );
    Step {
        list,
        columns,
        phase: Phase::History,
        sql,
    }
}

pub(super) fn known(sp: &dyn Spelling) -> Step {
    let list = List::RecordKnown;
    let mut columns: Vec<Column> = RECORD.to_vec();
    columns.extend([
        Column("aggregate", Kind::Text),
        Column("row_key", Kind::Text),
        Column("version", Kind::Int),
    ]);
    let sql = format!(
        "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id) \
         SELECT r.aggregate, r.row_key, r.version, r.action, r.actor, r.events, {}, {} FROM {} AS r \
         WHERE true",
        sp.now(),
        sp.commit(),
        sp.admitted(list, &columns),
    );
    Step {
        list,
        columns,
        phase: Phase::Write,
        sql,
    }
}
