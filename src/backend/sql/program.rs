//! The text of the commit program, composed from the table descriptions for one dialect.
//!
//! PostgreSQL runs the steps inside one function, SQLite one after the other in a transaction; both read their rows
//! from the lists of the [payload](super::plan::Payload). A step whose list is absent is skipped.
//!
//! Phases: lock and look (`Check`), then write (`Write`), then answer. Everything that could refuse the batch is
//! looked at before the first write, so that a refusal leaves nothing behind.

use std::fmt::Write as _;

use super::tables::Change;
use super::tables::Column;
use super::tables::Kind;
use super::tables::Part;
use super::tables::ROOTS;
use super::tables::Root;

/// Most units of one line of a cart.
pub(super) const LINE_LIMIT: i64 = crate::model::MAX_LINE_QUANTITY;

/// Most lines of a cart.
pub(super) const LINES_LIMIT: i64 = crate::model::MAX_LINES as i64;

/// How a dialect spells what differs between the commit programs.
pub(super) trait Spelling {
    /// The rows of a list as a table of typed columns.
    fn rows(&self, list: &str, columns: &[Column]) -> String;
    /// The clock of the store, fixed for the batch.
    fn now(&self) -> &'static str;
    /// Id of the commit.
    fn commit(&self) -> &'static str;
    /// A left join of the list's rows `r` with `t`, the row of the same key in a table, locked; at most one.
    fn look_up(&self, join: &LookUp<'_>) -> String;
    /// A test for being in the payload's list of ids.
    fn in_list(&self, list: &str) -> String;
    /// A column's value in the payload, as the type that the table has.
    fn id_text(&self, column: &str) -> String;
}

/// What a [`Spelling::look_up`] joins.
#[derive(Debug)]
pub(super) struct LookUp<'a> {
    pub(super) table: &'a str,
    /// Columns of the key, in the list and in the table.
    pub(super) key: &'a [Column],
    /// What is selected from `t`.
    pub(super) select: &'a str,
    /// A further condition on `r`.
    pub(super) only: &'a str,
    pub(super) lock: Lock,
    /// Name of the join's result.
    pub(super) alias: &'a str,
}

/// How a row is locked while it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    /// Against writers.
    Share,
    /// Against writers and those that lock it.
    Write,
}

/// One step: the list that it works on, and its statement.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) list: String,
    pub(super) phase: Phase,
    pub(super) sql: String,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Locks, and returns a row of facts for each row of the list: `n`, whether it is as the batch needs it (`ok`), `f1`….
    Look(Facts),
    /// Writes.
    Write,
    /// Writes the history and returns `(set, root, key…, version)`.
    History,
}

/// What the facts of a look are about; the letter names their list in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facts {
    /// `f1` version or 0, `f2` whether it is live; of a root, by its position in [`ROOTS`].
    Root(usize),
    /// `f1` on hand, `f2` allocated, `f3` held, `f4` available; of a level.
    Level,
    /// `f1` quantity, `f2` lines in the cart; of a cart line.
    Line,
    /// `f1` owner, `f2` fingerprint; of a claimed key.
    Claim,
}

impl Facts {
    /// How many columns follow `n` and `ok`.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::Root(_) | Self::Line | Self::Claim => 2,
            Self::Level => 4,
        }
    }
}

/// Name of the list with the checks of a root.
pub(super) fn check_list(root: &Root) -> String {
    format!("check_{}", root.table)
}

/// Name of a list of rows to insert, update, delete, change, or to record, of a root.
pub(super) fn list(verb: &str, table: &str) -> String {
    format!("{verb}_{table}")
}

const N: Column = Column("n", Kind::Int);

/// What a row must be like: written or only read, its version between two bounds (0 is absent), live or not.
const CHECK: [Column; 4] = [
    Column("writes", Kind::Int),
    Column("low", Kind::Int),
    Column("high", Kind::Int),
    Column("live", Kind::Int),
];

/// Every step in the order in which they run.
pub(super) fn steps(spelling: &dyn Spelling) -> Vec<Step> {
    let mut steps = Vec::new();
    for (position, root) in ROOTS.iter().enumerate() {
        steps.push(look_at_root(spelling, position, root));
    }
    steps.push(look_at_levels(spelling));
    steps.push(look_at_lines(spelling));
    steps.push(look_at_claims(spelling));
    steps.extend(write_claims(spelling));
    for root in ROOTS {
        steps.extend(write_root(spelling, root));
    }
    steps.extend(write_stock(spelling));
    for root in ROOTS {
        steps.push(record(spelling, root));
    }
    steps.push(record_deletes(spelling));
    steps
}

fn look_at_root(sp: &dyn Spelling, position: usize, root: &Root) -> Step {
    let list = check_list(root);
    let mut columns = vec![N];
    columns.extend(root.key);
    columns.extend(CHECK);
    let live = root.live.map_or_else(
        || "1".to_owned(),
        |live| format!("CASE WHEN {} THEN 1 ELSE 0 END", live.replace("{now}", sp.now())),
    );
    let select = format!("t.version, {live} AS live");
    let table = format!("stockroom_{}", root.table);
    let join = |only, lock, alias| {
        sp.look_up(&LookUp {
            table: &table,
            key: root.key,
            select: &select,
            only,
            lock,
            alias,
        })
    };
    // One pass over the sorted list takes every lock of the kind in one order, each in its own strength.
    let sql = format!(
        "SELECT r.n AS n, coalesce(w.version, s.version, 0) BETWEEN r.low AND r.high \
         AND (r.live = 0 OR coalesce(w.live, s.live, 0) = 1) AS ok, \
         coalesce(w.version, s.version, 0) AS f1, coalesce(w.live, s.live, 0) AS f2 FROM {} AS r {} {}",
        sp.rows(&list, &columns),
        join("r.writes = 1", Lock::Write, "w"),
        join("r.writes = 0", Lock::Share, "s"),
    );
    Step {
        list,
        phase: Phase::Look(Facts::Root(position)),
        sql,
    }
}

/// What expired or is released on a level is free again. The rows were locked by the statement before, so that this one
/// sees what others committed while we waited.
fn look_at_levels(sp: &dyn Spelling) -> Step {
    let list = "need_levels".to_owned();
    let freed = format!(
        "(SELECT coalesce(sum(h.quantity), 0) FROM stockroom_holds AS h WHERE h.sku = t.sku AND h.location = t.location \
         AND (h.expires_at <= {now} OR {released}))",
        now = sp.now(),
        released = sp.in_list("h.hold_id"),
    );
    let select = format!(
        "t.on_hand, t.allocated, t.held - {freed} AS held, \
         t.on_hand - t.allocated - t.held + t.backorder_limit + {freed} AS available"
    );
    let sql = format!(
        "SELECT r.n AS n, coalesce(l.on_hand, 0) >= r.need_on_hand AND coalesce(l.allocated, 0) >= r.need_allocated \
         AND coalesce(l.held, 0) >= r.need_held AND coalesce(l.available, 0) >= r.need_available AS ok, \
         coalesce(l.on_hand, 0) AS f1, coalesce(l.allocated, 0) AS f2, coalesce(l.held, 0) AS f3, \
         coalesce(l.available, 0) AS f4 FROM {} AS r {}",
        sp.rows(&list, &NEED),
        plain(sp, "stockroom_levels", &LEVEL, &select, "l"),
    );
    Step {
        list,
        phase: Phase::Look(Facts::Level),
        sql,
    }
}

/// A look-up without a lock of its own.
fn plain(sp: &dyn Spelling, table: &str, key: &[Column], select: &str, alias: &str) -> String {
    sp.look_up(&LookUp {
        table,
        key,
        select,
        only: "true",
        lock: Lock::None,
        alias,
    })
}

/// Lower bounds under which every step of the batch holds, one after the other.
const NEED: [Column; 7] = [
    N,
    LEVEL[0],
    LEVEL[1],
    Column("need_on_hand", Kind::Int),
    Column("need_allocated", Kind::Int),
    Column("need_held", Kind::Int),
    Column("need_available", Kind::Int),
];

fn look_at_lines(sp: &dyn Spelling) -> Step {
    let list = "need_lines".to_owned();
    let columns = [
        N,
        Column("cart_id", Kind::Id),
        Column("line_key", Kind::Text),
        Column("more", Kind::Int),
    ];
    let count = "(SELECT count(*) FROM stockroom_cart_lines AS c WHERE c.cart_id = r.cart_id)";
    let sql = format!(
        "SELECT r.n AS n, coalesce(q.quantity, 0) + r.more <= {LINE_LIMIT} \
         AND (q.quantity IS NOT NULL OR {count} < {LINES_LIMIT}) AS ok, \
         coalesce(q.quantity, 0) AS f1, {count} AS f2 FROM {} AS r {}",
        sp.rows(&list, &columns),
        plain(sp, "stockroom_cart_lines", &columns[1..3], "t.quantity", "q"),
    );
    Step {
        list,
        phase: Phase::Look(Facts::Line),
        sql,
    }
}

const CLAIM: [Column; 4] = [
    Column("space", Kind::Text),
    Column("claim_key", Kind::Text),
    Column("owner", Kind::Id),
    Column("fingerprint", Kind::Text),
];

/// A claim, whether its key may be used once only, and the owner that gives it up in the same batch.
pub(super) const TAKEN: [Column; 7] = [
    N,
    CLAIM[0],
    CLAIM[1],
    CLAIM[2],
    CLAIM[3],
    Column("once", Kind::Int),
    Column("from_owner", Kind::Id),
];

fn look_at_claims(sp: &dyn Spelling) -> Step {
    let list = "claims".to_owned();
    let sql = format!(
        "SELECT r.n AS n, (c.owner IS NULL OR (r.once = 0 AND (c.owner = r.owner OR c.owner = r.from_owner))) IS TRUE AS ok, \
         {} AS f1, c.fingerprint AS f2 FROM {} AS r {}",
        sp.id_text("c.owner"),
        sp.rows(&list, &TAKEN),
        plain(sp, "stockroom_claims", &CLAIM[..2], "t.owner, t.fingerprint", "c"),
    );
    Step {
        list,
        phase: Phase::Look(Facts::Claim),
        sql,
    }
}

fn write_claims(sp: &dyn Spelling) -> [Step; 2] {
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

fn write_root(sp: &dyn Spelling, root: &Root) -> Vec<Step> {
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
    let name = list("insert", root.table);
    steps.push(Step {
        sql: format!(
            "INSERT INTO {table} ({0}) SELECT {0} FROM {1} AS r",
            names(&whole),
            sp.rows(&name, &whole)
        ),
        list: name,
        phase: Phase::Write,
    });
    let name = list("update", root.table);
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
    let name = list("delete", root.table);
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
    let clear = list("clear", part.table);
    let insert = list("insert", part.table);
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
        let add = list("add", part.table);
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
pub(super) fn delta_columns(root: &Root) -> Vec<Column> {
    let changes = root.delta.iter().map(|change| match change {
        Change::Add(name) => Column(name, Kind::Int),
        Change::Expire(name) => Column(name, Kind::Expiry),
    });
    root.key.iter().copied().chain(changes).collect()
}

fn change_root(sp: &dyn Spelling, root: &Root) -> Step {
    let name = list("delta", root.table);
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

const LEVEL: [Column; 2] = [Column("sku", Kind::Text), Column("location", Kind::Text)];

fn write_stock(sp: &dyn Spelling) -> Vec<Step> {
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
    let step = |list: &str, sql: String| Step {
        list: list.to_owned(),
        phase: Phase::Write,
        sql,
    };
    vec![
        step(
            "need_levels",
            format!(
                "INSERT INTO stockroom_movements (sku, location, kind, on_hand, allocated, held, reference, note, at, commit_id) \
             SELECT h.sku, h.location, CASE WHEN {} THEN 'unhold' ELSE 'expire' END, 0, 0, -h.quantity, h.hold_id, NULL, {now}, {} \
             FROM stockroom_holds AS h WHERE {gone}",
                sp.in_list("h.hold_id"),
                sp.commit(),
            ),
        ),
        step(
            "need_levels",
            format!(
                "UPDATE stockroom_levels AS t SET held = t.held - g.quantity FROM \
             (SELECT h.sku, h.location, sum(h.quantity) AS quantity FROM stockroom_holds AS h WHERE {gone} \
             GROUP BY h.sku, h.location) AS g WHERE t.sku = g.sku AND t.location = g.location"
            ),
        ),
        step(
            "need_levels",
            format!("DELETE FROM stockroom_holds AS h WHERE {gone}"),
        ),
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

const RECORD: [Column; 4] = [
    Column("wset", Kind::Int),
    Column("action", Kind::Text),
    Column("actor", Kind::Text),
    Column("events", Kind::Text),
];

/// How a row's key is written in the history.
pub(super) fn key_text(sp: &dyn Spelling, alias: &str, root: &Root) -> String {
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

fn record(sp: &dyn Spelling, root: &Root) -> Step {
    let name = list("record", root.table);
    let mut columns: Vec<Column> = RECORD.to_vec();
    columns.extend(root.key);
    let sql = format!(
        "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id, wset) \
         SELECT '{}', {}, t.version, r.action, r.actor, r.events, {}, {}, r.wset FROM {} AS r \
         JOIN stockroom_{} AS t ON {} RETURNING wset, aggregate, row_key, version",
        root.aggregate.as_str(),
        key_text(sp, "t", root),
        sp.now(),
        sp.commit(),
        sp.rows(&name, &columns),
        root.table,
        on_key("t", "r", root.key)
    );
    Step {
        list: name,
        phase: Phase::History,
        sql,
    }
}

fn record_deletes(sp: &dyn Spelling) -> Step {
    let name = "record_deletes".to_owned();
    let mut columns: Vec<Column> = RECORD.to_vec();
    columns.extend([
        Column("aggregate", Kind::Text),
        Column("row_key", Kind::Text),
        Column("version", Kind::Int),
    ]);
    let sql = format!(
        "INSERT INTO stockroom_changes (aggregate, row_key, version, action, actor, events, at, commit_id, wset) \
         SELECT r.aggregate, r.row_key, r.version, r.action, r.actor, r.events, {}, {}, r.wset FROM {} AS r \
         WHERE true RETURNING wset, aggregate, row_key, version",
        sp.now(),
        sp.commit(),
        sp.rows(&name, &columns),
    );
    Step {
        list: name,
        phase: Phase::History,
        sql,
    }
}

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
    names.join(", ")
}

fn on_key(left: &str, right: &str, key: &[Column]) -> String {
    let tests: Vec<String> = key
        .iter()
        .map(|column| format!("{left}.{0} = {right}.{0}", column.0))
        .collect();
    tests.join(" AND ")
}
