//! What a unit of work has read and staged so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::Cart;
use crate::model::ClaimKey;
use crate::model::Level;
use crate::model::Order;
use crate::model::Payment;
use crate::model::Product;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::Delete;
use crate::spi::store::Delta;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::ReadCheck;
use crate::spi::store::WriteSet;

/// One aggregate of a store.
pub(super) type Row = (Aggregate, RowKey);

/// An aggregate that can be read and staged in a unit of work.
pub(super) trait Staged: AggregateRoot {
    /// The aggregate in a record, if the record is of this kind.
    fn of(record: &Record) -> Option<&Arc<Self>>;
    fn into_record(this: Arc<Self>) -> Record;
}

macro_rules! staged {
    ($($name:ident)*) => {
        $(impl Staged for $name {
            fn of(record: &Record) -> Option<&Arc<Self>> {
                match record {
                    Record::$name(found) => Some(found),
                    _ => None,
                }
            }

            fn into_record(this: Arc<Self>) -> Record {
                Record::$name(this)
            }
        })*
    };
}

staged! { Product Cart Order Payment Level }

/// What was read, by row, and what is staged.
#[derive(Debug, Default)]
pub(super) struct Work {
    ended: bool,
    /// What each row was when it was read first: reading it again gives the same.
    seen: BTreeMap<Row, Option<Record>>,
    puts: BTreeMap<Row, Put>,
    deletes: BTreeMap<Row, Delete>,
    deltas: Vec<Delta>,
    claims: Vec<(ClaimKey, Uuid)>,
    events: Vec<String>,
}

impl Work {
    /// Refuses what comes after the closure has returned.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.ended {
            return Err(Error::invalid(
                "tx",
                "the unit of work has ended; use it inside of its closure only",
            ));
        }
        Ok(())
    }

    /// What is known of a row without asking the store: staged, deleted, or read before.
    pub(super) fn known(&self, row: &Row) -> Option<Option<&Record>> {
        if let Some(put) = self.puts.get(row) {
            return Some(Some(&put.record));
        }
        if self.deletes.contains_key(row) {
            return Some(None);
        }
        self.seen.get(row).map(Option::as_ref)
    }

    /// Records what the store answered, and gives what the unit of work shall see.
    pub(super) fn saw(&mut self, row: Row, found: Option<Record>) -> Option<Record> {
        self.seen.entry(row.clone()).or_insert(found);
        self.known(&row).flatten().cloned()
    }

    /// The staged aggregates of a kind.
    pub(super) fn staged<T: Staged>(&self) -> impl Iterator<Item = &Arc<T>> {
        self.puts.values().filter_map(|put| T::of(&put.record))
    }

    /// The staged changes that are not puts.
    pub(super) fn deltas(&self) -> &[Delta] {
        &self.deltas
    }

    /// Stages a new aggregate.
    pub(super) fn create<T: Staged>(&mut self, new: T) -> Result<Arc<T>> {
        let row = (T::KIND, new.key());
        if self.puts.contains_key(&row) || self.deletes.contains_key(&row) {
            return Err(named(
                Error::new(ErrorKind::AlreadyExists, "it is staged already"),
                &row,
            ));
        }
        let new = Arc::new(new.at_version(Version::FIRST));
        self.puts
            .insert(row, Put::create(T::into_record(Arc::clone(&new))));
        Ok(new)
    }

    /// Stages a new state of an aggregate, made from what is staged of it already or else from what was
    /// given.
    pub(super) fn replace<T: Staged>(
        &mut self,
        given: &T,
        parts: Parts,
        change: impl FnOnce(&T) -> Result<T>,
    ) -> Result<Arc<T>> {
        let row = (T::KIND, given.key());
        self.check_base(&row, given.version())?;
        self.check_no_delta(&row)?;
        if let Some(put) = self.puts.get_mut(&row) {
            let new = change(T::of(&put.record).map_or(given, Arc::as_ref))?;
            let new = Arc::new(new.at_version(put.record.version()));
            put.record = T::into_record(Arc::clone(&new));
            if parts == Parts::Whole {
                put.parts = Parts::Whole;
            }
            return Ok(new);
        }
        let new = Arc::new(change(given)?.at_version(given.version().next()));
        let put = Put {
            parts,
            ..Put::update(given, T::into_record(Arc::clone(&new)))
        };
        self.puts.insert(row, put);
        Ok(new)
    }

    /// Stages the end of an aggregate.
    pub(super) fn delete<T: Staged>(&mut self, given: &T) -> Result<()> {
        let row = (T::KIND, given.key());
        self.check_base(&row, given.version())?;
        self.check_no_delta(&row)?;
        let (expected, previous) = match self.puts.remove(&row) {
            // Created here and deleted here: nothing happens.
            Some(Put { expected: None, .. }) => return Ok(()),
            Some(Put {
                expected: Some(expected),
                previous,
                ..
            }) => (expected, previous),
            None => (given.version(), given.claims()),
        };
        let delete = Delete {
            aggregate: T::KIND,
            key: row.1.clone(),
            expected,
            previous,
        };
        self.deletes.insert(row, delete);
        Ok(())
    }

    /// Stages a delta, or applies it to the state that is staged: a row has one put or many deltas.
    ///
    /// # Errors
    /// `NotFound` when the row is deleted here, and what the change refuses.
    pub(super) fn delta<T: Staged>(
        &mut self,
        row: Row,
        delta: Delta,
        change: impl FnOnce(&T) -> Result<T>,
    ) -> Result<()> {
        if self.deletes.contains_key(&row) {
            return Err(Error::not_found(row.0.name(&row.1)));
        }
        match self.puts.get_mut(&row) {
            Some(put) => {
                if let Some(base) = T::of(&put.record) {
                    put.record = T::into_record(Arc::new(change(base)?));
                }
            }
            None => self.deltas.push(delta),
        }
        Ok(())
    }

    /// Stages a change of levels; levels are never put in a unit of work.
    pub(super) fn stock(&mut self, delta: Delta) {
        self.deltas.push(delta);
    }

    pub(super) fn claim(&mut self, key: ClaimKey, owner: Uuid) {
        self.claims.push((key, owner));
    }

    pub(super) fn event(&mut self, name: String) {
        self.events.push(name);
    }

    /// Ends the unit of work and gives its write set, filled, or only its reads, and whether it read anything.
    pub(super) fn finish(&mut self, mut set: WriteSet, with_writes: bool) -> (WriteSet, bool) {
        let work = std::mem::replace(
            self,
            Self {
                ended: true,
                ..Self::default()
            },
        );
        let has_reads = !work.seen.is_empty();
        for ((aggregate, key), record) in work.seen {
            set.read(ReadCheck {
                aggregate,
                key,
                version: record.map(|record| record.version()),
            });
        }
        if with_writes {
            set.puts = work.puts.into_values().collect();
            set.deletes = work.deletes.into_values().collect();
            set.deltas = work.deltas;
            for (key, owner) in work.claims {
                set.claim(key, owner);
            }
            for name in work.events {
                set.event(name);
            }
        }
        (set, has_reads)
    }

    /// The given state must be the one that this unit of work knows.
    fn check_base(&self, row: &Row, given: Version) -> Result<()> {
        let Some(known) = self.known(row) else {
            return Ok(());
        };
        let entity = || row.0.name(&row.1);
        match known.map(Record::version) {
            None => Err(Error::not_found(entity())),
            Some(version) if version != given => Err(Error::conflict(entity(), Some(version.get()))),
            Some(_) => Ok(()),
        }
    }

    fn check_no_delta(&self, row: &Row) -> Result<()> {
        if self.deltas.iter().any(|delta| delta.touched().contains(row)) {
            let error = Error::invalid(
                "tx",
                "it was changed by a delta before; replace it first, then add to it",
            );
            return Err(named(error, row));
        }
        Ok(())
    }
}

fn named(error: Error, row: &Row) -> Error {
    error.concerning(row.0.name(&row.1))
}
