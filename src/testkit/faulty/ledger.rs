//! Faults in what is told about stock, unique keys and history.

use async_trait::async_trait;

use super::Fault;
use super::reads::Wrong;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Clock;
use crate::model::Drift;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::LedgerReport;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Movement;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::SystemClock;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::store::ClaimFound;
use crate::spi::store::ClaimReader;
use crate::spi::store::HistoryReader;
use crate::spi::store::InventoryReader;

#[async_trait]
impl InventoryReader for Wrong<dyn InventoryReader> {
    async fn levels(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Level>> {
        let mut levels = self.inner.levels(skus, deadline).await?;
        match self.fault {
            Fault::ReversesLists => levels.reverse(),
            Fault::ForgetsLocations => levels.dedup_by(|next, first| next.sku == first.sku),
            _ => {}
        }
        Ok(levels)
    }

    async fn hold(&self, hold: HoldId, deadline: Deadline) -> Result<Option<Hold>> {
        Ok(self.found(self.inner.hold(hold, deadline).await?))
    }

    async fn expired(&self, most: u32, deadline: Deadline) -> Result<Vec<Hold>> {
        let mut expired = self.inner.expired(most, deadline).await?;
        match self.fault {
            Fault::ReversesLists => expired.reverse(),
            Fault::ForgetsLocations => expired.iter_mut().for_each(|hold| hold.lines.truncate(1)),
            _ => {}
        }
        Ok(expired)
    }

    async fn movements(
        &self,
        sku: &Sku,
        location: &LocationId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Movement>> {
        let first = PageRequest::default();
        let right = self
            .inner
            .movements(sku, location, &self.request(page), deadline)
            .await;
        let mut told = self
            .page(right, || self.inner.movements(sku, location, &first, deadline))
            .await?;
        if self.fault == Fault::LosesMovements && page.after.is_none() {
            told.items.drain(..told.items.len().min(1));
        }
        Ok(told)
    }

    async fn verify(&self, deadline: Deadline) -> Result<LedgerReport> {
        let mut report = self.inner.verify(deadline).await?;
        match self.fault {
            Fault::VerifiesNothing => report = LedgerReport::default(),
            Fault::ReportsDrift => {
                report.movements += 1;
                let (sku, location) = (Sku::new("any")?, LocationId::new("any")?);
                report.drift.push(Drift {
                    sku,
                    location,
                    counter: "on_hand",
                    level: 0,
                    ledger: 1,
                });
            }
            _ => {}
        }
        Ok(report)
    }
}

#[async_trait]
impl ClaimReader for Wrong<dyn ClaimReader> {
    async fn find(&self, keys: &[(String, String)], deadline: Deadline) -> Result<Vec<Option<ClaimFound>>> {
        Ok(self.batch(self.inner.find(keys, deadline).await?))
    }
}

#[async_trait]
impl HistoryReader for Wrong<dyn HistoryReader> {
    async fn list(
        &self,
        aggregate: Aggregate,
        key: &RowKey,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Change>> {
        let first = PageRequest::default();
        let right = self
            .inner
            .list(aggregate, key, &self.request(page), deadline)
            .await;
        let mut told = self
            .page(right, || self.inner.list(aggregate, key, &first, deadline))
            .await?;
        if self.fault == Fault::RepeatsVersions {
            for change in told
                .items
                .iter_mut()
                .filter(|change| change.action == ChangeAction::Delete)
            {
                change.version = Version::from(change.version.get().saturating_sub(1));
            }
        }
        if self.fault == Fault::StampsHistoryLate {
            told.items
                .iter_mut()
                .for_each(|change| change.at = SystemClock.now());
        }
        Ok(told)
    }
}
