//! The history: one row for each aggregate that a write set changed.
//!
//! The version of what was put or deleted is known beforehand; that of what deltas changed is read from its row.

use super::List;
use super::Phase;
use super::Spelling;
use super::Step;
use super::on_key;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::Root;

const RECORD: [Column; 3] = [
    Column("action", Kind::Text),
    Column("actor", Kind::Text),
    Column("events", Kind::Text),
];

/// How a row's key is written in the history.
fn key_text(sp: &dyn Spelling, alias: &str, root: &Root) -> String {
    let parts: Vec<String> = root
        .key
        .iter()
        .map(|column| {
            let column_name = format!("{alias}.{}", column.0);
            if column.1 == Kind::Id {
                sp.id_text(&column_name)
            } else {
                column_name
            }
        })
        .collect();
    parts.join(" || '@' || ")
}

pub(super) fn changed(sp: &dyn Spelling, root: &Root) -> Step {
    let list = List::Record(root.aggregate);
    let mut columns: Vec<Column> = RECORD.to_vec();
    columns.extend(root.key);
    let sql = format!(
        "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id) \
         SELECT '{}', {}, t.version, r.action, r.actor, r.events, {}, {} FROM {} AS r \
         JOIN stockroom_{} AS t ON {} RETURNING aggregate, row_key, version",
        root.aggregate.as_str(),
        key_text(sp, "t", root),
        sp.now(),
        sp.commit(),
        sp.admitted(list, &columns),
        root.table,
        on_key("t", "r", root.key)
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
