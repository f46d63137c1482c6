//! Payments in a unit of work.

use std::sync::Arc;

use uuid::Uuid;

use super::Tx;
use super::single;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::Payment;
use crate::model::PaymentFact;
use crate::model::PaymentId;
use crate::model::Provider;
use crate::model::Reference;
use crate::model::RowKey;
use crate::spi::store::Delta;

/// Payments in a unit of work.
#[derive(Clone, Debug)]
pub struct TxPayments(pub(super) Tx);

impl TxPayments {
    /// The payment of this id; absence is remembered as well.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: PaymentId) -> Result<Option<Arc<Payment>>> {
        let (tx, reader) = (&self.0, self.0.context.payments()?);
        let ids = [id];
        let fetch = async { Ok(single(reader.get_many(&ids, tx.deadline).await?)) };
        tx.read(row(id), fetch).await
    }

    /// The payment of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: PaymentId) -> Result<Arc<Payment>> {
        self.get(id)
            .await?
            .ok_or_else(|| Error::not_found(format!("payment {id}")))
    }

    /// The payments of an order, oldest first.
    ///
    /// - Each one found is remembered; that there are no others is not.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn for_order(&self, order: OrderId) -> Result<Vec<Arc<Payment>>> {
        let tx = &self.0;
        let found = tx.context.payments()?.for_order(order, tx.deadline).await?;
        let mut payments = Vec::with_capacity(found.len());
        for payment in found {
            payments.extend(tx.remember(row(payment.id), Some(payment))?);
        }
        Ok(payments)
    }

    /// The payment that a provider calls so.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn find_by_reference(
        &self,
        provider: &Provider,
        name: &Reference,
    ) -> Result<Option<Arc<Payment>>> {
        let tx = &self.0;
        let found = tx
            .context
            .payments()?
            .find_by_reference(provider, name, tx.deadline)
            .await?;
        match found {
            Some(payment) => tx.remember(row(payment.id), Some(payment)),
            None => Ok(None),
        }
    }

    /// Stages what a provider told about a payment: it is added to the payment and to its order.
    ///
    /// - The commit is `AlreadyExists` when the event was recorded before;
    ///   [`Payments::record`](crate::Payments::record) takes that for done.
    ///
    /// # Errors
    /// `InvalidInput` when the amount is not positive or in another currency.
    pub fn record(&self, payment: &Payment, fact: &PaymentFact) -> Result<()> {
        fact.validate()?;
        fact.amount.checked_add(payment.amount)?;
        let settled = fact.change();
        let order = (Aggregate::Order, RowKey::Id(payment.order.uuid()));
        let mut work = self.0.open()?;
        work.delta(
            row(payment.id),
            Delta::Payment {
                payment: payment.id,
                settled,
            },
            |staged: &Payment| {
                Ok(Payment {
                    settled: staged.settled.checked_add(settled)?,
                    ..staged.clone()
                })
            },
        )?;
        work.delta(
            order,
            Delta::Order {
                order: payment.order,
                settled,
            },
            |staged: &Order| {
                Ok(Order {
                    paid: staged.paid.checked_add(settled)?,
                    ..staged.clone()
                })
            },
        )?;
        // The owner is new each time: an owner may claim its own key again, and an event must not count
        // again.
        work.claim(fact.claim(), Uuid::now_v7());
        Ok(())
    }
}

fn row(id: PaymentId) -> (Aggregate, RowKey) {
    (Aggregate::Payment, RowKey::Id(id.uuid()))
}
