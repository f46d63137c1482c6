//! What may become of an order, and what it says about its payment.

use super::*;
use crate::model::{LineAmounts, LocationId, Options, ProductId, Sku, TaxRate, from_micros};

fn quantity(number: i64) -> Quantity {
    Quantity::new(number).unwrap()
}

fn line(number: u32) -> OrderLine {
    let unit_price = Money::new(100, Currency::EUR);
    let tax_rate = TaxRate::basis_points(1_000).unwrap();
    let amounts = LineAmounts::of(unit_price, quantity(2), tax_rate).unwrap();
    OrderLine {
        number,
        sku: Sku::new("MUG").unwrap(),
        product: ProductId::new(),
        title: "Mug".into(),
        options: Options::new(),
        quantity: quantity(2),
        unit_price,
        tax_rate,
        tax: amounts.tax,
        total: amounts.total,
        location: LocationId::new("berlin").unwrap(),
        shipped: 0,
    }
}

fn order(status: OrderStatus) -> Order {
    let lines = vec![line(1), line(2)];
    let totals = OrderTotals::of(Currency::EUR, &lines).unwrap();
    let now = from_micros(0).unwrap();
    Order {
        id: OrderId::new(),
        version: Version::FIRST,
        customer: None,
        cart: None,
        status,
        fulfilment: FulfilmentStatus::Unfulfilled,
        currency: Currency::EUR,
        subtotal: totals.subtotal,
        tax: totals.tax,
        total: totals.total,
        paid: Settlement::ZERO,
        ship_to: None,
        bill_to: None,
        email: Some("ada@example.com".into()),
        cancel_reason: None,
        lines,
        placed_at: now,
        updated_at: now,
    }
}

fn paid(status: OrderStatus, authorized: i64, captured: i64, refunded: i64) -> Order {
    Order {
        paid: Settlement {
            authorized,
            captured,
            refunded,
        },
        ..order(status)
    }
}

#[test]
fn each_transition_starts_from_its_own_states() {
    use OrderStatus::{Cancelled, Completed, Pending, Placed};
    let all = vec![(1, quantity(2)), (2, quantity(2))];
    for (status, confirm, cancel, ship) in [
        (Pending, true, true, false),
        (Placed, false, true, true),
        (Completed, false, false, false),
        (Cancelled, false, false, false),
    ] {
        let order = order(status);
        assert_eq!(order.confirm().is_ok(), confirm, "{status}");
        assert_eq!(order.cancel(CancelReason::Customer).is_ok(), cancel, "{status}");
        assert_eq!(order.ship(&all).is_ok(), ship, "{status}");
        assert!(order.complete().is_err(), "{status}");
    }
}

#[test]
fn a_refusal_names_the_order_and_its_version() {
    let order = order(OrderStatus::Cancelled);
    let error = order.confirm().unwrap_err();
    assert!(error.is(ErrorKind::Conflict));
    assert_eq!(error.subject(), Some(format!("order {}", order.id).as_str()));
    assert_eq!(error.found_version(), Some(1));
}

#[test]
fn an_order_is_sent_in_parts_and_then_completed() {
    let part = order(OrderStatus::Placed)
        .ship(&[(1, quantity(1)), (1, quantity(1))])
        .unwrap();
    assert_eq!(part.fulfilment, FulfilmentStatus::Partial);
    assert!(
        part.cancel(CancelReason::Merchant)
            .unwrap_err()
            .is(ErrorKind::Conflict)
    );
    assert!(part.complete().unwrap_err().is(ErrorKind::Conflict));
    let whole = part.ship(&[(2, quantity(2))]).unwrap();
    assert_eq!(whole.fulfilment, FulfilmentStatus::Fulfilled);
    assert!(
        whole
            .ship(&[(2, quantity(1))])
            .unwrap_err()
            .is(ErrorKind::Conflict)
    );
    assert_eq!(whole.complete().unwrap().status, OrderStatus::Completed);
}

#[test]
fn more_than_was_bought_cannot_be_sent() {
    let order = order(OrderStatus::Placed);
    let field = |lines: &[(u32, Quantity)]| order.ship(lines).unwrap_err().invalid_field();
    assert_eq!(field(&[(1, quantity(3))]), Some("quantity"));
    assert_eq!(field(&[(1, quantity(2)), (1, quantity(1))]), Some("quantity"));
    assert_eq!(field(&[(7, quantity(1))]), Some("lines"));
    assert_eq!(field(&[]), Some("lines"));
}

#[test]
fn cancelling_keeps_the_reason() {
    let cancelled = order(OrderStatus::Pending).cancel(CancelReason::Expired).unwrap();
    assert_eq!(
        (cancelled.status, cancelled.cancel_reason),
        (OrderStatus::Cancelled, Some(CancelReason::Expired))
    );
}

#[test]
fn stock_that_moves_in_several_commits_has_states_of_its_own() {
    let placed = order(OrderStatus::Allocating).allocated().unwrap();
    assert_eq!(placed.status, OrderStatus::Placed);
    for begun in [order(OrderStatus::Allocating), placed] {
        let releasing = begun.releasing(CancelReason::Customer).unwrap();
        assert_eq!(releasing.status, OrderStatus::Releasing);
        let cancelled = releasing.released().unwrap();
        assert_eq!(
            (cancelled.status, cancelled.cancel_reason),
            (OrderStatus::Cancelled, Some(CancelReason::Customer))
        );
    }
    for moving in [OrderStatus::Allocating, OrderStatus::Releasing] {
        let error = order(moving).cancel(CancelReason::Customer).unwrap_err();
        assert!(error.is(ErrorKind::Conflict), "{moving}");
    }
    assert!(order(OrderStatus::Pending).allocated().is_err());
    assert!(order(OrderStatus::Releasing).allocated().is_err());
    assert!(
        order(OrderStatus::Pending)
            .releasing(CancelReason::Customer)
            .is_err()
    );
    assert!(order(OrderStatus::Placed).released().is_err());
}

#[test]
fn the_payment_status_follows_the_settlement() {
    use PaymentStatus::{Authorized, Paid, PartiallyPaid, PartiallyRefunded, RefundDue, Refunded, Unpaid};
    for (authorized, captured, refunded, expected) in [
        (0, 0, 0, Unpaid),
        (440, 0, 0, Authorized),
        (440, 100, 0, PartiallyPaid),
        (440, 440, 0, Paid),
        (440, 440, 40, PartiallyRefunded),
        (440, 440, 440, Refunded),
        (440, 441, 0, RefundDue),
        (440, 880, 440, PartiallyRefunded),
    ] {
        let order = paid(OrderStatus::Placed, authorized, captured, refunded);
        assert_eq!(order.payment_status(), expected, "{captured} {refunded}");
    }
}

#[test]
fn a_cancelled_order_owes_everything_back() {
    let order = paid(OrderStatus::Cancelled, 440, 440, 40);
    assert_eq!(order.refund_due(), Money::new(400, Currency::EUR));
    assert_eq!(order.payment_status(), PaymentStatus::RefundDue);
    assert_eq!(
        paid(OrderStatus::Cancelled, 440, 440, 440).payment_status(),
        PaymentStatus::Refunded
    );
    assert_eq!(
        paid(OrderStatus::Cancelled, 0, 0, 0).payment_status(),
        PaymentStatus::Unpaid
    );
    assert!(paid(OrderStatus::Placed, 440, 440, 0).refund_due().is_zero());
}

#[test]
fn an_order_that_costs_nothing_is_paid() {
    let free = Order {
        total: Money::zero(Currency::EUR),
        ..order(OrderStatus::Placed)
    };
    assert_eq!(free.payment_status(), PaymentStatus::Paid);
}

#[test]
fn totals_that_are_not_the_sum_are_refused() {
    let mut order = order(OrderStatus::Placed);
    order.validate().unwrap();
    order.total = Money::new(1, Currency::EUR);
    assert_eq!(order.validate().unwrap_err().invalid_field(), Some("total"));
}

#[test]
fn wrong_lines_and_emails_are_refused() {
    let whole = order(OrderStatus::Placed);
    for email in ["", "ada", "@b", "a@", "a\0@b", "a\n@b"] {
        let order = Order {
            email: Some(email.into()),
            ..whole.clone()
        };
        assert_eq!(
            order.validate().unwrap_err().invalid_field(),
            Some("email"),
            "{email:?}"
        );
    }
    let order = Order {
        lines: vec![],
        ..whole
    };
    assert_eq!(order.validate().unwrap_err().invalid_field(), Some("lines"));
}

#[test]
fn debug_shows_no_personal_data() {
    let ship_to = Address::new("Ada", "Square 12", "London", "SW1Y", "GB").unwrap();
    let text = format!(
        "{:?}",
        Order {
            ship_to: Some(ship_to),
            ..order(OrderStatus::Placed)
        }
    );
    for secret in ["ada@", "Ada", "London"] {
        assert!(!text.contains(secret), "{text}");
    }
}
