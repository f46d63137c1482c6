//! Everything that changes at once: the only thing a store is ever asked to commit.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use uuid::Uuid;

use super::Claim;
use super::Delete;
use super::Delta;
use super::Event;
use super::Idempotency;
use super::Put;
use super::ReadCheck;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::ClaimKey;
use crate::model::MovementKind;
use crate::model::RowKey;
use crate::model::Version;

/// Writes that belong together, with the reads they rest on; applied as a whole or not at all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriteSet {
    /// Identity of the attempt.
    pub id: Uuid,
    /// Aggregates that are created or replaced.
    pub puts: Vec<Put>,
    /// Aggregates that are removed.
    pub deletes: Vec<Delete>,
    /// Commutative changes.
    pub deltas: Vec<Delta>,
    /// Unique keys beside those that the puts claim by themselves.
    pub claims: Vec<Claim>,
    /// Unique keys that are given up, with the owner that holds them.
    pub releases: Vec<(ClaimKey, Uuid)>,
    /// The key under which the set is applied at most once.
    pub idempotency: Option<Idempotency>,
    /// Reads that must still hold.
    pub reads: Vec<ReadCheck>,
    /// Who does it.
    pub actor: Actor,
    /// What happened, in the application's words.
    pub events: Vec<Event>,
    /// When the set counts as committed.
    pub durability: Durability,
    /// The store's epoch that the set was made in; 0 until a shop was restored for the first time.
    pub epoch: i64,
}

/// When a commit is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Once it lasts: an operating system or machine that crashes a moment later loses nothing of it.
    #[default]
    Durable,
    /// Once it is visible. It lasts at the latest with the next durable commit of the store, or after less than a second; a
    /// crash before that loses it whole. For holds alone, which may be revoked at any time: an order rests on nothing that
    /// its own durable commit would not make last too. A store that knows no difference makes everything durable.
    Relaxed,
}

impl WriteSet {
    /// An empty set by this actor.
    #[must_use]
    pub fn new(actor: Actor) -> Self {
        Self {
            id: Uuid::now_v7(),
            puts: Vec::new(),
            deletes: Vec::new(),
            deltas: Vec::new(),
            claims: Vec::new(),
            releases: Vec::new(),
            idempotency: None,
            reads: Vec::new(),
            actor,
            events: Vec::new(),
            durability: Durability::Durable,
            epoch: 0,
        }
    }

    /// Adds a put.
    pub fn put(&mut self, put: Put) -> &mut Self {
        self.puts.push(put);
        self
    }

    /// Adds a delete.
    pub fn delete(&mut self, delete: Delete) -> &mut Self {
        self.deletes.push(delete);
        self
    }

    /// Adds a delta.
    pub fn delta(&mut self, delta: Delta) -> &mut Self {
        self.deltas.push(delta);
        self
    }

    /// Claims a unique key.
    pub fn claim(&mut self, key: ClaimKey, owner: Uuid) -> &mut Self {
        self.claims.push(Claim { key, owner });
        self
    }

    /// Gives up a unique key.
    pub fn release(&mut self, key: ClaimKey, owner: Uuid) -> &mut Self {
        self.releases.push((key, owner));
        self
    }

    /// Makes the set apply at most once.
    pub fn idempotent(&mut self, idempotency: Idempotency) -> &mut Self {
        self.idempotency = Some(idempotency);
        self
    }

    /// Records a read that must still hold.
    pub fn read(&mut self, read: ReadCheck) -> &mut Self {
        self.reads.push(read);
        self
    }

    /// Adds an event.
    pub fn event(&mut self, name: impl Into<String>) -> &mut Self {
        self.events.push(Event::new(name));
        self
    }

    /// Whether the set does nothing but open holds, as it must to be [relaxed](Durability::Relaxed).
    #[must_use]
    pub fn only_holds(&self) -> bool {
        let opens = |delta: &Delta| matches!(delta, Delta::Stock(step) if step.kind == MovementKind::Hold);
        self.puts.is_empty()
            && self.deletes.is_empty()
            && self.claims.is_empty()
            && self.releases.is_empty()
            && self.idempotency.is_none()
            && self.deltas.iter().all(opens)
    }

    /// Whether nothing would be written.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.puts.is_empty()
            && self.deletes.is_empty()
            && self.deltas.is_empty()
            && self.claims.is_empty()
            && self.releases.is_empty()
            && self.idempotency.is_none()
    }

    /// The aggregates that the set writes, sorted, each once.
    #[must_use]
    pub fn touched(&self) -> Vec<(Aggregate, RowKey)> {
        let mut keys: BTreeSet<(Aggregate, RowKey)> = self
            .puts
            .iter()
            .map(|put| (put.record.aggregate(), put.record.key()))
            .collect();
        keys.extend(
            self.deletes
                .iter()
                .map(|delete| (delete.aggregate, delete.key.clone())),
        );
        keys.extend(self.deltas.iter().flat_map(Delta::touched));
        keys.into_iter().collect()
    }

    /// Every unique key that the set takes, with its owner: those of the puts and those claimed beside them.
    #[must_use]
    pub fn all_claims(&self) -> Vec<Claim> {
        let derived = self.puts.iter().flat_map(|put| {
            let owner = put.record.owner();
            put.claims().map(move |key| Claim { key, owner })
        });
        derived.chain(self.claims.iter().cloned()).collect()
    }

    /// Every unique key that the set gives up, with the owner that holds it.
    #[must_use]
    pub fn all_releases(&self) -> Vec<(ClaimKey, Uuid)> {
        let mut releases = self.releases.clone();
        for put in &self.puts {
            let kept: Vec<ClaimKey> = put.claims().collect();
            let owner = put.record.owner();
            releases.extend(
                put.previous
                    .iter()
                    .filter(|key| put.writes(key) && !kept.contains(key))
                    .map(|key| (key.clone(), owner)),
            );
        }
        for delete in &self.deletes {
            if let RowKey::Id(owner) = delete.key {
                releases.extend(delete.previous.iter().map(|key| (key.clone(), owner)));
            }
        }
        releases
    }

    /// Operations in the set, as the limits of a store count them.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.puts.len()
            + self.deletes.len()
            + self.deltas.len()
            + self.all_claims().len()
            + self.reads.len()
            + usize::from(self.idempotency.is_some())
    }

    /// Checks that the set is well formed and brings it into its canonical order.
    ///
    /// - A row has one put or many deltas, never both.
    /// - Read checks of rows that are put are dropped: their expected version says the same.
    ///
    /// # Errors
    /// - `InvalidInput` when one row is put twice, put and changed by a delta, read at two versions, or one key is
    ///   claimed for two owners, or what is not a hold is to be committed with relaxed durability.
    pub fn plan(mut self) -> Result<Self> {
        let mut written = BTreeSet::new();
        let keys = self
            .puts
            .iter()
            .map(|put| (put.record.aggregate(), put.record.key()));
        for (aggregate, key) in keys.chain(self.deletes.iter().map(|gone| (gone.aggregate, gone.key.clone())))
        {
            let text = format!("{} {key}", aggregate.as_str());
            if !written.insert((aggregate, key)) {
                return Err(Error::invalid("write set", "one aggregate is written twice").concerning(text));
            }
        }
        for touched in self.deltas.iter().flat_map(Delta::touched) {
            if written.contains(&touched) {
                let text = format!("{} {}", touched.0.as_str(), touched.1);
                return Err(
                    Error::invalid("write set", "one aggregate has a put and a delta").concerning(text)
                );
            }
        }
        if self.durability == Durability::Relaxed && !self.only_holds() {
            return Err(Error::invalid("durability", "only holds may be relaxed"));
        }
        self.plan_claims()?;
        self.plan_reads(&written)?;
        Ok(self)
    }

    fn plan_claims(&self) -> Result<()> {
        let mut owners: BTreeMap<(&'static str, String), Uuid> = BTreeMap::new();
        for claim in self.all_claims() {
            let place = (claim.key.space, claim.key.key);
            let owner = *owners.entry(place.clone()).or_insert(claim.owner);
            if owner != claim.owner {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "two aggregates of one write claim the same key",
                )
                .concerning(format!("{} {}", place.0, place.1))
                .existing(owner));
            }
        }
        Ok(())
    }

    fn plan_reads(&mut self, written: &BTreeSet<(Aggregate, RowKey)>) -> Result<()> {
        let mut seen: BTreeMap<(Aggregate, RowKey), Option<Version>> = BTreeMap::new();
        for read in std::mem::take(&mut self.reads) {
            let place = (read.aggregate, read.key.clone());
            if written.contains(&place) {
                continue;
            }
            if let Some(version) = seen.insert(place, read.version) {
                if version != read.version {
                    let entity = format!("{} {}", read.aggregate.as_str(), read.key);
                    return Err(Error::conflict(entity, read.version.map(Version::get)));
                }
                continue;
            }
            self.reads.push(read);
        }
        Ok(())
    }
}
