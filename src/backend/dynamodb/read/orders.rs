//! Orders by id, and lists of them.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::bad_cursor;
use super::in_order;
use super::list::Merge;
use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::records::order;
use crate::backend::dynamodb::tables::Index;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::Page;
use crate::model::PageRequest;
use crate::resilience::Deadline;
use crate::spi::store::OrderQuery;
use crate::spi::store::OrderReader;

#[derive(Debug)]
pub(super) struct Orders(pub(super) Arc<Wire>);

#[async_trait]
impl OrderReader for Orders {
    async fn get_many(&self, ids: &[OrderId], deadline: Deadline) -> Result<Vec<Option<Arc<Order>>>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let found = self.0.roots(Aggregate::Order, &ids, deadline).await?;
        in_order(&ids, &found, |item| order::read(item).map(Some))
    }

    async fn list(
        &self,
        query: &OrderQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Order>>> {
        let after = match page.position(query.digest())?.as_deref() {
            None => None,
            Some([CursorValue::Text(id)]) if Uuid::parse_str(id).is_ok() => Some(id.clone()),
            _ => return Err(bad_cursor()),
        };
        let wanted = page.limit() as usize + 1;
        let mut entries = Merge::new(&self.0, ranges(query), after.as_deref(), deadline);
        let mut items = Vec::new();
        while items.len() < wanted {
            let places = entries.take(wanted - items.len(), after.as_deref()).await?;
            if places.is_empty() {
                break;
            }
            let ids = places.iter().map(|id| id.parse().map_err(|_| bad_cursor()));
            let ids: Vec<OrderId> = ids.collect::<Result<_>>()?;
            let found = self.get_many(&ids, deadline).await?;
            // The index may be behind: what has moved on since is not of this list.
            items.extend(found.into_iter().flatten().filter(|order| is_of(order, query)));
        }
        Ok(Page::cut(items, page, |last| {
            Cursor::encode(query.digest(), &[CursorValue::Text(last.id.to_string())])
        }))
    }
}

fn ranges(query: &OrderQuery) -> Vec<Range> {
    let of = |index, status| Range::of_index(index, order::partition(query.customer, status)).latest_first();
    match (query.customer, query.status) {
        (Some(_), None) => vec![of(Index::Customer, None)],
        (Some(_), status) => vec![of(Index::CustomerStatus, status)],
        (None, Some(status)) => vec![of(Index::OrderStatus, Some(status))],
        (None, None) => {
            let each = OrderStatus::ALL.iter().copied().map(Some);
            each.map(|status| of(Index::OrderStatus, status)).collect()
        }
    }
}

fn is_of(order: &Order, query: &OrderQuery) -> bool {
    query.status.is_none_or(|status| order.status == status)
        && query
            .customer
            .is_none_or(|customer| order.customer == Some(customer))
}
