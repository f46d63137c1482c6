//! The history of a SQLite shop: one row for each aggregate that a write set changed.
//!
//! The version of what was put or deleted is known beforehand; that of what deltas changed is read from its row.

use crate::backend::sql::program::List;
use crate::backend::sql::program::N;
use crate::backend::sql::program::Phase;
use crate::backend::sql::program::Spelling;
use crate::backend::sql::program::Step;
use crate::backend::sql::program::on_key;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::ROOTS;
use crate::backend::sql::tables::Root;

const RECORD: [Column; 3] = [
    Column("action", Kind::Text),
    Column("actor", Kind::Text),
    Column("events", Kind::Text),
];

pub(super) fn steps(sp: &dyn Spelling) -> Vec<Step> {
    let mut steps: Vec<Step> = ROOTS.iter().map(|root| changed(sp, root)).collect();
    steps.push(known(sp));
    steps
}

fn changed(sp: &dyn Spelling, root: &Root) -> Step {
    let list = List::Record(root.aggregate);
    let mut columns: Vec<Column> = RECORD.to_vec();
    columns.extend([Column("row_key", Kind::Text), N]);
    columns.extend(root.key);
    let sql = format!(
        "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id) \
         SELECT '{}', r.row_key, t.version, r.action, r.actor, r.events, {}, {} FROM {} AS r \
         JOIN stockroom_{} AS t ON {} RETURNING aggregate, row_key, version",
        root.aggregate.as_str(),
        sp.now(),
        sp.commit(),
        sp.admitted(list, &columns),
        root.table,
        on_key("t", "r", root.key),
    );
    Step {
        list,
        columns,
        phase: Phase::History,
        sql,
    }
}

fn known(sp: &dyn Spelling) -> Step {
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
