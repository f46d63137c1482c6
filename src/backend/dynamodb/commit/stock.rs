//! Steps of stock, tried on the levels as they are: never more is taken than there is.

use std::collections::BTreeMap;

use super::trial::Trial;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records::VERSION;
use crate::backend::dynamodb::records::change::Move;
use crate::backend::dynamodb::records::level::Counters;
use crate::backend::dynamodb::records::level::Line;
use crate::backend::dynamodb::records::level::blank;
use crate::backend::dynamodb::records::life_of;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Shortage;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::MovementKind;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::micros;
use crate::spi::store::Delta;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;
use uuid::Uuid;

/// How long what the index did not know yet may stay unnoticed while something is held.
const LOOK_AGAIN: i64 = 60 * 1_000_000;

type Place = (Sku, LocationId);

/// A level while the steps of a set are tried on it.
struct Level {
    item: Map,
    counters: Counters,
    /// Units of holds that are over and stay on the books.
    left: i64,
}

impl Level {
    const fn available(&self) -> i64 {
        let held = self.counters.held - self.left;
        self.counters.on_hand - self.counters.allocated - held + self.counters.backorder_limit
    }

    /// # Errors
    /// `InvalidInput` when a counter would be left below zero.
    fn add(&mut self, step: &StockStep) -> Result<()> {
        let sum = |counter: &mut i64, change: i64| {
            *counter = counter.saturating_add(change);
            change < 0 && *counter < 0
        };
        let below = [
            ("on_hand", sum(&mut self.counters.on_hand, step.on_hand)),
            ("allocated", sum(&mut self.counters.allocated, step.allocated)),
            ("held", sum(&mut self.counters.held, step.held)),
        ];
        match below.into_iter().find(|(_, below)| *below) {
            None => Ok(()),
            Some((counter, _)) => Err(Error::invalid(counter, "the step would leave less than nothing")
                .concerning(format!("level {} at {}", step.sku, step.location))),
        }
    }
}

/// Tries the steps of a set: the holds that it gives up first, then the others in their order.
///
/// # Errors
/// `InsufficientStock` with each level that is short, `InvalidInput`, `Conflict` for a hold that is there already.
pub(super) fn steps(trial: &mut Trial<'_>, set: &WriteSet) -> Result<()> {
    let mut levels: BTreeMap<Place, Level> = BTreeMap::new();
    for delta in &set.deltas {
        if let Delta::Unhold { hold, levels: places } = delta {
            for place in places {
                unhold(trial, &mut levels, hold.uuid(), place)?;
            }
        }
    }
    let mut short = Vec::new();
    for delta in &set.deltas {
        if let Delta::Stock(step) = delta {
            short.extend(take(trial, &mut levels, step)?);
        }
    }
    if !short.is_empty() {
        let skus: Vec<&str> = short.iter().map(|shortage| shortage.sku.as_str()).collect();
        let message = format!("not enough available of {}", skus.join(", "));
        return Err(Error::new(ErrorKind::InsufficientStock, message).short_of(short));
    }
    for ((sku, location), mut level) in levels {
        let row = RowKey::Level(sku, location);
        level.counters.write(&mut level.item);
        level.item.time("updated_at", trial.world.facts.now);
        trial
            .draft
            .left
            .insert(Key::root(Aggregate::Level, &row), level.left);
        trial.changed(set, (Aggregate::Level, &row), level.item)?;
    }
    Ok(())
}

fn unhold(
    trial: &mut Trial<'_>,
    levels: &mut BTreeMap<Place, Level>,
    hold: Uuid,
    place: &Place,
) -> Result<()> {
    let Some(level) = find(trial, levels, place)? else {
        return Ok(());
    };
    let line = Key::hold(hold, &place.0, &place.1);
    let Some(line) = trial.item(&line).map(Line::read).transpose()? else {
        return Ok(());
    };
    level.counters.held -= line.quantity;
    let kind = if line.is_over(trial.world.facts.now) {
        level.left -= line.quantity;
        MovementKind::Expire
    } else {
        MovementKind::Unhold
    };
    if level.counters.held <= 0 {
        level.counters.next_end = None;
    }
    end(trial, &line, kind);
    Ok(())
}

/// Takes a line off the books.
fn end(trial: &mut Trial<'_>, line: &Line, kind: MovementKind) {
    let row = RowKey::Level(line.sku.clone(), line.location.clone());
    trial.draft.items.insert(line.key(), None);
    let log = trial.log_of((Aggregate::Level, &row));
    log.moves.push(Move::ended(kind, line.hold, line.quantity));
}

fn take(
    trial: &mut Trial<'_>,
    levels: &mut BTreeMap<Place, Level>,
    step: &StockStep,
) -> Result<Option<Shortage>> {
    let place = (step.sku.clone(), step.location.clone());
    if find(trial, levels, &place)?.is_none() {
        let new = Level {
            item: blank(&place.0, &place.1),
            counters: Counters::default(),
            left: 0,
        };
        levels.insert(place.clone(), new);
    }
    let Some(level) = levels.get_mut(&place) else {
        return Ok(None);
    };
    // What takes nothing is never short, even where more was promised than there is.
    if step.takes > 0 && step.takes > level.available() {
        return Ok(Some(Shortage {
            sku: step.sku.to_string(),
            location: Some(step.location.to_string()),
            requested: step.takes,
            available: level.available().max(0),
        }));
    }
    level.add(step)?;
    if let (MovementKind::Hold, Some((hold, ttl))) = (step.kind, step.hold) {
        let now = trial.world.facts.now;
        let until = now.checked_add(life_of(ttl)).map_or(i64::MAX, micros);
        let line = Line {
            hold: hold.uuid(),
            sku: step.sku.clone(),
            location: step.location.clone(),
            quantity: step.held,
            until,
        };
        if trial.item(&line.key()).is_some() {
            return Err(
                Error::new(ErrorKind::Conflict, "the hold has a line on this level already")
                    .concerning(format!("hold {hold}")),
            );
        }
        let next = level.counters.next_end.map_or(until, |end| end.min(until));
        level.counters.next_end = Some(next);
        trial.draft.items.insert(line.key(), Some(line.write()));
    }
    let row = RowKey::Level(place.0, place.1);
    let log = trial.log_of((Aggregate::Level, &row));
    log.moves.push(Move::of(step));
    Ok(None)
}

/// The level, if there is one; what is over is taken off the books when the transaction meets it first.
fn find<'l>(
    trial: &mut Trial<'_>,
    levels: &'l mut BTreeMap<Place, Level>,
    place: &Place,
) -> Result<Option<&'l mut Level>> {
    if !levels.contains_key(place) {
        let row = RowKey::Level(place.0.clone(), place.1.clone());
        let key = Key::root(Aggregate::Level, &row);
        let Some(item) = trial.item(&key).filter(|item| item.contains_key(VERSION)) else {
            return Ok(None);
        };
        let mut level = Level {
            counters: Counters::read(item)?,
            item: item.clone(),
            left: trial.world.changes.left.get(&key).copied().unwrap_or_default(),
        };
        if !trial.world.changes.items.contains_key(&key) {
            sweep(trial, &key, &mut level);
        }
        levels.insert(place.clone(), level);
    }
    Ok(levels.get_mut(place))
}

fn sweep(trial: &mut Trial<'_>, key: &Key, level: &mut Level) {
    let Some(over) = trial.world.facts.over.get(key) else {
        return;
    };
    level.left = over.units();
    for line in over.lines.iter().take(trial.world.sweep) {
        level.left -= line.quantity;
        level.counters.held -= line.quantity;
        end(trial, line, MovementKind::Expire);
    }
    if over.lines.len() > trial.world.sweep {
        return;
    }
    let later = micros(trial.world.facts.now).saturating_add(LOOK_AGAIN);
    level.counters.next_end = (level.counters.held > 0).then(|| over.next.unwrap_or(later).min(later));
}
