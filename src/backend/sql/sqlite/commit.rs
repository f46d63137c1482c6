//! The commit program on SQLite: the steps one after the other, between `BEGIN IMMEDIATE` and `COMMIT`.

use std::sync::LazyLock;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::record;
use super::values;
use super::values::Given;
use crate::backend::sql::answer;
use crate::backend::sql::answer::Found;
use crate::backend::sql::committer::Applied;
use crate::backend::sql::committer::Ran;
use crate::backend::sql::judge::Facts;
use crate::backend::sql::judge::Verdict;
use crate::backend::sql::judge::judge;
use crate::backend::sql::plan::Payload;
use crate::backend::sql::plan::Plan;
use crate::backend::sql::plan::Prepared;
use crate::backend::sql::plan::lay_out;
use crate::backend::sql::program;
use crate::backend::sql::program::Facts as About;
use crate::backend::sql::program::List;
use crate::backend::sql::program::LookUp;
use crate::backend::sql::program::Phase;
use crate::backend::sql::program::Spelling;
use crate::backend::sql::program::Step;
use crate::backend::sql::tables::Column;
use crate::backend::sql::tables::Kind;

pub(super) static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| program::steps(&SqliteSpelling));

const BEGUN: &str = "SELECT $1 + CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER), m.value \
     FROM stockroom_meta AS m WHERE m.name = 'epoch'";

const COMMIT_ROW: &str = "INSERT INTO stockroom_commits (id, answer, at) VALUES ($1, $2, $3)";

/// A step's statement has two tables beside those of the shop: `given`, what every step is given, and `listed`, the rows of the list.
struct SqliteSpelling;

impl Spelling for SqliteSpelling {
    fn rows(&self, _: List, columns: &[Column]) -> String {
        let names: Vec<String> = columns
            .iter()
            .map(|Column(name, kind)| match kind {
                Kind::Expiry => format!(
                    "CASE WHEN listed.{name} < 0 THEN {} - listed.{name} ELSE listed.{name} END AS {name}",
                    self.now()
                ),
                Kind::Id | Kind::Text | Kind::Int => format!("listed.{name} AS {name}"),
            })
            .collect();
        // The first column of every list has a value in every row.
        let first = columns.first().map_or("n", |column| column.0);
        format!(
            "(SELECT {} FROM listed WHERE listed.{first} IS NOT NULL)",
            names.join(", ")
        )
    }

    // Sets that are left out are left out of the payload.
    fn admitted(&self, list: List, columns: &[Column]) -> String {
        self.rows(list, columns)
    }

    fn now(&self) -> &'static str {
        "(SELECT given.now FROM given)"
    }

    fn commit(&self) -> &'static str {
        "(SELECT given.commit_id FROM given)"
    }

    // The transaction holds the one write lock already.
    fn look_up(&self, join: &LookUp<'_>) -> String {
        let LookUp {
            table,
            key,
            select,
            only,
            alias,
            ..
        } = join;
        let keys: Vec<String> = key.iter().map(|column| format!("t.{}", column.0)).collect();
        let matches: Vec<String> = key
            .iter()
            .map(|column| format!("{alias}.{0} = r.{0}", column.0))
            .collect();
        format!(
            "LEFT JOIN (SELECT {}, {select} FROM {table} AS t) AS {alias} ON {} AND {only}",
            keys.join(", "),
            matches.join(" AND ")
        )
    }

    fn is_released(&self, column: &str) -> String {
        format!("{column} IN (SELECT value FROM json_each((SELECT given.released FROM given)))")
    }

    fn history(&self) -> Vec<Step> {
        record::steps(self)
    }

    fn new_claims(&self) -> (&'static str, &'static str) {
        ("true", "ON CONFLICT (space, claim_key) DO NOTHING")
    }

    fn id_text(&self, column: &str) -> String {
        column.to_owned()
    }
}

/// The program between `BEGIN` and `COMMIT`, or behind a savepoint.
pub(super) async fn steps(
    connection: &mut SqliteConnection,
    commit: Uuid,
    shift: i64,
    sets: &[&Prepared],
    plan: &mut Plan,
) -> Result<Ran, sqlx::Error> {
    let begun = sqlx::query(BEGUN).bind(shift).fetch_one(&mut *connection).await?;
    let (now, epoch): (i64, i64) = (begun.try_get(0)?, begun.try_get(1)?);
    if epoch != plan.epoch {
        return Ok(Ran::Restored(epoch));
    }
    let payload = std::mem::take(&mut plan.payload);
    let mut batch = Batch {
        connection,
        given: given(now, commit, &payload),
        payload,
        applied: Applied {
            at: now,
            ..Applied::default()
        },
    };
    let mut looked = batch.look().await?;
    let mut facts = Facts::default();
    if !looked.holds {
        // The transaction has the one lock: what holds without the others goes in it.
        let Some((admitted, out)) = without_refused(sets, plan, &batch.payload, &looked.facts) else {
            return Ok(Ran::Refused(looked.facts));
        };
        facts = looked.facts;
        batch.payload = admitted.payload;
        batch.applied.out = out;
        looked = batch.look().await?;
        if !looked.holds {
            return Ok(Ran::Refused(facts));
        }
    }
    batch.write(looked.gone).await?;
    if plan.writes {
        batch.record(plan).await?;
    }
    Ok(Ran::Applied(batch.applied, facts))
}

/// The plan without the sets that do not hold, and the numbers of those; `None` when there is nothing to be gained.
fn without_refused(
    sets: &[&Prepared],
    plan: &Plan,
    payload: &Payload,
    facts: &Facts,
) -> Option<(Plan, Vec<usize>)> {
    // The units of a hold that is released were counted for the others.
    if sets.len() < 2 || !payload.released.is_empty() {
        return None;
    }
    let (mut admitted, mut out) = (Vec::new(), Vec::new());
    for (number, verdict) in judge(sets, plan, facts).iter().enumerate() {
        match verdict {
            Verdict::Admit => admitted.extend(sets.get(number).copied()),
            _ => out.push(number),
        }
    }
    if admitted.is_empty() || out.is_empty() {
        return None;
    }
    Some((lay_out(&admitted).ok()?, out))
}

fn given(now: i64, commit: Uuid, payload: &Payload) -> Given {
    let released: Vec<String> = payload.released.iter().map(ToString::to_string).collect();
    Given {
        now,
        commit: commit.hyphenated().to_string(),
        released: serde_json::to_string(&released).unwrap_or_else(|_| "[]".to_owned()),
    }
}

/// A batch in its transaction.
struct Batch<'a> {
    connection: &'a mut SqliteConnection,
    payload: Payload,
    given: Given,
    applied: Applied,
}

/// What was found before anything was written.
struct Looked {
    facts: Facts,
    /// Whether everything is as needed.
    holds: bool,
    /// Whether there are holds that are gone.
    gone: bool,
}

impl Batch<'_> {
    async fn look(&mut self) -> Result<Looked, sqlx::Error> {
        let mut looked = Looked {
            facts: Facts {
                at: self.given.now,
                ..Facts::default()
            },
            holds: true,
            gone: false,
        };
        for (number, step) in STEPS.iter().enumerate() {
            let Phase::Look(about) = step.phase else { continue };
            for row in self.run(number, step).await? {
                let (found, ok) = read_fact(&row, about)?;
                looked.holds &= ok;
                looked.gone |= frees(&found, about);
                answer::add(&mut looked.facts, about, found);
            }
        }
        Ok(looked)
    }

    async fn write(&mut self, gone: bool) -> Result<(), sqlx::Error> {
        for (number, step) in STEPS.iter().enumerate() {
            match step.phase {
                Phase::Look(_) => continue,
                Phase::Sweep if !gone => continue,
                Phase::Sweep | Phase::Write | Phase::Change(_) | Phase::History => {}
            }
            let rows = self.run(number, step).await?;
            if step.phase != Phase::History {
                continue;
            }
            for row in &rows {
                let key: String = row.try_get(1)?;
                let version = answer::version(row.try_get(0)?, &key, row.try_get(2)?);
                self.applied.versions.extend(version);
            }
        }
        Ok(())
    }

    async fn record(&mut self, plan: &Plan) -> Result<(), sqlx::Error> {
        sqlx::query(COMMIT_ROW)
            .bind(&self.given.commit)
            .bind(answer::text(&self.applied, &plan.changed))
            .bind(self.given.now)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// A step, unless its list has no rows.
    async fn run(&mut self, number: usize, step: &Step) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut rows = Vec::new();
        let Some(list) = self.payload.get(step.list) else {
            return Ok(rows);
        };
        for statement in values::statements(number, step, list, &self.given) {
            rows.extend(statement.fetch_all(&mut *self.connection).await?);
        }
        Ok(rows)
    }
}

/// Whether a level has holds that are gone.
fn frees(found: &Found, about: About) -> bool {
    match found {
        Found::Numbers { numbers, .. } => {
            about == About::Level && numbers.get(4).is_some_and(|freed| *freed != 0)
        }
        Found::Claim { .. } => false,
    }
}

/// A row of a look: position, whether it is as needed, and the facts.
fn read_fact(row: &SqliteRow, about: About) -> Result<(Found, bool), sqlx::Error> {
    let n: i64 = row.try_get(0)?;
    let ok: bool = row.try_get(1)?;
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let found = match about {
        About::Claim => Found::Claim {
            n,
            owner: row.try_get(2)?,
            fingerprint: row.try_get(3)?,
        },
        _ => {
            let numbers = (2..2 + about.width()).map(|column| row.try_get(column));
            Found::Numbers {
                n,
                numbers: numbers.collect::<Result<_, _>>()?,
            }
        }
    };
    Ok((found, ok))
}
