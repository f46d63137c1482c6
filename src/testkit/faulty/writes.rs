//! Faults in how a write set is judged, sent and answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Fault;
use super::Faulty;
use super::sets::edit;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Clock;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::PaymentId;
use crate::model::PaymentState;
use crate::model::Record;
use crate::model::SystemClock;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;

/// How often a split set lets others run before it gives up waiting for them.
const TURNS: usize = 500;

/// An answer to a set of which nothing was sent.
fn pretended() -> Committed {
    Committed {
        replay: None,
        versions: Vec::new(),
        at: SystemClock.now(),
    }
}

impl Faulty {
    pub(super) async fn commit_wrongly(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let serial = self.serial(&set);
        let empty = set.is_read_only() && set.reads.is_empty();
        self.refuse_wrongly(&set, deadline).await?;
        let mut edited = edit(self.fault, set.clone(), serial);
        if self.fault == Fault::IgnoresEpoch {
            edited.epoch = self.inner.epoch();
        }
        if !empty && edited.is_read_only() && edited.reads.is_empty() {
            return Ok(pretended());
        }
        let answer = match self.fault {
            Fault::SplitsSets => self.commit_split(edited, deadline).await,
            Fault::ForgetsUpdates if edited.puts.iter().any(|put| put.expected.is_some()) => Ok(pretended()),
            Fault::IgnoresDeadline => self.inner.commit(edited, deadline_far()).await,
            _ => self.inner.commit(edited, deadline).await,
        };
        self.commits.fetch_add(1, Ordering::SeqCst);
        match answer {
            Ok(committed) => self.answer_wrongly(&set, committed, deadline).await,
            Err(error) => self.forgive_wrongly(set, error, deadline).await,
        }
    }

    fn serial(&self, set: &WriteSet) -> u64 {
        match set.deltas.iter().any(|delta| matches!(delta, Delta::CartLine(_))) {
            true => self.adds.fetch_add(1, Ordering::SeqCst),
            false => 0,
        }
    }

    /// Refusals that a right store would not give.
    async fn refuse_wrongly(&self, set: &WriteSet, deadline: Deadline) -> Result<()> {
        match self.fault {
            Fault::RefusesAbsence if set.reads.iter().any(|read| read.version.is_none()) => {
                Err(Error::new(ErrorKind::Conflict, "planted: an absence never holds"))
            }
            Fault::RefusesOwnKeys | Fault::RefusesSwaps => self.refuse_held_keys(set, deadline).await,
            Fault::ChecksBeforeKeys => self.refuse_existing(set, deadline).await,
            Fault::GuardsTooEarly => self.guard_early(set, deadline).await,
            Fault::RefusesFirstReceipt
            | Fault::RefusesSecondUnhold
            | Fault::FreesTwice
            | Fault::RefusesLateFacts => {
                for delta in &set.deltas {
                    self.refuse_delta(delta, deadline).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn refuse_held_keys(&self, set: &WriteSet, deadline: Deadline) -> Result<()> {
        let claims = set.all_claims();
        let keys: Vec<_> = claims
            .iter()
            .map(|claim| (claim.key.space.to_owned(), claim.key.key.clone()))
            .collect();
        let found = self.inner.readers().claim()?.find(&keys, deadline).await?;
        for (claim, holder) in claims.iter().zip(found) {
            let Some(holder) = holder else { continue };
            if (holder.owner == claim.owner) == (self.fault == Fault::RefusesOwnKeys) {
                return Err(
                    Error::new(ErrorKind::AlreadyExists, "planted: the key is held").existing(holder.owner)
                );
            }
        }
        Ok(())
    }

    async fn refuse_existing(&self, set: &WriteSet, deadline: Deadline) -> Result<()> {
        for put in set.puts.iter().filter(|put| put.expected.is_none()) {
            if let Record::Product(product) = &put.record {
                let found = self
                    .inner
                    .readers()
                    .product()?
                    .get_many(&[product.id], deadline)
                    .await?;
                if found.iter().any(Option::is_some) {
                    return Err(Error::new(ErrorKind::Conflict, "planted: the product exists"));
                }
            }
        }
        Ok(())
    }

    /// Compares with what was available before the commit; others may take it in between.
    async fn guard_early(&self, set: &WriteSet, deadline: Deadline) -> Result<()> {
        for delta in &set.deltas {
            let Delta::Stock(step) = delta else { continue };
            let available = self.available(step, deadline).await?;
            if available.unwrap_or_default() < step.takes {
                return Err(Error::new(ErrorKind::InsufficientStock, "planted: not enough"));
            }
        }
        self.wait_for_others(1).await;
        Ok(())
    }

    async fn available(&self, step: &StockStep, deadline: Deadline) -> Result<Option<i64>> {
        let levels = self
            .inner
            .readers()
            .inventory()?
            .levels(std::slice::from_ref(&step.sku), deadline)
            .await?;
        Ok(levels
            .iter()
            .find(|level| level.location == step.location)
            .map(|level| level.available()))
    }

    async fn refuse_delta(&self, delta: &Delta, deadline: Deadline) -> Result<()> {
        let readers = self.inner.readers();
        let over = match (self.fault, delta) {
            (Fault::RefusesFirstReceipt, Delta::Stock(step)) => {
                self.available(step, deadline).await?.is_none()
            }
            (Fault::RefusesSecondUnhold, Delta::Unhold { hold, .. }) => {
                readers.inventory()?.hold(*hold, deadline).await?.is_none()
            }
            (Fault::FreesTwice, Delta::Unhold { levels, .. }) => {
                for (sku, location) in levels {
                    let step = StockStep::adjust(sku, location, 1, None);
                    let mut extra = WriteSet::new(crate::model::Actor::system());
                    extra.delta(Delta::Stock(step));
                    self.inner.commit(extra, deadline).await?;
                }
                false
            }
            (Fault::RefusesLateFacts, Delta::Order { order, .. }) => {
                let found = readers
                    .order()?
                    .get_many(&[OrderId::from(order.uuid())], deadline)
                    .await?;
                found
                    .iter()
                    .flatten()
                    .any(|order| order.status == OrderStatus::Cancelled)
            }
            (Fault::RefusesLateFacts, Delta::Payment { payment, .. }) => {
                let found = readers
                    .payment()?
                    .get_many(&[PaymentId::from(payment.uuid())], deadline)
                    .await?;
                found
                    .iter()
                    .flatten()
                    .any(|payment| payment.state == PaymentState::Voided)
            }
            _ => false,
        };
        if over {
            Err(Error::new(ErrorKind::NotFound, "planted: refused"))
        } else {
            Ok(())
        }
    }

    /// Sends each operation by itself, and lets others in between.
    async fn commit_split(&self, set: WriteSet, deadline: Deadline) -> Result<Committed> {
        let mut whole = pretended();
        let mut versions = BTreeMap::new();
        for (index, part) in split(set).into_iter().enumerate() {
            if index > 0 {
                self.wait_for_others(2).await;
            }
            let committed = self.inner.commit(part, deadline).await?;
            if committed.replay.is_some() {
                return Ok(committed);
            }
            whole.at = committed.at;
            versions.extend(
                committed
                    .versions
                    .into_iter()
                    .map(|(kind, key, version)| ((kind, key), version)),
            );
        }
        whole.versions = versions
            .into_iter()
            .map(|((kind, key), version)| (kind, key, version))
            .collect();
        Ok(whole)
    }

    /// Waits until this many other commits went through, or everyone had many turns; one await, so that a caller
    /// that counts polls comes past it.
    async fn wait_for_others(&self, commits: u64) {
        let counter = Arc::clone(&self.commits);
        let enough = counter.load(Ordering::SeqCst) + commits;
        let turns = tokio::spawn(async move {
            for _ in 0..TURNS {
                if counter.load(Ordering::SeqCst) >= enough {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        // The turns cannot fail, and nothing depends on them.
        let _ = turns.await;
    }

    /// Changes to the answer of a set that was applied.
    async fn answer_wrongly(
        &self,
        set: &WriteSet,
        mut told: Committed,
        deadline: Deadline,
    ) -> Result<Committed> {
        match self.fault {
            Fault::HidesVersions => told.versions.clear(),
            Fault::RaisesTwice if told.replay.is_none() && !set.puts.is_empty() => {
                let mut again = WriteSet::new(set.actor.clone());
                for put in &set.puts {
                    let expected = told.version(put.record.aggregate(), &put.record.key());
                    again.put(crate::spi::store::Put {
                        expected,
                        previous: Vec::new(),
                        live: false,
                        ..put.clone()
                    });
                }
                self.inner.commit(again, deadline).await?;
            }
            _ => {}
        }
        Ok(told)
    }

    /// What becomes of a set that a right store refused.
    async fn forgive_wrongly(&self, set: WriteSet, error: Error, deadline: Deadline) -> Result<Committed> {
        let of = |kind| error.is(kind);
        let lines = set.deltas.iter().any(|delta| matches!(delta, Delta::CartLine(_)));
        match self.fault {
            Fault::OverwritesExisting | Fault::IgnoresExpected if of(ErrorKind::Conflict) => {
                self.force(set, error, deadline).await
            }
            Fault::CreatesOnUpdate if of(ErrorKind::NotFound) && !set.puts.is_empty() => {
                let mut set = set;
                set.puts.iter_mut().for_each(|put| put.expected = None);
                self.inner.commit(set, deadline).await
            }
            Fault::HidesFound if of(ErrorKind::Conflict) => {
                Err(Error::new(ErrorKind::Conflict, "planted: moved"))
            }
            Fault::HidesOwner if of(ErrorKind::AlreadyExists) => {
                Err(Error::new(ErrorKind::AlreadyExists, "planted: taken"))
            }
            Fault::HidesShortages if of(ErrorKind::InsufficientStock) => {
                let one = error.shortages().iter().take(1).cloned().collect();
                Err(Error::new(ErrorKind::InsufficientStock, "planted: short").short_of(one))
            }
            Fault::BurnsKeys if set.idempotency.is_some() => {
                let mut burnt = WriteSet::new(set.actor.clone());
                burnt.idempotency = set.idempotency;
                self.inner.commit(burnt, deadline).await?;
                Err(error)
            }
            Fault::WritesTooLarge if of(ErrorKind::TooLarge) => {
                let mut part = set;
                part.claims.clear();
                self.inner.commit(part, deadline).await?;
                Err(error)
            }
            Fault::AcceptsTooLarge if of(ErrorKind::TooLarge) => Ok(pretended()),
            Fault::AdmitsTakenKeys if of(ErrorKind::AlreadyExists) => Ok(pretended()),
            Fault::AcceptsNegative if of(ErrorKind::InvalidInput) => Ok(pretended()),
            Fault::AcceptsClosed if of(ErrorKind::Conflict) && lines => Ok(pretended()),
            Fault::AcceptsOverLimit if of(ErrorKind::InvalidInput) && lines => Ok(pretended()),
            Fault::AcceptsAbsent if of(ErrorKind::NotFound) && !set.deltas.is_empty() => {
                let mut rest = set;
                rest.deltas.clear();
                if rest.is_read_only() {
                    Ok(pretended())
                } else {
                    self.inner.commit(rest, deadline).await
                }
            }
            _ => Err(error),
        }
    }

    /// Sends the set again with the version that was found.
    async fn force(&self, mut set: WriteSet, error: Error, deadline: Deadline) -> Result<Committed> {
        let Some(found) = error.found_version().map(Version::from) else {
            return Err(error);
        };
        let creates = self.fault == Fault::OverwritesExisting;
        for put in set
            .puts
            .iter_mut()
            .filter(|put| put.expected.is_none() == creates)
        {
            put.expected = Some(found);
        }
        set.deletes.iter_mut().for_each(|delete| delete.expected = found);
        self.inner.commit(set, deadline).await
    }
}

fn deadline_far() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

/// One set an operation; reads and the key stay with the first.
fn split(set: WriteSet) -> Vec<WriteSet> {
    let mut parts: Vec<WriteSet> = Vec::new();
    let part = || {
        let mut part = WriteSet::new(set.actor.clone());
        part.events.clone_from(&set.events);
        part.epoch = set.epoch;
        part
    };
    let with = |change: &dyn Fn(&mut WriteSet)| {
        let mut part = part();
        change(&mut part);
        part
    };
    parts.extend(
        set.puts
            .iter()
            .map(|put| with(&|part| part.puts.push(put.clone()))),
    );
    parts.extend(
        set.deletes
            .iter()
            .map(|delete| with(&|part| part.deletes.push(delete.clone()))),
    );
    parts.extend(
        set.deltas
            .iter()
            .map(|delta| with(&|part| part.deltas.push(delta.clone()))),
    );
    parts.extend(
        set.claims
            .iter()
            .map(|claim| with(&|part| part.claims.push(claim.clone()))),
    );
    parts.extend(
        set.releases
            .iter()
            .map(|release| with(&|part| part.releases.push(release.clone()))),
    );
    if parts.is_empty() {
        parts.push(part());
    }
    if let Some(first) = parts.first_mut() {
        first.reads.clone_from(&set.reads);
        first.idempotency.clone_from(&set.idempotency);
    }
    parts
}
