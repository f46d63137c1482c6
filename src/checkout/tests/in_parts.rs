//! What an order in parts does that no caller of the shop can force.

use super::bench;
use super::key;
use crate::checkout::Place;
use crate::model::CancelReason;
use crate::model::OrderStatus;
use crate::transaction::parts;

#[tokio::test]
async fn an_order_that_was_placed_in_one_commit_is_given_back_whole_in_parts() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 3), ("CUP", 5)]).await;
    let checkout = bench.shop.checkout();
    let placed = checkout.place(Place::cart(cart.id).key(key("a"))).await.unwrap();
    assert_eq!(
        (bench.available("MUG").await, bench.available("CUP").await),
        (7, 2)
    );
    let deadline = checkout.context.deadline();
    let cancelled = parts::cancel(&checkout.context, &placed.order, CancelReason::Customer, deadline)
        .await
        .unwrap();
    assert_eq!(
        (cancelled.status, cancelled.cancel_reason),
        (OrderStatus::Cancelled, Some(CancelReason::Customer))
    );
    assert_eq!(
        (bench.available("MUG").await, bench.available("CUP").await),
        (10, 7)
    );
    // Whoever read it before it was cancelled finds out.
    let again = parts::cancel(&checkout.context, &placed.order, CancelReason::Fraud, deadline)
        .await
        .unwrap();
    assert_eq!(again, cancelled);
    assert!(bench.is_consistent().await);
}
