//! Pages: limits, and cursors of another query or tampered with.

use stockroom::Cursor;
use stockroom::CursorValue;
use stockroom::Error;
use stockroom::OrderQuery;
use stockroom::OrderStatus;
use stockroom::Page;
use stockroom::PageRequest;
use stockroom::ProductOrder;
use stockroom::ProductQuery;
use stockroom::UserId;

use super::Furnished;
use super::invalid;
use crate::support::Ground;
use crate::support::berlin;
use crate::support::key;
use crate::support::on;

on!([file postgres dynamodb] a_cursor_of_another_list_or_a_damaged_one_is_refused);

fn one() -> PageRequest {
    PageRequest::new(1).unwrap()
}

/// Every cursor that nobody should take for one of this list.
fn damaged(good: &Cursor) -> Vec<Cursor> {
    let text = good.to_string();
    let flip = |at: usize| {
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        let mut changed = text.clone();
        changed.replace_range(at..=at, other);
        changed
    };
    let mut texts: Vec<_> = (0..text.len()).step_by(7).map(flip).collect();
    texts.extend([
        text[2..].to_owned(),
        text[..text.len() - 2].to_owned(),
        format!("{text}00"),
        "00".repeat(24),
    ]);
    let mut cursors: Vec<Cursor> = texts.into_iter().filter_map(|text| text.parse().ok()).collect();
    assert!(cursors.len() > 5);
    cursors.push(Cursor::encode([7; 8], &[CursorValue::Text("x".repeat(3_000))]));
    cursors
}

/// Demands that a list takes its own cursor and no other; gives its own.
async fn check<T>(others: &[Cursor], list: impl AsyncFn(PageRequest) -> Result<Page<T>, Error>) -> Cursor {
    let first = list(one()).await.unwrap();
    let next = first.next.expect("there is more than one");
    list(one().after(next.clone())).await.unwrap();
    for cursor in damaged(&next).iter().chain(others) {
        invalid(list(one().after(cursor.clone())).await, "after");
    }
    next
}

async fn a_cursor_of_another_list_or_a_damaged_one_is_refused(ground: Ground) {
    let furnished = Furnished::new(ground).await;
    let shop = &furnished.shop;
    for sku in ["CUP", "JUG"] {
        shop.stock(sku, 5).await;
    }
    let customer = UserId::new();
    for number in 0..2 {
        let cart = shop.cart(&[("CUP", 1)]).await;
        let place = stockroom::Place::cart(cart)
            .customer(customer)
            .key(key(format!("page-{number}")));
        shop.checkout().place(place).await.unwrap();
    }
    furnished
        .unchanged(async || {
            for bad in [0, 201, u32::MAX] {
                invalid(PageRequest::new(bad), "limit");
            }
            for bad in ["", "0", "zz", "00\0", &"0".repeat(10_000)] {
                let cursor = bad.parse::<Cursor>().and_then(|cursor| cursor.decode([0; 8]));
                invalid(cursor, "after");
            }
            let newest = ProductQuery::new();
            let by_price = ProductQuery::new().order(ProductOrder::PriceAscending);
            let in_stock = ProductQuery::new().in_stock();
            let products = shop.products();
            let mut seen = Vec::new();
            for query in [newest, by_price, in_stock] {
                seen.push(check(&seen, async |page| products.list(&query, page).await).await);
            }
            let queries = [
                OrderQuery::new(),
                OrderQuery::new().customer(customer),
                OrderQuery::new().status(OrderStatus::Placed),
            ];
            for query in queries {
                seen.push(check(&seen, async |page| shop.orders().list(&query, page).await).await);
            }
            for sku in ["MUG", "CUP"] {
                let movements = async |page| shop.inventory().movements(sku, &berlin(), page).await;
                seen.push(check(&seen, movements).await);
            }
            let orders = shop.every_order().await;
            let shipped = orders.iter().find(|order| order.paid.captured > 0).unwrap();
            check(&seen, async |page| shop.orders().history(shipped.id, page).await).await;
        })
        .await;
}
