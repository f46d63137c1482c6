//! Orders in a unit of work.

use std::sync::Arc;

use super::Tx;
use super::single;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::CancelReason;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::Quantity;
use crate::model::RowKey;
use crate::spi::store::Parts;

/// Orders in a unit of work.
///
/// - These change the order alone; what it means for stock is staged by [`Tx::inventory`].
#[derive(Clone, Debug)]
pub struct TxOrders(pub(super) Tx);

impl TxOrders {
    /// The order of this id; absence is remembered as well.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: OrderId) -> Result<Option<Arc<Order>>> {
        let (tx, reader) = (&self.0, self.0.context.orders()?);
        let ids = [id];
        let fetch = async { Ok(single(reader.get_many(&ids, tx.deadline).await?)) };
        tx.read((Aggregate::Order, RowKey::Id(id.uuid())), fetch).await
    }

    /// The order of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: OrderId) -> Result<Arc<Order>> {
        self.get(id)
            .await?
            .ok_or_else(|| Error::not_found(format!("order {id}")))
    }

    /// Stages that the order will not be sent.
    ///
    /// # Errors
    /// `Conflict` when a part was sent, or it is completed or cancelled.
    pub fn cancel(&self, order: &Order, reason: CancelReason) -> Result<Arc<Order>> {
        self.change(order, Parts::Root, |order| order.cancel(reason))
    }

    /// Stages that so many of these lines, by number, were sent.
    ///
    /// # Errors
    /// `Conflict` when it is not placed; `InvalidInput` on an unknown line or more than is left.
    pub fn ship(&self, order: &Order, lines: &[(u32, Quantity)]) -> Result<Arc<Order>> {
        self.change(order, Parts::Whole, |order| order.ship(lines))
    }

    /// Stages that nothing is left to do.
    ///
    /// # Errors
    /// `Conflict` unless it is placed and all of it was sent.
    pub fn complete(&self, order: &Order) -> Result<Arc<Order>> {
        self.change(order, Parts::Root, Order::complete)
    }

    fn change(
        &self,
        order: &Order,
        parts: Parts,
        change: impl FnOnce(&Order) -> Result<Order>,
    ) -> Result<Arc<Order>> {
        let updated_at = self.0.context.now();
        let change = |base: &Order| change(base).map(|order| Order { updated_at, ..order });
        self.0.open()?.replace(order, parts, change)
    }
}
