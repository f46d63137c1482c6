//! The commit program's answer: as rows, and as the text that the commit row keeps.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use super::committer::Applied;
use super::judge::Facts;
use super::judge::LevelFacts;
use super::plan::Prepared;
use super::plan::Running;
#[cfg(feature = "sqlite")]
use super::plan::parse_key;
use super::program::Facts as About;
use super::tables::ROOTS;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::model::from_micros;
use crate::spi::store::Committed;

/// One row of facts.
#[derive(Debug)]
pub(super) enum Found {
    Numbers {
        n: usize,
        numbers: Vec<i64>,
    },
    Claim {
        n: usize,
        owner: Option<String>,
        fingerprint: Option<String>,
    },
}

/// Puts a row of facts where the judge looks for it.
pub(super) fn add(facts: &mut Facts, about: About, found: Found) {
    match (about, found) {
        (About::Root(position), Found::Numbers { n, numbers }) => {
            if let (Some(root), [version, live]) = (ROOTS.get(position), numbers.as_slice()) {
                facts.rows.insert((root.aggregate, n), (*version, *live == 1));
            }
        }
        (About::Level, Found::Numbers { n, numbers }) => {
            if let [on_hand, allocated, held, available, _, released] = *numbers.as_slice() {
                let counters = Running {
                    on_hand,
                    allocated,
                    held,
                    available,
                };
                facts.levels.insert(n, LevelFacts { counters, released });
            }
        }
        (About::Line, Found::Numbers { n, numbers }) => {
            if let [quantity, lines] = *numbers.as_slice() {
                facts.lines.insert(n, (quantity, lines));
            }
        }
        (
            _,
            Found::Claim {
                n,
                owner,
                fingerprint,
            },
        ) => {
            if let Some(owner) = owner.and_then(|owner| Uuid::parse_str(&owner).ok()) {
                facts.claims.insert(n, (owner, fingerprint));
            }
        }
        (About::Claim, Found::Numbers { .. }) => {}
    }
}

/// What one set of a batch that was applied is answered.
pub(super) fn committed(applied: &Applied, one: &Prepared) -> Result<Committed> {
    let set = &one.set;
    let puts = set.puts.iter().map(|put| {
        let version = put.expected.map_or(Version::FIRST, Version::next);
        (put.record.aggregate(), put.record.key(), version)
    });
    let deletes = set
        .deletes
        .iter()
        .map(|gone| (gone.aggregate, gone.key.clone(), gone.expected.next()));
    let mut versions: Vec<_> = puts.chain(deletes).collect();
    // A release of a hold may name a level that was never there: nothing of it was changed.
    versions.extend(one.changed.iter().filter_map(|place| {
        let version = applied.versions.get(place)?;
        Some((place.0, place.1.clone(), *version))
    }));
    Ok(Committed {
        replay: None,
        versions,
        at: from_micros(applied.at)?,
    })
}

/// What a set is answered whose idempotency key was used before, for this owner.
pub(super) fn replay(facts: &Facts, owner: Uuid) -> Result<Committed> {
    Ok(Committed {
        replay: Some(owner),
        versions: Vec::new(),
        at: from_micros(facts.at)?,
    })
}

/// A row of the history: which aggregate came to which version.
#[cfg(feature = "sqlite")]
pub(super) fn version(aggregate: &str, key: &str, version: i64) -> Option<((Aggregate, RowKey), Version)> {
    let root = ROOTS.iter().find(|root| root.aggregate.as_str() == aggregate)?;
    Some((
        (root.aggregate, parse_key(key)?),
        Version::from(u64::try_from(version).ok()?),
    ))
}

/// The answer of a batch as the commit row keeps it.
#[cfg(feature = "sqlite")]
pub(super) fn text(applied: &Applied, changed: &BTreeMap<(Aggregate, RowKey), usize>) -> String {
    let mut versions: BTreeMap<&str, Vec<Option<i64>>> = BTreeMap::new();
    for (place, n) in changed {
        let of = versions.entry(place.0.as_str()).or_default();
        of.resize(of.len().max(n + 1), None);
        if let Some(version) = of.get_mut(*n) {
            *version = applied.versions.get(place).map(|version| version.stored());
        }
    }
    serde_json::json!({ "at": applied.at, "versions": versions, "out": applied.out }).to_string()
}

#[derive(Deserialize)]
struct Kept {
    at: i64,
    /// Of each aggregate the versions in the order of its change list, as far as there are rows.
    versions: BTreeMap<String, Option<Vec<Option<i64>>>>,
    #[serde(default)]
    out: Vec<usize>,
}

/// Reads the answer that a commit row kept, of a batch that changed these rows.
pub(super) fn applied(text: &str, changed: &BTreeMap<(Aggregate, RowKey), usize>) -> Result<Applied> {
    let kept: Kept = parse(text)?;
    let version = |aggregate: &Aggregate, n: &usize| {
        let versions = kept.versions.get(aggregate.as_str())?.as_ref()?;
        let version = versions.get(*n).copied().flatten()?;
        u64::try_from(version).ok().map(Version::from)
    };
    let versions = changed
        .iter()
        .filter_map(|(place, n)| Some((place.clone(), version(&place.0, n)?)));
    Ok(Applied {
        at: kept.at,
        versions: versions.collect(),
        out: kept.out,
    })
}

/// Facts, each with the number of its step.
#[cfg(feature = "postgres")]
#[derive(Deserialize)]
struct Refused {
    at: i64,
    #[serde(default)]
    facts: Vec<(usize, Vec<serde_json::Value>)>,
}

#[cfg(feature = "postgres")]
#[derive(Deserialize)]
struct Decision {
    ok: bool,
    /// Whether it came before the batch that it was to follow.
    #[serde(default)]
    early: bool,
    /// The epoch of the database, where it is another than the batch's.
    epoch: Option<i64>,
}

/// What the commit program answers.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub(super) enum Answer {
    /// The batch was applied, but for the sets that are out, with their facts.
    Applied(Applied, Facts),
    /// Something was not as needed.
    Refused(Facts),
    /// The database is in this epoch, and the batch is of another.
    Restored(i64),
    /// It came before the batch that it was to follow.
    Early,
}

/// Reads an answer: what was applied, or the facts of a refusal, each with the number of its step.
#[cfg(feature = "postgres")]
pub(super) fn read(
    text: &str,
    changed: &BTreeMap<(Aggregate, RowKey), usize>,
    about: impl Fn(usize) -> Option<About>,
) -> Result<Answer> {
    let decision: Decision = parse(text)?;
    if decision.ok {
        let applied = applied(text, changed)?;
        let facts = match applied.out.as_slice() {
            [] => Facts::default(),
            _ => facts(text, about)?,
        };
        return Ok(Answer::Applied(applied, facts));
    }
    if let Some(epoch) = decision.epoch {
        return Ok(Answer::Restored(epoch));
    }
    if decision.early {
        return Ok(Answer::Early);
    }
    facts(text, about).map(Answer::Refused)
}

#[cfg(feature = "postgres")]
fn facts(text: &str, about: impl Fn(usize) -> Option<About>) -> Result<Facts> {
    let refused: Refused = parse(text)?;
    let mut facts = Facts {
        at: refused.at,
        ..Facts::default()
    };
    for (step, row) in refused.facts {
        if let (Some(about), Some(found)) = (about(step), about(step).and_then(|about| found(about, &row))) {
            add(&mut facts, about, found);
        }
    }
    Ok(facts)
}

#[cfg(feature = "postgres")]
fn found(about: About, row: &[serde_json::Value]) -> Option<Found> {
    let n = usize::try_from(row.first()?.as_u64()?).ok()?;
    if about == About::Claim {
        let text = |index: usize| row.get(index).and_then(|value| value.as_str()).map(str::to_owned);
        return Some(Found::Claim {
            n,
            owner: text(1),
            fingerprint: text(2),
        });
    }
    let numbers: Option<Vec<i64>> = row.iter().skip(1).map(serde_json::Value::as_i64).collect();
    Some(Found::Numbers { n, numbers: numbers? })
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "the answer of a commit cannot be read").caused_by(error)
    })
}
