//! Payments by id, by order and by the provider's reference.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::in_order;
use super::owner;
use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::keys;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::SK;
use crate::backend::dynamodb::records::payment;
use crate::backend::dynamodb::tables::Table;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::ClaimKey;
use crate::model::OrderId;
use crate::model::Payment;
use crate::model::PaymentId;
use crate::model::Provider;
use crate::model::Reference;
use crate::resilience::Deadline;
use crate::spi::store::PaymentReader;

#[derive(Debug)]
pub(super) struct Payments(pub(super) Arc<Wire>);

#[async_trait]
impl PaymentReader for Payments {
    async fn get_many(&self, ids: &[PaymentId], deadline: Deadline) -> Result<Vec<Option<Arc<Payment>>>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let found = self.0.roots(Aggregate::Payment, &ids, deadline).await?;
        let now = self.0.clock.now();
        in_order(&ids, &found, |item| payment::read(item, now).map(Some))
    }

    async fn for_order(&self, order: OrderId, deadline: Deadline) -> Result<Vec<Arc<Payment>>> {
        let range = Range::beginning(Table::Orders, keys::payments(order.uuid()), "");
        // Their sort keys are the ids, which sort by the time of their making.
        let pointers = self.0.all(&range, deadline).await?;
        let ids = pointers.iter().map(|pointer| {
            pointer
                .get_text(SK)?
                .parse::<PaymentId>()
                .map_err(Error::corrupted)
        });
        let ids = ids.collect::<Result<Vec<_>>>()?;
        let found = self.get_many(&ids, deadline).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn find_by_reference(
        &self,
        provider: &Provider,
        reference: &Reference,
        deadline: Deadline,
    ) -> Result<Option<Arc<Payment>>> {
        let key = format!("{provider}:{reference}");
        let found = self
            .0
            .owners(vec![Key::claim(ClaimKey::PAYMENT_REFERENCE, &key)], deadline)
            .await?;
        let Some(id) = owner(&found, ClaimKey::PAYMENT_REFERENCE, &key)? else {
            return Ok(None);
        };
        let payments = self.get_many(&[PaymentId::from(id)], deadline).await?;
        Ok(payments.into_iter().flatten().next())
    }
}
