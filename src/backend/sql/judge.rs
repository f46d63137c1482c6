//! From facts to verdicts: which write sets of a refused batch hold, one after the other, on what was read.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::plan::LevelKey;
use super::plan::Plan;
use super::plan::Prepared;
use super::plan::Running;
use super::plan::hex;
use super::program::LINE_LIMIT;
use super::program::LINES_LIMIT;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Shortage;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::Claim;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;

/// What the database holds, as the commit program read it under its locks; indexed as the [`Plan`] says.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Time by the store's clock, in microseconds.
    pub(super) at: i64,
    /// Version (0 is absent) and whether it is live, by root and position.
    pub(super) rows: BTreeMap<(Aggregate, usize), (i64, bool)>,
    pub(super) levels: BTreeMap<usize, LevelFacts>,
    /// Quantity of the line and number of lines in the cart.
    pub(super) lines: BTreeMap<usize, (i64, i64)>,
    /// Owner and fingerprint of the keys that are taken.
    pub(super) claims: BTreeMap<usize, (Uuid, Option<String>)>,
}

/// A level as it is without what is gone: holds that ended, and those that the batch releases.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LevelFacts {
    pub(super) counters: Running,
    /// Units of holds that are there until the batch commits.
    pub(super) released: i64,
}

/// What is decided about one write set.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It holds.
    Admit,
    /// Its idempotency key was used before, for this owner.
    Replay(Uuid),
    /// It does not hold, whatever becomes of the others.
    Refuse(Error),
    /// It does not hold beside those before it, and these are not committed: it is decided when they are.
    Later,
    /// Several sets release holds of its levels, and what each of them sets free is not known: it is decided by itself.
    Alone,
}

/// Decides about each set in its turn; what an admitted set changes counts for those after it.
pub(super) fn judge(sets: &[&Prepared], plan: &Plan, facts: &Facts) -> Vec<Verdict> {
    let releasing = sets.iter().filter(|one| one.releases_holds()).count();
    let mut bench = Bench {
        plan,
        facts,
        releasing,
        levels: BTreeMap::new(),
        lines: BTreeMap::new(),
    };
    sets.iter().map(|set| bench.judge(set)).collect()
}

struct Bench<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    /// How many sets release holds.
    releasing: usize,
    levels: BTreeMap<LevelKey, Running>,
    lines: BTreeMap<(Uuid, String), i64>,
}

impl Bench<'_> {
    fn judge(&mut self, one: &Prepared) -> Verdict {
        let set = &one.set;
        match self.key(set) {
            Ok(Some(owner)) => return Verdict::Replay(owner),
            Ok(None) => {}
            Err(error) => return Verdict::Refuse(error),
        }
        if let Err(error) = self.rows(set).and_then(|()| self.claims(one)) {
            return Verdict::Refuse(error);
        }
        let beside = |bench: &Self, kept| {
            let lines = bench.lines(set, &bench.lines)?;
            Ok((lines, bench.stock(set, &bench.levels, kept)?))
        };
        if let Ok::<_, Error>((lines, levels)) = beside(self, Kept::Nothing) {
            self.lines.extend(lines);
            self.levels.extend(levels);
            return Verdict::Admit;
        }
        let kept = match (one.releases_holds(), self.releasing) {
            (true, 1) => Kept::Nothing,
            (true, _) => return Verdict::Alone,
            (false, _) => Kept::Released,
        };
        // A refusal rests on what is committed, and on nothing else.
        let alone = self.lines(set, &BTreeMap::new());
        match alone.and_then(|_| self.stock(set, &BTreeMap::new(), kept)) {
            Ok(_) => Verdict::Later,
            Err(error) => Verdict::Refuse(error),
        }
    }

    fn taken(&self, space: &str, key: &str) -> Option<&(Uuid, Option<String>)> {
        let n = self.plan.claims.get(&(space.to_owned(), key.to_owned()))?;
        self.facts.claims.get(n)
    }

    fn key(&self, set: &WriteSet) -> Result<Option<Uuid>> {
        let Some(key) = &set.idempotency else {
            return Ok(None);
        };
        match self.taken(&Idempotency::space(&key.scope), key.key.as_str()) {
            None => Ok(None),
            Some((owner, Some(found))) if *found == hex(&key.fingerprint) => Ok(Some(*owner)),
            Some((owner, _)) => Err(Error::new(
                ErrorKind::KeyReused,
                "the idempotency key was used for another request: use a new key for a new request",
            )
            .concerning(&key.scope)
            .existing(*owner)),
        }
    }

    fn version(&self, aggregate: Aggregate, key: &RowKey) -> (i64, bool) {
        let place = self.plan.rows.get(&(aggregate, key.clone()));
        place
            .and_then(|n| self.facts.rows.get(&(aggregate, *n)))
            .copied()
            .unwrap_or((0, false))
    }

    fn rows(&self, set: &WriteSet) -> Result<()> {
        for put in &set.puts {
            let (aggregate, key) = (put.record.aggregate(), put.record.key());
            let (found, live) = self.version(aggregate, &key);
            expect(aggregate, &key, put.expected, found)?;
            if put.live && !live {
                return Err(closed(&key));
            }
        }
        for delete in &set.deletes {
            let (found, _) = self.version(delete.aggregate, &delete.key);
            expect(delete.aggregate, &delete.key, Some(delete.expected), found)?;
        }
        for read in &set.reads {
            let (found, _) = self.version(read.aggregate, &read.key);
            if found != read.version.map_or(0, Version::stored) {
                return Err(moved(read.aggregate, &read.key, found));
            }
        }
        for delta in &set.deltas {
            let must_exist = matches!(
                delta,
                Delta::CartLine(_) | Delta::Order { .. } | Delta::Payment { .. }
            );
            for (aggregate, key) in delta.touched() {
                let (found, live) = self.version(aggregate, &key);
                if must_exist && found == 0 {
                    return Err(Error::not_found(format!("{} {key}", aggregate.as_str())));
                }
                if matches!(delta, Delta::CartLine(_)) && !live {
                    return Err(closed(&key));
                }
            }
        }
        Ok(())
    }

    fn claims(&self, one: &Prepared) -> Result<()> {
        for Claim { key, owner } in &one.claims {
            let Some((found, _)) = self.taken(key.space, &key.key) else {
                continue;
            };
            let released = one
                .releases
                .iter()
                .any(|(released, by)| released == key && by == found);
            if found != owner && !released {
                return Err(
                    Error::new(ErrorKind::AlreadyExists, format!("{} is taken", key.space))
                        .concerning(format!("{} {}", key.space, key.key))
                        .existing(*found),
                );
            }
        }
        Ok(())
    }

    fn lines(
        &self,
        set: &WriteSet,
        before: &BTreeMap<(Uuid, String), i64>,
    ) -> Result<BTreeMap<(Uuid, String), i64>> {
        let mut own: BTreeMap<(Uuid, String), i64> = BTreeMap::new();
        for delta in &set.deltas {
            let Delta::CartLine(step) = delta else { continue };
            let place = (step.cart.uuid(), step.line.key.as_str().to_owned());
            let stored = self
                .plan
                .lines
                .get(&place)
                .and_then(|n| self.facts.lines.get(n))
                .copied();
            let (quantity, lines) = stored.unwrap_or((0, 0));
            let before = own
                .get(&place)
                .or_else(|| before.get(&place))
                .copied()
                .unwrap_or(quantity);
            if before + step.line.quantity.get() > LINE_LIMIT {
                return Err(
                    Error::invalid("quantity", format!("a line holds at most {LINE_LIMIT} units"))
                        .concerning(format!("cart {} line {}", step.cart, step.line.sku)),
                );
            }
            if before == 0 && lines >= LINES_LIMIT {
                return Err(
                    Error::invalid("lines", format!("a cart holds at most {LINES_LIMIT} lines"))
                        .concerning(format!("cart {}", step.cart)),
                );
            }
            own.insert(place, before + step.line.quantity.get());
        }
        Ok(own)
    }

    fn level(&self, place: &LevelKey, kept: Kept) -> Running {
        let n = self.plan.levels.get(place);
        let facts = n
            .and_then(|n| self.facts.levels.get(n))
            .copied()
            .unwrap_or_default();
        let mut level = facts.counters;
        if kept == Kept::Released {
            level.available -= facts.released;
        }
        level
    }

    fn stock(
        &self,
        set: &WriteSet,
        before: &BTreeMap<LevelKey, Running>,
        kept: Kept,
    ) -> Result<BTreeMap<LevelKey, Running>> {
        let mut own: BTreeMap<LevelKey, Running> = BTreeMap::new();
        let mut short = Vec::new();
        for delta in &set.deltas {
            let Delta::Stock(step) = delta else { continue };
            let place = (step.sku.clone(), step.location.clone());
            let mut level = match own.get(&place).or_else(|| before.get(&place)) {
                Some(level) => *level,
                None => self.level(&place, kept),
            };
            // What takes nothing is never short, even where more was promised than there is.
            if step.takes > 0 && step.takes > level.available {
                short.push(shortage(step, level.available));
                continue;
            }
            level.add(step);
            physical(step, &level)?;
            own.insert(place, level);
        }
        if short.is_empty() {
            return Ok(own);
        }
        let skus: Vec<&str> = short.iter().map(|shortage| shortage.sku.as_str()).collect();
        let message = format!("not enough available of {}", skus.join(", "));
        Err(Error::new(ErrorKind::InsufficientStock, message).short_of(short))
    }
}

/// Which of the holds that the batch releases are taken as still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    Released,
}

fn shortage(step: &StockStep, available: i64) -> Shortage {
    Shortage {
        sku: step.sku.to_string(),
        location: Some(step.location.to_string()),
        requested: step.takes,
        available: available.max(0),
    }
}

fn physical(step: &StockStep, after: &Running) -> Result<()> {
    let below = [
        ("on_hand", step.on_hand, after.on_hand),
        ("allocated", step.allocated, after.allocated),
        ("held", step.held, after.held),
    ];
    match below
        .into_iter()
        .find(|(_, change, after)| *change < 0 && *after < 0)
    {
        None => Ok(()),
        Some((counter, ..)) => Err(Error::invalid(counter, "the step would leave less than nothing")
            .concerning(format!("level {} at {}", step.sku, step.location))),
    }
}

fn expect(aggregate: Aggregate, key: &RowKey, expected: Option<Version>, found: i64) -> Result<()> {
    match expected {
        None if found == 0 => Ok(()),
        Some(version) if version.stored() == found => Ok(()),
        Some(_) if found == 0 => Err(Error::not_found(format!("{} {key}", aggregate.as_str()))),
        _ => Err(moved(aggregate, key, found)),
    }
}

fn moved(aggregate: Aggregate, key: &RowKey, found: i64) -> Error {
    let version = u64::try_from(found).ok().filter(|version| *version > 0);
    Error::conflict(format!("{} {key}", aggregate.as_str()), version)
}

fn closed(key: &RowKey) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the cart is closed or expired: open another one",
    )
    .concerning(format!("cart {key}"))
}
