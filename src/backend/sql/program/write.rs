//! The writes, once nothing refuses the batch.

use std::fmt::Write as _;

use super::CLAIM;
use super::LEVEL;
use super::Phase;
use super::Spelling;
use super::Step;
use super::look::NEED;
use super::look::TAKEN;
use super::names;
use super::on_key;
use crate::backend::sql::tables::Change;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::Part;
use crate::backend::sql::tables::Root;

pub(super) fn claims(sp: &dyn Spelling) -> [Step; 2] {
    let released = sp.rows("release_claims", &[CLAIM[0], CLAIM[1], CLAIM[2]]);
    [
        Step {
            list: "release_claims".to_owned(),
            phase: Phase::Write,
            sql: format!(
                "DELETE FROM stockroom_claims AS t WHERE (t.space, t.claim_key, t.owner) IN \
                 (SELECT r.space, r.claim_key, r.owner FROM {released} AS r)"
            ),
        },
        Step {
            list: "claims".to_owned(),
            phase: Phase::Write,
            sql: format!(
                "INSERT INTO stockroom_claims (space, claim_key, owner, fingerprint, created_at) \
                 SELECT r.space, r.claim_key, r.owner, r.fingerprint, {} FROM {} AS r WHERE true \
                 ON CONFLICT (space, claim_key) DO NOTHING",
                sp.now(),
                sp.rows("claims", &TAKEN),
            ),
        },
    ]
}

pub(super) fn root(sp: &dyn Spelling, root: &Root) -> Vec<Step> {
    let table = format!("stockroom_{}", root.table);
    let version = [Column("version", Kind::Int)];
    let whole: Vec<Column> = root
        .key
        .iter()
        .chain(&version)
        .chain(root.insert)
        .copied()
        .collect();
    let update: Vec<Column> = root
        .key
        .iter()
        .chain(&version)
        .chain(root.update)
        .copied()
        .collect();
    let mut steps = Vec::new();
    let name = list_of("insert", root.table);
    steps.push(Step {
        sql: format!(
            "INSERT INTO {table} ({0}) SELECT {0} FROM {1} AS r",
            names(&whole),
            sp.rows(&name, &whole)
        ),
        list: name,
        phase: Phase::Write,
    });
    let name = list_of("update", root.table);
    let assignments: Vec<String> = version
        .iter()
        .chain(root.update)
        .map(|column| format!("{0} = r.{0}", column.0))
        .collect();
    steps.push(Step {
        sql: format!(
            "UPDATE {table} AS t SET {} FROM {} AS r WHERE {}",
            assignments.join(", "),
            sp.rows(&name, &update),
            on_key("t", "r", root.key)
        ),
        list: name,
        phase: Phase::Write,
    });
    let name = list_of("delete", root.table);
    steps.push(Step {
        sql: format!(
            "DELETE FROM {table} WHERE ({}) IN (SELECT {} FROM {} AS r)",
            names(root.key),
            names(root.key),
            sp.rows(&name, root.key)
        ),
        list: name,
        phase: Phase::Write,
    });
    if let Some(part) = root.part {
        steps.extend(write_part(sp, part));
    }
    if !root.delta.is_empty() && root.table != "levels" {
        steps.push(change_root(sp, root));
    }
    steps
}

fn write_part(sp: &dyn Spelling, part: &Part) -> Vec<Step> {
    let table = format!("stockroom_{}", part.table);
    let owner = [Column(part.owner, Kind::Id)];
    let clear = list_of("clear", part.table);
    let insert = list_of("insert", part.table);
    let mut steps = vec![
        Step {
            sql: format!(
                "DELETE FROM {table} WHERE {0} IN (SELECT {0} FROM {1} AS r)",
                part.owner,
                sp.rows(&clear, &owner)
            ),
            list: clear,
            phase: Phase::Write,
        },
        Step {
            sql: format!(
                "INSERT INTO {table} ({0}) SELECT {0} FROM {1} AS r",
                names(part.columns),
                sp.rows(&insert, part.columns)
            ),
            list: insert,
            phase: Phase::Write,
        },
    ];
    if part.table == "cart_lines" {
        let add = list_of("add", part.table);
        steps.push(Step {
            sql: format!(
                "INSERT INTO {table} ({0}) SELECT {0} FROM {1} AS r WHERE true ON CONFLICT (cart_id, line_key) \
                 DO UPDATE SET quantity = {table}.quantity + excluded.quantity",
                names(part.columns),
                sp.rows(&add, part.columns)
            ),
            list: add,
            phase: Phase::Write,
        });
    }
    steps
}

/// The columns of a root that deltas carry, in the order of [`Root::delta`].
fn delta_columns(root: &Root) -> Vec<Column> {
    let changes = root.delta.iter().map(|change| match change {
        Change::Add(name) => Column(name, Kind::Int),
        Change::Expire(name) => Column(name, Kind::Expiry),
    });
    root.key.iter().copied().chain(changes).collect()
}

fn change_root(sp: &dyn Spelling, root: &Root) -> Step {
    let name = list_of("delta", root.table);
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
    Step {
        sql: format!(
            "UPDATE stockroom_{} AS t SET {set}, updated_at = {} FROM {} AS r WHERE {}",
            root.table,
            sp.now(),
            sp.rows(&name, &delta_columns(root)),
            on_key("t", "r", root.key)
        ),
        list: name,
        phase: Phase::Write,
    }
}

pub(super) fn stock(sp: &dyn Spelling) -> Vec<Step> {
    let now = sp.now();
    let locked = sp.rows("need_levels", &NEED);
    // Gone are the holds of the levels that are locked: those past their time, and those that are released.
    let gone = format!(
        "(h.sku, h.location) IN (SELECT r.sku, r.location FROM {locked} AS r) AND (h.expires_at <= {now} OR {})",
        sp.in_list("h.hold_id")
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
    let stepped = [
        LEVEL[0],
        LEVEL[1],
        Column("on_hand", Kind::Int),
        Column("allocated", Kind::Int),
        Column("held", Kind::Int),
    ];
    let sweep = |sql: String| Step {
        list: "need_levels".to_owned(),
        phase: Phase::Sweep,
        sql,
    };
    let step = |list: &str, sql: String| Step {
        list: list.to_owned(),
        phase: Phase::Write,
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
        step(
            "insert_holds",
            format!(
                "INSERT INTO stockroom_holds ({0}) SELECT {0} FROM {1} AS r",
                names(&opened),
                sp.rows("insert_holds", &opened)
            ),
        ),
        step(
            "create_levels",
            format!(
                "INSERT INTO stockroom_levels (sku, location, version, updated_at) SELECT r.sku, r.location, 0, {now} \
             FROM {} AS r WHERE true ON CONFLICT (sku, location) DO NOTHING",
                sp.rows("create_levels", &LEVEL)
            ),
        ),
        step(
            "delta_levels",
            format!(
                "UPDATE stockroom_levels AS t SET version = t.version + 1, on_hand = t.on_hand + r.on_hand, \
             allocated = t.allocated + r.allocated, held = t.held + r.held, updated_at = {now} FROM {} AS r \
             WHERE t.sku = r.sku AND t.location = r.location",
                sp.rows("delta_levels", &stepped)
            ),
        ),
        step(
            "insert_movements",
            format!(
                "INSERT INTO stockroom_movements ({0}, at, commit_id) SELECT {0}, {now}, {1} FROM {2} AS r",
                names(&moved),
                sp.commit(),
                sp.rows("insert_movements", &moved)
            ),
        ),
    ]
}

/// Name of a list of rows to insert, update, delete, change, or to record, of a root.
fn list_of(verb: &str, table: &str) -> String {
    format!("{verb}_{table}")
}
