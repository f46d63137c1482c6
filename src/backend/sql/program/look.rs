//! Lock and look: what the database holds, and whether it is as the batch needs it.

use super::CLAIM;
use super::Facts;
use super::LEVEL;
use super::List;
use super::Lock;
use super::LookUp;
use super::N;
use super::Phase;
use super::Spelling;
use super::Step;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::Root;
use crate::model::Aggregate;

/// Most units of one line of a cart.
pub(in crate::backend::sql) const LINE_LIMIT: i64 = crate::model::MAX_LINE_QUANTITY;

/// Most lines of a cart.
pub(in crate::backend::sql) const LINES_LIMIT: i64 = crate::model::MAX_LINES as i64;

/// What a row must be like: written or only read, its version between two bounds (0 is absent), live or not.
const CHECK: [Column; 4] = [
    Column("writes", Kind::Int),
    Column("low", Kind::Int),
    Column("high", Kind::Int),
    Column("live", Kind::Int),
];

/// What the batch adds to a level, and lower bounds under which each of its steps holds, one after the other.
pub(super) const STEPPED: [Column; 10] = [
    N,
    LEVEL[0],
    LEVEL[1],
    Column("on_hand", Kind::Int),
    Column("allocated", Kind::Int),
    Column("held", Kind::Int),
    Column("need_on_hand", Kind::Int),
    Column("need_allocated", Kind::Int),
    Column("need_held", Kind::Int),
    Column("need_available", Kind::Int),
];

/// A claim, whether its key may be used once only, and the owner that gives it up in the same batch.
pub(in crate::backend::sql) const TAKEN: [Column; 7] = [
    N,
    CLAIM[0],
    CLAIM[1],
    CLAIM[2],
    CLAIM[3],
    Column("once", Kind::Int),
    Column("from_owner", Kind::Id),
];

pub(super) fn root(sp: &dyn Spelling, position: usize, root: &Root) -> Step {
    let list = List::Check(root.aggregate);
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
        sp.rows(list, &columns),
        join("r.writes = 1", Lock::Write, "w"),
        join("r.writes = 0", Lock::Share, "s"),
    );
    Step {
        list,
        columns,
        phase: Phase::Look(Facts::Root(position)),
        sql,
    }
}

/// What expired or is released on a level is free again. The rows were locked by the statement before, so that this one
/// sees what others committed while we waited.
pub(super) fn levels(sp: &dyn Spelling) -> Step {
    let list = List::Change(Aggregate::Level);
    let units = |which: &str| {
        format!(
            "(SELECT coalesce(sum(h.quantity), 0) FROM stockroom_holds AS h WHERE h.sku = t.sku \
             AND h.location = t.location AND {which})"
        )
    };
    let (now, is_released) = (sp.now(), sp.is_released("h.hold_id"));
    let freed = units(&format!("(h.expires_at <= {now} OR {is_released})"));
    let released = units(&format!("h.expires_at > {now} AND {is_released}"));
    let select = format!(
        "t.on_hand, t.allocated, t.held, t.backorder_limit, {freed} AS freed, {released} AS released"
    );
    let held = "coalesce(l.held - l.freed, 0)";
    let available = "coalesce(l.on_hand - l.allocated - l.held + l.backorder_limit + l.freed, 0)";
    let sql = format!(
        "SELECT r.n AS n, coalesce(l.on_hand, 0) >= r.need_on_hand AND coalesce(l.allocated, 0) >= r.need_allocated \
         AND {held} >= r.need_held AND {available} >= r.need_available AS ok, \
         coalesce(l.on_hand, 0) AS f1, coalesce(l.allocated, 0) AS f2, {held} AS f3, \
         {available} AS f4, coalesce(l.freed, 0) AS f5, coalesce(l.released, 0) AS f6 FROM {} AS r {}",
        sp.rows(list, &STEPPED),
        plain(sp, "stockroom_levels", &LEVEL, &select, "l"),
    );
    Step {
        list,
        columns: STEPPED.to_vec(),
        phase: Phase::Look(Facts::Level),
        sql,
    }
}

pub(super) fn lines(sp: &dyn Spelling) -> Step {
    let list = List::NeedLines;
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
        sp.rows(list, &columns),
        plain(sp, "stockroom_cart_lines", &columns[1..3], "t.quantity", "q"),
    );
    Step {
        list,
        columns: columns.to_vec(),
        phase: Phase::Look(Facts::Line),
        sql,
    }
}

pub(super) fn claims(sp: &dyn Spelling) -> Step {
    let list = List::Claims;
    let sql = format!(
        "SELECT r.n AS n, (c.owner IS NULL OR (r.once = 0 AND (c.owner = r.owner OR c.owner = r.from_owner))) IS TRUE AS ok, \
         {} AS f1, c.fingerprint AS f2, (c.owner = r.owner) IS TRUE AS own FROM {} AS r {}",
        sp.id_text("c.owner"),
        sp.rows(list, &TAKEN),
        plain(sp, "stockroom_claims", &CLAIM[..2], "t.owner, t.fingerprint", "c"),
    );
    Step {
        list,
        columns: TAKEN.to_vec(),
        phase: Phase::Look(Facts::Claim),
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
