//! One write set, with all that can be worked out before it has neighbours: its caller does that, not the committer.

use super::Footprint;
use super::History;
use super::Payload;
use super::hex;
use super::needs::RowNeed;
use super::needs::needs_of;
use crate::backend::sql::LIMITS;
use crate::backend::sql::program::List;
use crate::backend::sql::tables::Root;
use crate::backend::sql::tables::Verb;
use crate::backend::sql::tables::write_key;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::ClaimKey;
use crate::model::MovementKind;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::Claim;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A write set and what the program needs of it.
#[derive(Debug)]
pub(in crate::backend::sql) struct Prepared {
    pub(in crate::backend::sql) set: WriteSet,
    pub(in crate::backend::sql) footprint: Footprint,
    /// Unique keys that the set takes, but for the idempotency key, and that it gives up.
    pub(in crate::backend::sql) claims: Vec<Claim>,
    pub(in crate::backend::sql) releases: Vec<(ClaimKey, Uuid)>,
    /// The aggregates that its deltas change.
    pub(in crate::backend::sql) changed: BTreeSet<(Aggregate, RowKey)>,
    /// Bytes of its rows.
    pub(in crate::backend::sql) bytes: usize,
    pub(super) history: History,
    pub(super) actor: String,
    pub(super) events: String,
    pub(super) taken: Vec<Taken>,
    pub(super) needs: Vec<((Aggregate, RowKey), RowNeed)>,
    /// The rows that are the set's alone.
    pub(super) payload: Payload,
}

/// A unique key that a set takes.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) space: String,
    pub(super) key: String,
    pub(super) owner: Uuid,
    /// Of an idempotency key, which is taken once only.
    pub(super) fingerprint: Option<String>,
    /// Who gives the key up in the same set.
    pub(super) from: Option<Uuid>,
}

impl Prepared {
    /// # Errors
    /// - `TooLarge` past the limit of bytes.
    /// - `Unsupported` for an aggregate that the SQL stores do not hold.
    pub(in crate::backend::sql) fn new(set: WriteSet, history: History) -> Result<Self> {
        let (claims, releases) = (set.all_claims(), set.all_releases());
        let keys = claims.iter().map(|claim| &claim.key);
        let keys = keys.chain(releases.iter().map(|(key, _)| key));
        let footprint = Footprint::of(&set, keys.map(|key| (key.space, key.key.as_str())));
        let mut prepared = Self {
            footprint,
            history,
            actor: set.actor.to_string(),
            events: events(&set),
            taken: taken(&set, &claims, &releases),
            needs: needs_of(&set),
            changed: set.deltas.iter().flat_map(Delta::touched).collect(),
            payload: Payload::default(),
            bytes: 0,
            claims,
            releases,
            set,
        };
        prepared.payload = prepared.rows()?;
        prepared.bytes = prepared.payload.bytes();
        if prepared.bytes > LIMITS.bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the write has more than {} bytes", LIMITS.bytes),
            ));
        }
        Ok(prepared)
    }

    pub(in crate::backend::sql) fn releases_holds(&self) -> bool {
        !self.payload.released.is_empty()
    }

    fn rows(&self) -> Result<Payload> {
        let mut payload = Payload::default();
        for put in &self.set.puts {
            payload.put(put)?;
        }
        for gone in &self.set.deletes {
            let root = Root::of(gone.aggregate)?;
            write_key(&gone.key, &mut payload.list(List::Delete(root.aggregate)).row());
            if let (Some(_), RowKey::Id(owner)) = (root.part, &gone.key) {
                payload.list(List::ClearParts(root.aggregate)).row().id(*owner);
            }
        }
        for delta in &self.set.deltas {
            match delta {
                Delta::Stock(step) => payload.step(step),
                Delta::Unhold { hold, .. } => payload.released.push(hold.uuid()),
                Delta::CartLine(_) | Delta::Order { .. } | Delta::Payment { .. } => {}
            }
        }
        self.record(&mut payload);
        Ok(payload)
    }
}

fn events(set: &WriteSet) -> String {
    let names: Vec<&str> = set.events.iter().map(|event| event.name.as_str()).collect();
    serde_json::to_string(&names).unwrap_or_else(|_| "[]".to_owned())
}

impl Payload {
    fn put(&mut self, put: &Put) -> Result<()> {
        let root = Root::of(put.record.aggregate())?;
        let aggregate = root.aggregate;
        let (verb, list, version) = match put.expected {
            None => (Verb::Insert, List::Insert(aggregate), Version::FIRST),
            Some(expected) => (Verb::Update, List::Update(aggregate), expected.next()),
        };
        root.write(&put.record, version, verb, &mut self.list(list).row());
        if let (Some(_), Parts::Whole) = (root.part, put.parts) {
            if let (Some(_), RowKey::Id(owner)) = (put.expected, put.record.key()) {
                self.list(List::ClearParts(aggregate)).row().id(owner);
            }
            (root.parts)(&put.record, self.list(List::InsertParts(aggregate)));
        }
        Ok(())
    }

    /// The movement, and the hold that it opens.
    fn step(&mut self, step: &StockStep) {
        let mut row = self.list(List::InsertMovements).row();
        row.text(step.sku.as_str());
        row.text(step.location.as_str());
        row.text(step.kind.as_str());
        row.int(step.on_hand);
        row.int(step.allocated);
        row.int(step.held);
        row.opt_id(step.reference);
        row.opt_text(step.note.as_deref());
        if let (MovementKind::Hold, Some((hold, ttl))) = (step.kind, step.hold) {
            let mut row = self.list(List::InsertHolds).row();
            row.id(hold.uuid());
            row.text(step.sku.as_str());
            row.text(step.location.as_str());
            row.int(step.held);
            row.distance(ttl);
        }
    }
}

fn taken(set: &WriteSet, claims: &[Claim], releases: &[(ClaimKey, Uuid)]) -> Vec<Taken> {
    let claims = claims.iter().map(|claim| {
        let from = releases.iter().find(|(key, _)| *key == claim.key);
        Taken {
            space: claim.key.space.to_owned(),
            key: claim.key.key.clone(),
            owner: claim.owner,
            fingerprint: None,
            from: from.map(|(_, owner)| *owner),
        }
    });
    let once = set.idempotency.iter().map(|key| Taken {
        space: Idempotency::space(&key.scope),
        key: key.key.as_str().to_owned(),
        owner: key.owner,
        fingerprint: Some(hex(&key.fingerprint)),
        from: None,
    });
    claims.chain(once).collect()
}
