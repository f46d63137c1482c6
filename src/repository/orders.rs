//! Orders: what a customer has bought, and what becomes of it.

use std::sync::Arc;

use super::single;
use super::written;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::CancelReason;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Quantity;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::changes::Change;
use crate::spi::store::Delta;
use crate::spi::store::OrderQuery;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use crate::transaction::Attempts;
use crate::transaction::Context;
use crate::transaction::parts;
use crate::transaction::stock;

/// Orders: where they stand, what was sent, what is due back.
///
/// - Orders are made by [`Checkout`](crate::Checkout).
/// - An order and its stock change in one commit: what is cancelled is available again, what is sent has
///   left.
#[derive(Clone, Debug)]
pub struct Orders {
    context: Context,
}

impl Orders {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }

    /// The order of this id.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: OrderId) -> Result<Option<Arc<Order>>> {
        self.get_many(&[id])
            .await
            .map(single)
            .map_err(|error| error.operation("orders.get"))
    }

    /// The order of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: OrderId) -> Result<Arc<Order>> {
        let found = self.get(id).await?;
        found.ok_or_else(|| Error::not_found(format!("order {id}")).operation("orders.require"))
    }

    /// Orders by id, in one round trip.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get_many(&self, ids: &[OrderId]) -> Result<Vec<Option<Arc<Order>>>> {
        let found = self
            .context
            .shown(Aggregate::Order)
            .order()?
            .get_many(ids, self.context.deadline())
            .await;
        found.map_err(|error| error.operation("orders.get_many"))
    }

    /// A page of orders, latest placed first.
    ///
    /// # Errors
    /// `InvalidInput` on `after` for a cursor of another query or a damaged one; `Timeout`, `Unavailable`.
    pub async fn list(&self, query: &OrderQuery, page: PageRequest) -> Result<Page<Arc<Order>>> {
        let found = self
            .context
            .shown(Aggregate::Order)
            .order()?
            .list(query, &page, self.context.deadline())
            .await;
        found.map_err(|error| error.operation("orders.list"))
    }

    /// What happened to an order, latest first: who did what when, with the events of the same commit.
    ///
    /// # Errors
    /// `InvalidInput` on `after` for a damaged cursor; `Timeout`, `Unavailable`.
    pub async fn history(&self, id: OrderId, page: PageRequest) -> Result<Page<Change>> {
        let reader = self.context.shown(Aggregate::Order).history()?;
        let found = reader
            .list(
                Aggregate::Order,
                &RowKey::Id(id.uuid()),
                &page,
                self.context.deadline(),
            )
            .await;
        found.map_err(|error| error.operation("orders.history"))
    }

    /// Cancels an order of which nothing was sent.
    ///
    /// - In the same commit the stock of a placed order, or the hold of a pending one, becomes available
    ///   again.
    /// - An order that is too large for one commit, or [is placed in parts](crate::Checkout::place_in_parts), is `Releasing`
    ///   first; its stock is released in several commits, and the last one cancels it. Cancelling it again goes on with it.
    /// - What was captured is due back: see [`Order::refund_due`].
    /// - A payment may be running meanwhile: whichever commits first decides, and the other finds out.
    ///
    /// # Errors
    /// - `NotFound`; `Conflict` when a part was sent, or the order is completed or cancelled.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the order cancelled with its stock released, or as it was; a large one may be left `Releasing`,
    /// and is cancelled later, see [`Checkout::give_up_idle`](crate::Checkout::give_up_idle).
    pub async fn cancel(&self, id: OrderId, reason: CancelReason) -> Result<Arc<Order>> {
        let cancel = async {
            let deadline = self.context.deadline();
            let mut attempts = Attempts::few(deadline);
            loop {
                let found = single(self.context.orders()?.get_many(&[id], deadline).await?);
                let order = found.ok_or_else(|| Error::not_found(format!("order {id}")))?;
                if parts::is_under_way(&order) {
                    return parts::cancel(&self.context, &order, reason, deadline).await;
                }
                let new = Order {
                    updated_at: self.context.now(),
                    ..order.cancel(reason)?
                };
                let mut set = self.context.write_set();
                set.put(Put::root(&*order, new.clone())).event("order.cancelled");
                self.free(&order, &mut set, deadline).await?;
                match self.context.commit(set, deadline).await {
                    Ok(committed) => return written(&committed, new).map(Arc::new),
                    Err(error) if error.is(ErrorKind::TooLarge) && order.status == OrderStatus::Placed => {
                        return parts::cancel(&self.context, &order, reason, deadline).await;
                    }
                    Err(error) => attempts.after_conflict(error).await?,
                }
            }
        };
        cancel
            .await
            .map_err(|error: Error| error.operation("orders.cancel"))
    }

    /// Stages that the stock of an order becomes available.
    async fn free(&self, order: &Order, set: &mut WriteSet, deadline: Deadline) -> Result<()> {
        if order.status != OrderStatus::Pending {
            for step in stock::release(order)? {
                set.delta(Delta::Stock(step));
            }
            return Ok(());
        }
        let lines = stock::hold_lines(order);
        for payment in self.context.payments()?.for_order(order.id, deadline).await? {
            if let Some(hold) = payment.hold {
                set.delta(Delta::unhold(hold, &lines));
            }
        }
        Ok(())
    }

    /// Records that so many of these lines, by number, were sent.
    ///
    /// - From the state that was read, and never retried: a shipment that was booked meanwhile must be seen
    ///   first.
    /// - In the same commit the units leave the stock.
    ///
    /// # Errors
    /// - `InvalidInput` on `lines` for an unknown number, on `quantity` for more than is left.
    /// - `Conflict` when the order moved on, or is not placed.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the shipment booked with its stock, or not at all.
    pub async fn ship(&self, order: &Order, lines: &[(u32, Quantity)]) -> Result<Arc<Order>> {
        let ship = async {
            let new = Order {
                updated_at: self.context.now(),
                ..order.ship(lines)?
            };
            let mut set = self.context.write_set();
            set.put(Put::update(order, new.clone())).event("order.shipped");
            for step in stock::ship(order, lines)? {
                set.delta(Delta::Stock(step));
            }
            let committed = self.context.commit(set, self.context.deadline()).await?;
            written(&committed, new).map(Arc::new)
        };
        ship.await.map_err(|error: Error| error.operation("orders.ship"))
    }

    /// Closes an order that was sent as a whole.
    ///
    /// # Errors
    /// - `Conflict` when the order moved on, or something is still to be sent.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the order completed or as it was.
    pub async fn complete(&self, order: &Order) -> Result<Arc<Order>> {
        let complete = async {
            let new = Order {
                updated_at: self.context.now(),
                ..order.complete()?
            };
            let mut set = self.context.write_set();
            set.put(Put::root(order, new.clone())).event("order.completed");
            let committed = self.context.commit(set, self.context.deadline()).await?;
            written(&committed, new).map(Arc::new)
        };
        complete
            .await
            .map_err(|error: Error| error.operation("orders.complete"))
    }
}
