//! The commit program on PostgreSQL: the steps inside one database function, one round trip a batch.
//!
//! The function's name ends in a digest of its text. Two versions of this crate that run at the same time each call
//! their own; all keep one lock order. A function stays until no running version calls it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::Digest as _;
use sha2::Sha256;

use super::arrays;
use super::record;
use crate::backend::sql::program;
use crate::backend::sql::program::Facts;
use crate::backend::sql::program::HOLDS_FOR_SURE;
use crate::backend::sql::program::List;
use crate::backend::sql::program::Lock;
use crate::backend::sql::program::LookUp;
use crate::backend::sql::program::Phase;
use crate::backend::sql::program::Spelling;
use crate::backend::sql::program::Step;
use crate::backend::sql::rows::Lane;
use crate::backend::sql::rows::Widths;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;
use crate::backend::sql::tables::ROOTS;
use crate::model::Aggregate;

pub(super) static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| program::steps(&PostgresSpelling));

/// The function, ready to be installed and called.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) create: String,
    pub(super) call: String,
}

/// They travel with the function. A plan made while a table was empty would otherwise read it from end to end for the life
/// of the connection, by itself or to build a hash of it: only loops that look each row up by its key stay as fast when
/// the table grows. And what is forbidden is priced so high that the server would compile each plan to machine code, which
/// takes milliseconds.
///
/// What is updated is joined all the same, and a plan of a nearly empty table reads the table from end to end. So plans are
/// made anew (`p_anew`) as a connection grows older, for the tables as they are by then.
const SETTINGS: &str = "SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off \
     SET enable_material = off SET enable_memoize = off SET plan_cache_mode = force_generic_plan";

/// `p_lists` tells of each list how many rows it has and where in the arrays they are, `p_sets` of each row whose it is,
/// `p_shared` which sets cannot be left out by themselves.
const PARAMETERS: &str = "p_commit uuid, p_after uuid, p_shift bigint, p_epoch bigint, p_writes boolean, p_relaxed boolean, p_anew boolean, p_guarded boolean, p_released uuid[], \
     p_count integer, p_shared integer[], p_lists integer[], p_sets integer[], p_ints bigint[], p_ids uuid[], p_texts text[]";

pub(super) static FUNCTION: LazyLock<Function> = LazyLock::new(|| {
    let body = body();
    let digest = Sha256::digest(format!("{SETTINGS}\n{body}"));
    let name = format!(
        "stockroom_commit_v1_{:02x}{:02x}{:02x}{:02x}",
        digest[0], digest[1], digest[2], digest[3]
    );
    let create = format!(
        "CREATE OR REPLACE FUNCTION {name}({PARAMETERS}) RETURNS text \
         LANGUAGE plpgsql {SETTINGS} AS $function$\n{body}\n$function$"
    );
    let call = format!(
        "/* stockroom commit */ SELECT {name}($1::uuid, $2::uuid, $3::bigint, $4::bigint, $5::boolean, $6::boolean, $7::boolean, $8::boolean, \
         $9::uuid[], $10::integer, $11::integer[], $12::integer[], $13::integer[], $14::bigint[], $15::uuid[], $16::text[])"
    );
    Function { name, create, call }
});

/// What the facts of a step are about.
pub(super) fn about(step: usize) -> Option<Facts> {
    match STEPS.get(step)?.phase {
        Phase::Look(about) => Some(about),
        Phase::Write | Phase::Sweep | Phase::Change(_) | Phase::History => None,
    }
}

struct PostgresSpelling;

impl Spelling for PostgresSpelling {
    fn rows(&self, list: List, columns: &[Column]) -> String {
        some_rows(list, columns, |set| {
            format!("v_only IS NULL OR {set} = ANY(v_only)")
        })
    }

    fn admitted(&self, list: List, columns: &[Column]) -> String {
        some_rows(list, columns, |set| {
            format!("v_out IS NULL OR {set} <> ALL(v_out)")
        })
    }

    fn now(&self) -> &'static str {
        "v_now"
    }

    fn commit(&self) -> &'static str {
        "p_commit"
    }

    fn look_up(&self, join: &LookUp<'_>) -> String {
        let LookUp {
            table,
            key,
            select,
            only,
            lock,
            alias,
        } = join;
        let matches: Vec<String> = key
            .iter()
            .map(|column| format!("t.{0} = r.{0}", column.0))
            .collect();
        // Without a lock the limit keeps it what it is, a look-up of each row by its key.
        let lock = match lock {
            Lock::None => " LIMIT 1",
            Lock::Share => " FOR SHARE",
            Lock::Write => " FOR NO KEY UPDATE",
        };
        format!(
            "LEFT JOIN LATERAL (SELECT {select} FROM {table} AS t WHERE {} AND {only}{lock}) AS {alias} ON true",
            matches.join(" AND ")
        )
    }

    fn is_released(&self, column: &str) -> String {
        format!("{column} = ANY(p_released)")
    }

    fn history(&self) -> Vec<Step> {
        vec![record::step(self)]
    }

    // Another transaction may take a key meanwhile: then the unique index says so.
    fn new_claims(&self) -> (&'static str, &'static str) {
        ("v_own IS NULL OR r.n <> ALL(v_own)", "")
    }

    fn id_text(&self, column: &str) -> String {
        format!("{column}::text")
    }
}

/// The rows of a list, of the sets that pass a test; `i` tells their order.
fn some_rows(list: List, columns: &[Column], test: impl FnOnce(&str) -> String) -> String {
    let mut widths = Widths::default();
    let columns: Vec<String> = columns
        .iter()
        .map(|Column(name, kind)| {
            let value = match widths.lane(*kind) {
                Lane::Ints(at) => format!("p_ints[x.ints + {at}]"),
                Lane::Ids(at) => format!("p_ids[x.ids + {at}]"),
                Lane::Texts(at) => format!("p_texts[x.texts + {at}]"),
            };
            if *kind == Kind::Expiry {
                return format!("CASE WHEN {value} < 0 THEN v_now - {value} ELSE {value} END AS {name}");
            }
            format!("{value} AS {name}")
        })
        .collect();
    let Widths { ints, ids, texts } = widths;
    let [rows, first_row, first_int, first_id, first_text] = figures(list);
    // OFFSET 0: a row's places are worked out once, not for each of its values.
    format!(
        "(SELECT {}, x.i FROM (SELECT i, {first_int} + i * {ints} AS ints, {first_id} + i * {ids} AS ids, \
         {first_text} + i * {texts} AS texts FROM generate_series(0, {rows} - 1) AS i WHERE {} OFFSET 0) AS x)",
        columns.join(", "),
        test(&format!("p_sets[{first_row} + i]"))
    )
}

/// A list's figures: its rows, the first of them, and its first values in the three arrays.
fn figures(list: List) -> [String; arrays::FIGURES] {
    let place = arrays::place(list).unwrap_or_default();
    std::array::from_fn(|figure| format!("p_lists[{}]", place + figure))
}

/// What the function raises and catches by itself.
const UNDONE: &str = "SR001";

/// Whether the levels came to this batch before the one that it follows: that one steps a level of its own, so it is done as soon
/// as this one has the locks of all of them, or its turn has not come.
const IS_EARLY: &str = "p_after IS NOT NULL AND NOT EXISTS \
     (SELECT FROM stockroom_commits AS c WHERE c.id = p_after AND c.answer IS NOT NULL)";

const EARLY: &str = "RETURN jsonb_build_object('ok', false, 'early', true)::text;";

const CLOCK: &str = "p_shift + (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

fn body() -> String {
    let changed = STEPS.iter().filter_map(|step| match step.phase {
        Phase::Change(aggregate) => Some(aggregate),
        _ => None,
    });
    let (mut declared, mut told) = (String::new(), Vec::new());
    for aggregate in changed {
        let versions = versions(aggregate);
        // Writing to a String cannot fail.
        let _ = writeln!(declared, "  {versions} bigint[];");
        told.push(format!("'{}', {versions}", aggregate.as_str()));
    }
    let mut text = format!(
        "DECLARE\n  v_now bigint := {CLOCK};\n  v_out integer[];\n  v_only integer[];\n  v_whole boolean := false;\n  v_stepped boolean := false;\n  v_early boolean := false;\n  v_found jsonb;\n  \
         v_facts jsonb := '[]';\n  v_numbers bigint[];\n  v_own bigint[];\n  v_answer jsonb;\n  v_epoch bigint;\n  v_gone boolean := false;\n{declared}{}BEGIN\n  \
         IF p_anew THEN\n    DISCARD PLANS;\n  END IF;\n  \
         IF p_relaxed THEN\n    PERFORM set_config('synchronous_commit', 'off', true);\n  END IF;\n  \
         SELECT m.value INTO v_epoch FROM stockroom_meta AS m WHERE m.name = 'epoch';\n  \
         IF v_epoch <> p_epoch THEN\n    \
         RETURN jsonb_build_object('ok', false, 'epoch', v_epoch)::text;\n  END IF;\n",
        record::DECLARED
    );
    let looks: Vec<&Step> = STEPS
        .iter()
        .filter(|step| matches!(step.phase, Phase::Look(_)))
        .collect();
    let levels = looks
        .iter()
        .position(|step| step.list == List::Check(Aggregate::Level));
    let (before, levels_on) = looks.split_at(levels.unwrap_or(looks.len()));
    for step in before {
        add(&mut text, step, &look(step));
    }
    text.push_str(&guarded(levels_on));
    text.push_str("  IF NOT v_stepped AND NOT v_early THEN\n");
    for step in levels_on {
        // The wait for the rows' locks may have taken long: what expires is decided afterwards.
        if step.phase == Phase::Look(Facts::Level) {
            let _ = writeln!(text, "  v_now := {CLOCK};");
        }
        add(&mut text, step, &look(step));
    }
    let _ = writeln!(
        text,
        "    v_early := {IS_EARLY};\n  END IF;\n  IF v_early THEN\n    {EARLY}\n  END IF;"
    );
    // Most batches hold: only for one that does not are facts written down, under the locks that it has by now. The sets
    // that do not hold are left out, with their facts for an answer; where they cannot be, nothing is written.
    text.push_str(
        "  IF v_out IS NOT NULL THEN\n    v_out := ARRAY(SELECT DISTINCT s FROM unnest(v_out) AS s);\n    \
         v_whole := v_out && (p_shared || -1) OR cardinality(v_out) >= p_count;\n    \
         IF NOT v_whole THEN\n      v_only := v_out;\n    END IF;\n",
    );
    for (number, step) in STEPS.iter().enumerate() {
        if let Phase::Look(about) = step.phase {
            add(&mut text, step, &facts(number, step, about));
        }
    }
    text.push_str(
        "    IF v_whole THEN\n      RETURN jsonb_build_object('ok', false, 'at', v_now, 'facts', v_facts)::text;\n    \
         END IF;\n  END IF;\n",
    );
    // The transaction has its id before its first change has a number: the feed's proof of order rests on it.
    text.push_str("  IF p_writes THEN\n    PERFORM pg_current_xact_id();\n  END IF;\n");
    for step in STEPS.iter() {
        match step.phase {
            Phase::Look(_) => {}
            Phase::Write if step.list == List::Claims => add(&mut text, step, &claim(step)),
            Phase::Write | Phase::History => add(&mut text, step, &format!("    {};\n", step.sql)),
            Phase::Change(aggregate) => {
                let change = change(step, aggregate, "");
                let change = match aggregate {
                    Aggregate::Level => format!("    IF NOT v_stepped THEN\n{change}    END IF;\n"),
                    _ => change,
                };
                add(&mut text, step, &change);
            }
            Phase::Sweep => add(
                &mut text,
                step,
                &format!("    IF v_gone THEN\n      {};\n    END IF;\n", step.sql),
            ),
        }
    }
    let _ = writeln!(
        text,
        "  v_answer := jsonb_build_object('ok', true, 'at', v_now, 'out', coalesce(v_out, '{{}}'), \
         'versions', jsonb_build_object({}));",
        told.join(", ")
    );
    text.push_str(
        "  IF p_writes THEN\n    \
         INSERT INTO stockroom_commits (id, answer, at) VALUES (p_commit, v_answer::text, v_now);\n  END IF;\n  \
         IF v_out IS NOT NULL THEN\n    v_answer := v_answer || jsonb_build_object('facts', v_facts);\n  END IF;\n  \
         RETURN v_answer::text;\nEND;",
    );
    text
}

/// A step that is skipped where its list is absent.
fn add(text: &mut String, step: &Step, statement: &str) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "  IF {} > 0 THEN\n{statement}  END IF;\n",
        figures(step.list)[0]
    );
}

/// Takes the keys that their owners do not have yet.
fn claim(step: &Step) -> String {
    let ([rows, ..], sql) = (figures(step.list), &step.sql);
    format!("    IF v_own IS NULL OR cardinality(v_own) < {rows} THEN\n      {sql};\n    END IF;\n")
}

/// Locks, and adds the sets for which not everything is as needed.
fn look(step: &Step) -> String {
    let sql = &step.sql;
    let [_, first_row, ..] = figures(step.list);
    let out =
        format!("v_out || array_agg(p_sets[{first_row} + y.n::integer]) FILTER (WHERE y.ok IS NOT TRUE)");
    if step.phase == Phase::Look(Facts::Claim) {
        return format!(
            "    SELECT {out}, array_agg(y.n) FILTER (WHERE y.own) INTO v_out, v_own FROM ({sql}) AS y;\n"
        );
    }
    if step.phase == Phase::Look(Facts::Level) {
        return format!("    SELECT {out}, bool_or(y.f5 <> 0) INTO v_out, v_gone FROM ({sql}) AS y;\n");
    }
    format!("    SELECT {out} INTO v_out FROM ({sql}) AS y;\n")
}

fn facts(number: usize, step: &Step, about: Facts) -> String {
    let columns: Vec<String> = (1..=about.width()).map(|column| format!("y.f{column}")).collect();
    format!(
        "    SELECT jsonb_agg(jsonb_build_array({number}, jsonb_build_array(y.n, {}))) INTO v_found FROM ({}) AS y;\n    \
       v_facts := v_facts || coalesce(v_found, '[]');\n",
        columns.join(", "),
        step.sql
    )
}

/// Steps the levels at once, each under its guard: the rows are locked by what changes them, in the order of the list. Where
/// one guard fails, or anything else is not as needed, it is undone, and the levels are locked and looked at.
fn guarded(looks: &[&Step]) -> String {
    let Some(step) = STEPS
        .iter()
        .find(|step| step.phase == Phase::Change(Aggregate::Level))
    else {
        return String::new();
    };
    let [rows, ..] = figures(step.list);
    let versions = versions(Aggregate::Level);
    let change = change(step, Aggregate::Level, &format!(" AND {HOLDS_FOR_SURE}"));
    let mut text = format!(
        "  IF p_guarded AND {rows} > 0 AND v_out IS NULL THEN\n  BEGIN\n{change}    \
         IF array_position({versions}, NULL) IS NOT NULL THEN\n      RAISE SQLSTATE '{UNDONE}';\n    END IF;\n"
    );
    let others = looks.iter().filter(|step| {
        !matches!(step.phase, Phase::Look(Facts::Level)) && step.list != List::Check(Aggregate::Level)
    });
    for step in others {
        add(&mut text, step, &look(step));
    }
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "    v_early := {IS_EARLY};\n    IF v_early OR v_out IS NOT NULL THEN\n      RAISE SQLSTATE '{UNDONE}';\n    END IF;\n    \
         v_stepped := true;\n    v_now := {CLOCK};\n  \
         EXCEPTION WHEN SQLSTATE '{UNDONE}' THEN\n    v_out := NULL;\n    v_own := NULL;\n  END;\n  END IF;\n"
    );
    text
}

/// Keeps the versions in the order of the list; where rows are missing, NULL takes their places.
fn change(step: &Step, aggregate: Aggregate, and: &str) -> String {
    let [rows, ..] = figures(step.list);
    let versions = versions(aggregate);
    format!(
        "    WITH u AS ({}{and} RETURNING r.n AS n, t.version AS version) \
         SELECT array_agg(u.version ORDER BY u.n), array_agg(u.n ORDER BY u.n) INTO {versions}, v_numbers FROM u;\n    \
         IF coalesce(cardinality({versions}), 0) < {rows} THEN\n      \
         {versions} := ARRAY(SELECT {versions}[array_position(v_numbers, i)] FROM generate_series(0::bigint, {rows} - 1) AS i);\n    \
         END IF;\n",
        step.sql
    )
}

/// The variable that holds the versions that an aggregate's rows came to.
pub(super) fn versions(aggregate: Aggregate) -> String {
    let root = ROOTS.iter().find(|root| root.aggregate == aggregate);
    format!("v_{}", root.map_or("", |root| root.table))
}
