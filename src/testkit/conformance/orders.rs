//! Lists of orders.

use std::sync::Arc;

use super::CaseResult;
use super::Failure;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::refused;
use super::check::same;
use crate::error::ErrorKind;
use crate::model::Cursor;
use crate::model::Order;
use crate::model::OrderStatus;
use crate::model::Page;
use crate::model::PageRequest;
use crate::spi::store::OrderQuery;
use crate::testkit::fixtures;
use crate::testkit::fixtures::user;

cases! {
    "order.list": filters, [Order];
    "order.list" / "pages": pages, [Order];
    "order.list_cursor": cursor, [Order];
}

async fn page(h: &Harness, query: &OrderQuery, request: &PageRequest) -> CaseResult<Page<Arc<Order>>> {
    Ok(h.store()
        .readers()
        .order()?
        .list(query, request, h.deadline())
        .await?)
}

fn seeds_of(items: &[Arc<Order>]) -> Vec<u64> {
    let seed = |order: &Arc<Order>| (0..1_000).find(|seed| fixtures::order_id(*seed) == order.id);
    items
        .iter()
        .map(|order| seed(order).unwrap_or(u64::MAX))
        .collect()
}

async fn create(h: &Harness, seed: u64, customer: u64, status: OrderStatus) -> CaseResult {
    h.create(Order {
        customer: Some(user(customer)),
        status,
        ..fixtures::order(seed)?
    })
    .await?;
    Ok(())
}

async fn filters(h: &Harness) -> CaseResult {
    let (placed, pending, cancelled) = (OrderStatus::Placed, OrderStatus::Pending, OrderStatus::Cancelled);
    for (seed, customer, status) in [
        (4, 1, placed),
        (1, 1, placed),
        (3, 2, placed),
        (2, 1, cancelled),
        (5, 2, pending),
        (6, 1, pending),
    ] {
        create(h, seed, customer, status).await?;
    }
    h.create(fixtures::bare_order(7)?).await?;
    let query = OrderQuery::new;
    for (what, query, expected) in [
        ("all", query(), vec![7, 6, 5, 4, 3, 2, 1]),
        (
            "of the first customer",
            query().customer(user(1)),
            vec![6, 4, 2, 1],
        ),
        ("of nobody", query().customer(user(9)), vec![]),
        ("pending", query().status(pending), vec![7, 6, 5]),
        ("completed", query().status(OrderStatus::Completed), vec![]),
        (
            "placed by the first customer",
            query().customer(user(1)).status(placed),
            vec![4, 1],
        ),
    ] {
        let found = page(h, &query, &PageRequest::new(200)?).await?;
        same!(seeds_of(&found.items), expected, format!("the orders: {what}"));
        ensure!(found.next.is_none(), "the only page has a next");
    }
    let whole = page(
        h,
        &query().customer(user(2)).status(placed),
        &PageRequest::default(),
    )
    .await?;
    let expected = Order {
        customer: Some(user(2)),
        ..fixtures::order(3)?
    };
    same!(
        whole.items.first().map(|order| order.as_ref().clone()),
        Some(expected),
        "the order listed"
    );
    Ok(())
}

async fn pages(h: &Harness) -> CaseResult {
    let tied = fixtures::stamp(12)?;
    for seed in 1..=20 {
        // Six orders of one moment lie across the border of two pages.
        let placed_at = if (10..=15).contains(&seed) {
            tied
        } else {
            fixtures::stamp(seed)?
        };
        h.create(Order {
            placed_at,
            customer: Some(user(1)),
            ..fixtures::order(seed)?
        })
        .await?;
    }
    let query = OrderQuery::new().customer(user(1));
    let mut request = PageRequest::new(7)?;
    let mut found = Vec::new();
    for added in 0..10 {
        let next = page(h, &query, &request).await?;
        found.extend(seeds_of(&next.items));
        create(h, 100 + added, 1, OrderStatus::Placed).await?;
        request.after = next.next;
        if request.after.is_none() {
            break;
        }
    }
    ensure!(
        found.iter().take(5).copied().eq((16..=20).rev()),
        "the latest are not first: {found:?}"
    );
    ensure!(
        found.iter().skip(11).copied().eq((1..=9).rev()),
        "the oldest are not last: {found:?}"
    );
    found.sort_unstable();
    same!(found, (1..=20).collect::<Vec<u64>>(), "the orders over all pages");
    Ok(())
}

async fn cursor(h: &Harness) -> CaseResult {
    for seed in 1..=4 {
        create(h, seed, 1, OrderStatus::Placed).await?;
    }
    let query = OrderQuery::new().customer(user(1));
    let cursor = page(h, &query, &PageRequest::new(2)?).await?.next;
    let cursor = cursor.ok_or_else(|| Failure::new("a page of 2 of 4 orders has no next"))?;
    let list = async |query: &OrderQuery, cursor: &Cursor| -> CaseResult<_> {
        let request = PageRequest::new(2)?.after(cursor.clone());
        Ok(h.store()
            .readers()
            .order()?
            .list(query, &request, h.deadline())
            .await)
    };
    same!(
        seeds_of(&list(&query, &cursor).await??.items),
        vec![2, 1],
        "the second page"
    );
    for other in [
        OrderQuery::new(),
        query.clone().status(OrderStatus::Placed),
        OrderQuery::new().customer(user(2)),
    ] {
        let error = refused(list(&other, &cursor).await?, ErrorKind::InvalidInput)?;
        same!(error.invalid_field(), Some("after"), "the field refused");
    }
    for cursor in super::lists::damaged(&cursor) {
        let error = refused(list(&query, &cursor).await?, ErrorKind::InvalidInput)?;
        same!(error.invalid_field(), Some("after"), "the field refused");
    }
    Ok(())
}
