//! Steps of stock, tried on the levels as they are: never more is taken than there is.

use std::collections::BTreeMap;

use super::spread::Share;
use super::spread::Spread;
use super::trial::Trial;
use super::world::next;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records::VERSION;
use crate::backend::dynamodb::records::change::Move;
use crate::backend::dynamodb::records::level::COUNTED;
use crate::backend::dynamodb::records::level::Counters;
use crate::backend::dynamodb::records::level::Line;
use crate::backend::dynamodb::records::level::SHARES;
use crate::backend::dynamodb::records::level::blank;
use crate::backend::dynamodb::records::level::counted;
use crate::backend::dynamodb::records::level::shares;
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

/// Tries the steps of a set: the holds that it gives up first, then the others in their order.
///
/// # Errors
/// `InsufficientStock` with each level that is short, `InvalidInput`, `Conflict` for a hold that is there already.
pub(super) fn steps(trial: &mut Trial<'_>, set: &WriteSet) -> Result<()> {
    let mut levels: BTreeMap<Place, Spread> = BTreeMap::new();
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
    for (place, level) in levels {
        keep(trial, set, place, level)?;
    }
    Ok(())
}

/// Keeps what the steps made of a level. What happened to it is told by one of its shares, the same for all sets of the
/// transaction.
fn keep(trial: &mut Trial<'_>, set: &WriteSet, place: Place, mut level: Spread) -> Result<()> {
    let count = level.shares.len();
    if level.shares.iter().all(|share| !share.touched) {
        level.shares[0].touched = true;
    }
    let version = next(trial.level_version(&place, count)?);
    let row = RowKey::Level(place.0, place.1);
    trial.told(set, (Aggregate::Level, &row), version)?;
    let first = level.shares.iter().find(|share| share.touched);
    let first = first.map(|share| share.key.clone());
    let log = trial.log_of((Aggregate::Level, &row))?;
    let home = log
        .home
        .get_or_insert_with(|| first.unwrap_or_else(|| Key::root(Aggregate::Level, &row)));
    let home = home.clone();
    for share in level.shares {
        trial.draft.left.insert(share.key.clone(), share.left);
        if !share.touched {
            continue;
        }
        let (mut item, stored) = (share.item, trial.world.facts.items.get(&share.key));
        share.counters.write(&mut item);
        item.time("updated_at", trial.world.facts.now);
        item.int(VERSION, next(trial.world.stored_version(&share.key)?).stored());
        if count > 1 {
            item.int(COUNTED, counted(stored)? + i64::from(share.key == home));
        }
        trial.draft.items.insert(share.key, Some(item));
    }
    Ok(())
}

fn unhold(
    trial: &mut Trial<'_>,
    levels: &mut BTreeMap<Place, Spread>,
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
    let over = line.is_over(trial.world.facts.now);
    for share in give_back(level, &line) {
        if over {
            share.0.left -= share.1;
        }
        if share.0.counters.held <= 0 {
            share.0.counters.next_end = None;
        }
    }
    let kind = if over {
        MovementKind::Expire
    } else {
        MovementKind::Unhold
    };
    end(trial, &line, kind)
}

/// The shares that a line holds units of, without these.
fn give_back<'l>(level: &'l mut Spread, line: &'l Line) -> impl Iterator<Item = (&'l mut Share, i64)> {
    let shares = level.shares.iter_mut().enumerate();
    shares.filter_map(|(number, share)| {
        let of_share = line.shares.iter().find(|(own, _)| *own == number);
        let (_, units) = of_share?;
        share.counters.held -= units;
        share.touched = true;
        Some((share, *units))
    })
}

/// Takes a line off the books.
fn end(trial: &mut Trial<'_>, line: &Line, kind: MovementKind) -> Result<()> {
    let row = RowKey::Level(line.sku.clone(), line.location.clone());
    trial.draft.items.insert(line.key(), None);
    let log = trial.log_of((Aggregate::Level, &row))?;
    log.moves.push(Move::ended(kind, line.hold, line.quantity));
    Ok(())
}

fn take(
    trial: &mut Trial<'_>,
    levels: &mut BTreeMap<Place, Spread>,
    step: &StockStep,
) -> Result<Option<Shortage>> {
    let place = (step.sku.clone(), step.location.clone());
    if find(trial, levels, &place)?.is_none() {
        let new = new_level(trial, &place);
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
    let shares = level.apply(step)?;
    if let (MovementKind::Hold, Some((hold, ttl))) = (step.kind, step.hold) {
        let now = trial.world.facts.now;
        let until = now.checked_add(life_of(ttl)).map_or(i64::MAX, micros);
        let line = Line {
            hold: hold.uuid(),
            sku: step.sku.clone(),
            location: step.location.clone(),
            quantity: step.held,
            until,
            shares,
        };
        if trial.item(&line.key()).is_some() {
            return Err(
                Error::new(ErrorKind::Conflict, "the hold has a line on this level already")
                    .concerning(format!("hold {hold}")),
            );
        }
        for (number, _) in &line.shares {
            let counters = &mut level.shares[*number].counters;
            counters.next_end = Some(counters.next_end.map_or(until, |end| end.min(until)));
        }
        trial.draft.items.insert(line.key(), Some(line.write()));
    }
    let row = RowKey::Level(place.0, place.1);
    let log = trial.log_of((Aggregate::Level, &row))?;
    log.moves.push(Move::of(step));
    Ok(None)
}

/// A level that counts nothing, spread as new ones are.
fn new_level(trial: &Trial<'_>, place: &Place) -> Spread {
    let count = trial.world.facts.new_shares.max(1);
    let mut level = Spread {
        shares: (0..count).map(|number| blank_share(place, number)).collect(),
        pick: trial.world.facts.pick % count,
        evenly: trial.world.evenly,
    };
    let root = &mut level.shares[0];
    // Whatever is counted, the root tells that there is a level.
    root.touched = true;
    if count > 1 {
        root.item.int(SHARES, i64::try_from(count).unwrap_or(1));
    }
    level
}

fn blank_share(place: &Place, number: usize) -> Share {
    Share {
        key: Key::share(&place.0, &place.1, number),
        item: blank(&place.0, &place.1),
        counters: Counters::default(),
        left: 0,
        touched: false,
    }
}

/// The level, if there is one; what is over is taken off the books when the transaction meets it first.
fn find<'l>(
    trial: &mut Trial<'_>,
    levels: &'l mut BTreeMap<Place, Spread>,
    place: &Place,
) -> Result<Option<&'l mut Spread>> {
    if !levels.contains_key(place) {
        let key = Key::share(&place.0, &place.1, 0);
        let Some(root) = trial.item(&key).filter(|item| item.contains_key(VERSION)) else {
            return Ok(None);
        };
        let count = shares(root)?;
        let mut level = Spread {
            shares: Vec::with_capacity(count),
            pick: trial.world.facts.pick % count,
            evenly: trial.world.evenly,
        };
        for number in 0..count {
            let mut share = blank_share(place, number);
            if let Some(item) = trial.item(&share.key) {
                share.counters = Counters::read(item)?;
                share.item = Map::clone(item);
            }
            share.left = trial
                .world
                .changes
                .left
                .get(&share.key)
                .copied()
                .unwrap_or_default();
            level.shares.push(share);
        }
        if !trial.world.changes.logs.contains_key(&key) {
            sweep(trial, &key, &mut level)?;
        }
        levels.insert(place.clone(), level);
    }
    Ok(levels.get_mut(place))
}

fn sweep(trial: &mut Trial<'_>, key: &Key, level: &mut Spread) -> Result<()> {
    let Some(over) = trial.world.facts.over.get(key) else {
        return Ok(());
    };
    let (swept, left) = over.lines.split_at(over.lines.len().min(trial.world.sweep));
    for (number, units) in left.iter().flat_map(|line| &line.shares) {
        if let Some(share) = level.shares.get_mut(*number) {
            share.left += units;
        }
    }
    for line in swept {
        give_back(level, line).for_each(drop);
        end(trial, line, MovementKind::Expire)?;
    }
    if !left.is_empty() {
        return Ok(());
    }
    let now = trial.world.facts.now;
    let later = micros(now).saturating_add(LOOK_AGAIN);
    let next = over.next.unwrap_or(later).min(later);
    for share in &mut level.shares {
        let stale = share.counters.may_hold_what_is_over(now);
        if stale || share.touched {
            share.touched = true;
            share.counters.next_end = (share.counters.held > 0).then_some(next);
        }
    }
    Ok(())
}
