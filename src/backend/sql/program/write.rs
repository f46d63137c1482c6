//! The writes, once nothing refuses the batch.

use std::fmt::Write as _;

use super::CLAIM;
use super::LEVEL;
use super::List;
use super::N;
use super::Phase;
use super::Spelling;
use super::Step;
use super::look::STEPPED;
use super::look::TAKEN;
use super::names;
use super::on_key;
use crate::backend::sql::tables::Change;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::Part;
use crate::backend::sql::tables::Root;
use crate::model::Aggregate;

pub(super) fn claims(sp: &dyn Spelling) -> [Step; 2] {
    let released = [CLAIM[0], CLAIM[1], CLAIM[2]];
    [
        step(List::ReleaseClaims, &released, |list| {
            format!(
                "DELETE FROM stockroom_claims AS t WHERE (t.space, t.claim_key, t.owner) IN \
                 (SELECT r.space, r.claim_key, r.owner FROM {} AS r)",
                sp.admitted(list, &released)
            )
        }),
        step(List::Claims, &TAKEN, |list| {
            let (only, afterwards) = sp.new_claims();
            format!(
                "INSERT INTO stockroom_claims (space, claim_key, owner, fingerprint, created_at) \
                 SELECT r.space, r.claim_key, r.owner, r.fingerprint, {} FROM {} AS r WHERE {only} {afterwards}",
                sp.now(),
                sp.admitted(list, &TAKEN),
            )
        }),
    ]
}

/// A step that adds up deltas.
fn change(aggregate: Aggregate, columns: &[Column], sql: impl FnOnce(List) -> String) -> Step {
    Step {
        phase: Phase::Change(aggregate),
        ..step(List::Change(aggregate), columns, sql)
    }
}

/// A step that writes the rows of a list.
fn step(list: List, columns: &[Column], sql: impl FnOnce(List) -> String) -> Step {
    Step {
        list,
        columns: columns.to_vec(),
        phase: Phase::Write,
        sql: sql(list),
    }
}

pub(super) fn root(sp: &dyn Spelling, root: &Root) -> Vec<Step> {
    let table = format!("stockroom_{}", root.table);
    let version = [Column("version", Kind::Int)];
    let with = |columns: &[Column]| -> Vec<Column> {
        root.key.iter().chain(&version).chain(columns).copied().collect()
    };
    let (whole, update) = (with(root.insert), with(root.update));
    let assignments: Vec<String> = version
        .iter()
        .chain(root.update)
        .map(|column| format!("{0} = r.{0}", column.0))
        .collect();
    let mut steps = vec![
        step(List::Insert(root.aggregate), &whole, |list| {
            format!(
                "INSERT INTO {table} ({0}) SELECT {0} FROM {1} AS r",
                names(&whole),
                sp.admitted(list, &whole)
            )
        }),
        step(List::Update(root.aggregate), &update, |list| {
            format!(
                "UPDATE {table} AS t SET {} FROM {} AS r WHERE {}",
                assignments.join(", "),
                sp.admitted(list, &update),
                on_key("t", "r", root.key)
            )
        }),
        step(List::Delete(root.aggregate), root.key, |list| {
            format!(
                "DELETE FROM {table} WHERE ({0}) IN (SELECT {0} FROM {1} AS r)",
                names(root.key),
                sp.admitted(list, root.key)
            )
        }),
    ];
    if let Some(part) = root.part {
        steps.extend(write_part(sp, root, part));
    }
    if !root.delta.is_empty() && root.table != "levels" {
        steps.push(change_root(sp, root));
    }
    steps
}

fn write_part(sp: &dyn Spelling, root: &Root, part: &Part) -> Vec<Step> {
    let table = format!("stockroom_{}", part.table);
    let owner = [Column(part.owner, Kind::Id)];
    let mut steps = vec![
        step(List::ClearParts(root.aggregate), &owner, |list| {
            format!(
                "DELETE FROM {table} WHERE {0} IN (SELECT {0} FROM {1} AS r)",
                part.owner,
                sp.admitted(list, &owner)
            )
        }),
        step(List::InsertParts(root.aggregate), part.columns, |list| {
            format!(
                "INSERT INTO {table} ({0}) SELECT {0} FROM {1} AS r",
                names(part.columns),
                sp.admitted(list, part.columns)
            )
        }),
    ];
    if part.table == "cart_lines" {
        steps.push(step(List::AddLines, part.columns, |list| {
            format!(
                "INSERT INTO {table} ({0}) SELECT {0} FROM {1} AS r WHERE true ON CONFLICT (cart_id, line_key) \
                 DO UPDATE SET quantity = {table}.quantity + excluded.quantity",
                names(part.columns),
                sp.admitted(list, part.columns)
            )
        }));
    }
    steps
}

/// The columns of a root that deltas carry, in the order of [`Root::delta`].
fn delta_columns(root: &Root) -> Vec<Column> {
    let changes = root.delta.iter().map(|change| match change {
        Change::Add(name) => Column(name, Kind::Int),
        Change::Expire(name) => Column(name, Kind::Expiry),
    });
    [N].into_iter()
        .chain(root.key.iter().copied())
        .chain(changes)
        .collect()
}

fn change_root(sp: &dyn Spelling, root: &Root) -> Step {
    let mut set = String::from("version = t.version + 1");
    for change in root.delta {
        // Writing to a String cannot fail.
        let _ = match change {
            Change::Add(column) => write!(set, ", {column} = t.{column} + r.{column}"),
            Change::Expire(column) => {
                write!(
                    set,
                    ", {column} = CASE WHEN r.{column} > t.{column} THEN r.{column} ELSE t.{column} END"
                )
            }
        };
    }
    let columns = delta_columns(root);
    change(root.aggregate, &columns, |list| {
        format!(
            "UPDATE stockroom_{} AS t SET {set}, updated_at = {} FROM {} AS r WHERE {}",
            root.table,
            sp.now(),
            sp.admitted(list, &columns),
            on_key("t", "r", root.key)
        )
    })
}

/// The steps of each level, summed up.
const STEPS: List = List::Change(Aggregate::Level);

/// Whether all steps of a level hold, as far as its row alone tells: holds that are gone may leave more than it says.
#[cfg(feature = "postgres")]
pub(in crate::backend::sql) const HOLDS_FOR_SURE: &str = "t.on_hand >= r.need_on_hand AND t.allocated >= r.need_allocated \
     AND r.need_held <= 0 AND t.on_hand - t.allocated - t.held + t.backorder_limit >= r.need_available";

pub(super) fn stock(sp: &dyn Spelling) -> Vec<Step> {
    let now = sp.now();
    let locked = sp.admitted(STEPS, &STEPPED);
    // Gone are the holds of the levels that are locked: those past their time, and those that are released.
    let gone = format!(
        "(h.sku, h.location) IN (SELECT r.sku, r.location FROM {locked} AS r) AND (h.expires_at <= {now} OR {})",
        sp.is_released("h.hold_id")
    );
    let opened = [
        Column("hold_id", Kind::Id),
        LEVEL[0],
        LEVEL[1],
        Column("quantity", Kind::Int),
        Column("expires_at", Kind::Expiry),
    ];
    let moved = [
        LEVEL[0],
        LEVEL[1],
        Column("kind", Kind::Text),
        Column("on_hand", Kind::Int),
        Column("allocated", Kind::Int),
        Column("held", Kind::Int),
        Column("reference", Kind::Id),
        Column("note", Kind::Text),
    ];
    let sweep = |sql: String| Step {
        list: STEPS,
        columns: STEPPED.to_vec(),
        phase: Phase::Sweep,
        sql,
    };
    vec![
        sweep(format!(
            "INSERT INTO stockroom_movements (sku, location, kind, on_hand, allocated, held, reference, note, at, commit_id) \
             SELECT h.sku, h.location, CASE WHEN h.expires_at <= {now} THEN 'expire' ELSE 'unhold' END, 0, 0, -h.quantity, h.hold_id, NULL, {now}, {} \
             FROM stockroom_holds AS h WHERE {gone}",
            sp.commit(),
        )),
        sweep(format!(
            "UPDATE stockroom_levels AS t SET held = t.held - g.quantity FROM \
             (SELECT h.sku, h.location, sum(h.quantity) AS quantity FROM stockroom_holds AS h WHERE {gone} \
             GROUP BY h.sku, h.location) AS g WHERE t.sku = g.sku AND t.location = g.location"
        )),
        sweep(format!("DELETE FROM stockroom_holds AS h WHERE {gone}")),
        step(List::InsertHolds, &opened, |list| {
            format!(
                "INSERT INTO stockroom_holds ({0}) SELECT {0} FROM {1} AS r",
                names(&opened),
                sp.admitted(list, &opened)
            )
        }),
        step(List::CreateLevels, &LEVEL, |list| {
            format!(
                "INSERT INTO stockroom_levels (sku, location, version, updated_at) SELECT r.sku, r.location, 0, {now} \
                 FROM {} AS r WHERE true ON CONFLICT (sku, location) DO NOTHING",
                sp.admitted(list, &LEVEL)
            )
        }),
        change(Aggregate::Level, &STEPPED, |list| {
            format!(
                "UPDATE stockroom_levels AS t SET version = t.version + 1, on_hand = t.on_hand + r.on_hand, \
                 allocated = t.allocated + r.allocated, held = t.held + r.held, updated_at = {now} FROM {} AS r \
                 WHERE t.sku = r.sku AND t.location = r.location",
                sp.admitted(list, &STEPPED)
            )
        }),
        step(List::InsertMovements, &moved, |list| {
            format!(
                "INSERT INTO stockroom_movements ({0}, at, commit_id) SELECT {0}, {now}, {1} FROM {2} AS r",
                names(&moved),
                sp.commit(),
                sp.admitted(list, &moved)
            )
        }),
    ]
}
