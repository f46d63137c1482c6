//! Faults in what is told about orders and payments.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::Fault;
use super::reads::Wrong;
use crate::error::Result;
use crate::model::HoldId;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Payment;
use crate::model::PaymentId;
use crate::model::Provider;
use crate::model::Reference;
use crate::model::UserId;
use crate::resilience::Deadline;
use crate::spi::store::OrderQuery;
use crate::spi::store::OrderReader;
use crate::spi::store::PaymentReader;

fn order(fault: Fault, right: Arc<Order>) -> Arc<Order> {
    let mut order = Order::clone(&right);
    match fault {
        Fault::LosesFields => order.ship_to = None,
        Fault::InventsFields => {
            order.email.get_or_insert_default();
            order.customer.get_or_insert(UserId::from(Uuid::nil()));
        }
        _ => return right,
    }
    Arc::new(order)
}

fn payment(fault: Fault, right: Arc<Payment>) -> Arc<Payment> {
    let mut payment = Payment::clone(&right);
    match fault {
        Fault::LosesFields => payment.decline_reason = None,
        Fault::InventsFields => {
            payment.hold.get_or_insert(HoldId::from(Uuid::nil()));
        }
        Fault::LeasesForever => payment.lease_alive = true,
        _ => return right,
    }
    Arc::new(payment)
}

#[async_trait]
impl OrderReader for Wrong<dyn OrderReader, Arc<Order>> {
    async fn get_many(&self, ids: &[OrderId], deadline: Deadline) -> Result<Vec<Option<Arc<Order>>>> {
        let right = self.inner.get_many(ids, deadline).await?;
        let told = ids
            .iter()
            .zip(right)
            .map(|(id, found)| self.stale(id, found).map(|found| order(self.fault, found)));
        Ok(self.batch(told.collect()))
    }

    async fn list(
        &self,
        query: &OrderQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Order>>> {
        let mut query = query.clone();
        if self.fault == Fault::IgnoresFilters {
            query = OrderQuery::new();
        }
        let right = self.inner.list(&query, &self.request(page), deadline).await;
        self.page(right, || async {
            self.inner.list(&query, &PageRequest::default(), deadline).await
        })
        .await
    }
}

#[async_trait]
impl PaymentReader for Wrong<dyn PaymentReader, Arc<Payment>> {
    async fn get_many(&self, ids: &[PaymentId], deadline: Deadline) -> Result<Vec<Option<Arc<Payment>>>> {
        let right = self.inner.get_many(ids, deadline).await?;
        let told = ids
            .iter()
            .zip(right)
            .map(|(id, found)| self.stale(id, found).map(|found| payment(self.fault, found)));
        Ok(self.batch(told.collect()))
    }

    async fn for_order(&self, order: OrderId, deadline: Deadline) -> Result<Vec<Arc<Payment>>> {
        let right = self.inner.for_order(order, deadline).await?;
        let mut told: Vec<_> = right
            .into_iter()
            .filter_map(|found| self.found(Some(payment(self.fault, found))))
            .collect();
        if self.fault == Fault::ReversesLists {
            told.reverse();
        }
        Ok(told)
    }

    async fn find_by_reference(
        &self,
        provider: &Provider,
        reference: &Reference,
        deadline: Deadline,
    ) -> Result<Option<Arc<Payment>>> {
        Ok(self.found(
            self.inner
                .find_by_reference(provider, reference, deadline)
                .await?,
        ))
    }
}
