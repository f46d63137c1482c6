//! One write set tried on the items as they are: whether it holds, and what becomes of them.

use std::collections::btree_map::Entry;

use super::prepared::Prepared;
use super::stock;
use super::world::Changes;
use super::world::Log;
use super::world::Stop;
use super::world::World;
use super::world::is_there;
use super::world::next;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records;
use crate::backend::dynamodb::records::VERSION;
use crate::backend::dynamodb::records::cart;
use crate::backend::dynamodb::records::change::Deed;
use crate::backend::dynamodb::records::order;
use crate::backend::dynamodb::records::past::Past;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::changes::ChangeAction;
use crate::spi::store::Claim;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;

/// The attribute of a unique key that tells who has it.
pub(in crate::backend::dynamodb) const OWNER: &str = "owner";
/// The attribute of an idempotency key that tells a request from another.
pub(in crate::backend::dynamodb) const FINGERPRINT: &str = "fingerprint";

/// Tries the set: what it changes, and what its caller is answered.
pub(super) fn run(world: &World<'_>, one: &Prepared) -> Result<(Changes, Committed), Stop> {
    let mut trial = Trial {
        world,
        draft: Changes::default(),
        versions: Vec::new(),
    };
    trial.key(&one.set)?;
    trial.expectations(&one.set)?;
    trial.claims(one)?;
    trial.puts(&one.set)?;
    trial.deltas(&one.set)?;
    let committed = Committed {
        replay: None,
        versions: trial.versions,
        at: world.facts.now,
    };
    Ok((trial.draft, committed))
}

/// A set on its trial.
pub(super) struct Trial<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) draft: Changes,
    versions: Vec<(Aggregate, RowKey, Version)>,
}

impl Trial<'_> {
    /// An item as it is by now.
    pub(super) fn item(&self, key: &Key) -> Option<&Map> {
        match self.draft.items.get(key) {
            Some(item) => item.as_ref(),
            None => self.world.item(key),
        }
    }

    fn key(&mut self, set: &WriteSet) -> Result<(), Stop> {
        let Some(key) = &set.idempotency else {
            return Ok(());
        };
        let place = Key::claim(&Idempotency::space(&key.scope), key.key.as_str());
        if let Some(found) = self.item(&place) {
            let owner = found.get_id(OWNER)?;
            if found.opt_get_bytes(FINGERPRINT)? == Some(key.fingerprint.as_slice()) {
                return Err(Stop::Replay(owner));
            }
            return Err(Error::new(
                ErrorKind::KeyReused,
                "the idempotency key was used for another request: use a new key for a new request",
            )
            .concerning(&key.scope)
            .existing(owner)
            .into());
        }
        let mut item = Map::new();
        item.id(OWNER, key.owner);
        item.bytes(FINGERPRINT, &key.fingerprint);
        self.draft.items.insert(place, Some(item));
        Ok(())
    }

    fn expectations(&mut self, set: &WriteSet) -> Result<()> {
        for put in &set.puts {
            let (aggregate, key) = (put.record.aggregate(), put.record.key());
            self.expect(aggregate, &key, put.expected)?;
            if put.live && !self.is_live(&Key::root(aggregate, &key))? {
                return Err(closed(&key));
            }
        }
        for gone in &set.deletes {
            self.expect(gone.aggregate, &gone.key, Some(gone.expected))?;
        }
        for read in &set.reads {
            let found = self.version_of(read.aggregate, &read.key)?;
            if found != read.version.map_or(0, Version::stored) {
                return Err(moved(read.aggregate, &read.key, found));
            }
            let place = Key::root(read.aggregate, &read.key);
            self.check_shares(&place)?;
            let own = records::version_number(self.item(&place))?;
            self.draft.checks.insert(place, own);
        }
        for delta in &set.deltas {
            if matches!(delta, Delta::Stock(_) | Delta::Unhold { .. }) {
                continue;
            }
            for (aggregate, key) in delta.touched() {
                let place = Key::root(aggregate, &key);
                if !is_there(self.item(&place)) {
                    return Err(Error::not_found(aggregate.name(&key)));
                }
                if aggregate == Aggregate::Cart && !self.is_live(&place)? {
                    return Err(closed(&key));
                }
            }
        }
        Ok(())
    }

    fn expect(&self, aggregate: Aggregate, key: &RowKey, expected: Option<Version>) -> Result<()> {
        let found = self.version_of(aggregate, key)?;
        match expected {
            None if found == 0 => Ok(()),
            Some(version) if version.stored() == found => Ok(()),
            Some(_) if found == 0 => Err(Error::not_found(aggregate.name(key))),
            _ => Err(moved(aggregate, key, found)),
        }
    }

    fn is_live(&self, place: &Key) -> Result<bool> {
        match self.item(place) {
            Some(item) if is_there(Some(item)) => cart::is_live(item, self.world.facts.now),
            _ => Ok(false),
        }
    }

    fn claims(&mut self, one: &Prepared) -> Result<()> {
        for (key, owner) in &one.releases {
            let place = Key::claim(key.space, &key.key);
            let found = self.item(&place).map(|item| item.get_id(OWNER)).transpose()?;
            if found == Some(*owner) {
                self.draft.items.insert(place, None);
            }
        }
        for Claim { key, owner } in &one.claims {
            let place = Key::claim(key.space, &key.key);
            match self.item(&place).map(|item| item.get_id(OWNER)).transpose()? {
                Some(found) if found == *owner => {}
                Some(found) => {
                    return Err(
                        Error::new(ErrorKind::AlreadyExists, format!("{} is taken", key.space))
                            .concerning(format!("{} {}", key.space, key.key))
                            .existing(found),
                    );
                }
                None => {
                    let mut item = Map::new();
                    item.id(OWNER, *owner);
                    self.draft.items.insert(place, Some(item));
                }
            }
        }
        Ok(())
    }

    fn puts(&mut self, set: &WriteSet) -> Result<()> {
        for put in &set.puts {
            let (aggregate, key) = (put.record.aggregate(), put.record.key());
            let place = Key::root(aggregate, &key);
            let version = put.expected.map_or(Version::FIRST, Version::next);
            let mut item = self.put_item(put, &place)?;
            self.write_shares(&place)?;
            item.int(VERSION, next(self.world.stored_version(&place)?).stored());
            self.draft.items.insert(place.clone(), Some(item));
            if let (Record::Payment(payment), None) = (&put.record, put.expected) {
                let pointer = Key::payment_of(payment.order.uuid(), payment.id.uuid());
                self.draft.items.insert(pointer, Some(Map::new()));
            }
            self.log(set, (aggregate, &key), version, ChangeAction::Put)?;
            self.versions.push((aggregate, key, version));
        }
        for gone in &set.deletes {
            let place = Key::root(gone.aggregate, &gone.key);
            if gone.aggregate == Aggregate::Payment
                && let Some(item) = self.item(&place)
            {
                let pointer = Key::payment_of(item.get_id("order_id")?, item.get_id("id")?);
                self.draft.items.insert(pointer, None);
            }
            for share in self.further_shares(&place)? {
                self.draft.items.insert(share, None);
            }
            self.draft.items.insert(place, None);
            let version = gone.expected.next();
            self.log(set, (gone.aggregate, &gone.key), version, ChangeAction::Delete)?;
            self.versions.push((gone.aggregate, gone.key.clone(), version));
        }
        Ok(())
    }

    /// The attributes of a put: of a level it sets what may be owed, never what it counts.
    fn put_item(&self, put: &Put, place: &Key) -> Result<Map> {
        let mut item = records::write(&put.record, self.world.facts.now);
        let is_level = put.record.aggregate() == Aggregate::Level;
        let Some(old) = self.item(place).filter(|_| put.expected.is_some()) else {
            if is_level {
                self.spread_new(&mut item);
            }
            return Ok(item);
        };
        if is_level {
            self.keep_counters(&mut item, old, place)?;
        }
        if put.parts == Parts::Root
            && let Some(name) = records::parts(put.record.aggregate())
            && let Some(parts) = old.get(name)
        {
            item.put(name, parts.clone());
        }
        Ok(item)
    }

    fn deltas(&mut self, set: &WriteSet) -> Result<()> {
        let now = self.world.facts.now;
        for delta in &set.deltas {
            match delta {
                Delta::Order { order, settled } => {
                    let row = (Aggregate::Order, RowKey::Id(order.uuid()));
                    self.change(set, row, |item| order::settle(item, *settled, now))?;
                }
                Delta::Payment { payment, settled } => {
                    let row = (Aggregate::Payment, RowKey::Id(payment.uuid()));
                    self.change(set, row, |item| order::settle(item, *settled, now))?;
                }
                Delta::CartLine(step) => {
                    let row = (Aggregate::Cart, RowKey::Id(step.cart.uuid()));
                    self.change(set, row, |item| cart::add(item, step, now))?;
                }
                Delta::Stock(_) | Delta::Unhold { .. } => {}
            }
        }
        stock::steps(self, set)
    }

    /// Changes an aggregate that is there by a delta.
    fn change(
        &mut self,
        set: &WriteSet,
        row: (Aggregate, RowKey),
        change: impl FnOnce(&mut Map) -> Result<()>,
    ) -> Result<()> {
        let place = Key::root(row.0, &row.1);
        let mut item = self.item(&place).cloned().unwrap_or_default();
        change(&mut item)?;
        self.changed(set, (row.0, &row.1), item)
    }

    /// Keeps what deltas of the set made of an aggregate, with the one version that they share.
    fn changed(&mut self, set: &WriteSet, row: (Aggregate, &RowKey), mut item: Map) -> Result<()> {
        let place = Key::root(row.0, row.1);
        let version = next(self.world.stored_version(&place)?);
        item.int(VERSION, version.stored());
        self.draft.items.insert(place, Some(item));
        self.told(set, row, version)
    }

    /// Tells what deltas of the set made of an aggregate, once.
    pub(super) fn told(&mut self, set: &WriteSet, row: (Aggregate, &RowKey), version: Version) -> Result<()> {
        let known = self.versions.iter().any(|(kind, key, _)| (*kind, key) == row);
        if !known {
            self.versions.push((row.0, row.1.clone(), version));
            self.log(set, row, version, ChangeAction::Delta)?;
        }
        Ok(())
    }

    fn log(
        &mut self,
        set: &WriteSet,
        row: (Aggregate, &RowKey),
        version: Version,
        action: ChangeAction,
    ) -> Result<()> {
        let deed = Deed {
            action,
            actor: set.actor.to_string(),
            events: set.events.iter().map(|event| event.name.clone()).collect(),
        };
        let log = self.log_of(row)?;
        log.version = version.stored();
        log.deeds.push(deed);
        log.apart |= action == ChangeAction::Delete;
        if action != ChangeAction::Delta {
            log.home.get_or_insert_with(|| Key::root(row.0, row.1));
        }
        Ok(())
    }

    /// What happens to an aggregate, in this set and in those before it.
    pub(super) fn log_of(&mut self, row: (Aggregate, &RowKey)) -> Result<&mut Log> {
        let place = Key::root(row.0, row.1);
        Ok(match self.draft.logs.entry(place) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(fresh) => {
                let log = match self.world.changes.logs.get(fresh.key()) {
                    Some(before) => before.clone(),
                    None => Log {
                        row: (row.0, row.1.clone()),
                        home: None,
                        version: 0,
                        deeds: Vec::new(),
                        moves: Vec::new(),
                        apart: row.0 == Aggregate::Level
                            || Past::of(self.world.facts.items.get(fresh.key()))?.is_long(),
                    },
                };
                fresh.insert(log)
            }
        })
    }
}

fn moved(aggregate: Aggregate, key: &RowKey, found: i64) -> Error {
    let version = u64::try_from(found).ok().filter(|version| *version > 0);
    Error::conflict(aggregate.name(key), version)
}

fn closed(key: &RowKey) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the cart is closed or expired: open another one",
    )
    .concerning(Aggregate::Cart.name(key))
}
