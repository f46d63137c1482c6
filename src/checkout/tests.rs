//! The flow on the embedded store: what one caller sees, and what several callers of one key see.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Charge;
use super::Due;
use super::Paid;
use super::Pay;
use super::Place;
use crate::backend::SqliteOptions;
use crate::backend::SqliteStore;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Retry;
use crate::model::CancelReason;
use crate::model::Cart;
use crate::model::CartStatus;
use crate::model::Currency;
use crate::model::IdempotencyKey;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::NewProduct;
use crate::model::OrderStatus;
use crate::model::Owner;
use crate::model::PaymentFact;
use crate::model::PaymentStatus;
use crate::model::Price;
use crate::model::Provider;
use crate::model::Reference;
use crate::model::Sku;
use crate::model::TaxRate;
use crate::model::Variant;
use crate::repository::Recorded;
use crate::shop::Stockroom;
use crate::spi::store::Store;

struct Bench {
    shop: Stockroom,
    store: Arc<SqliteStore>,
}

/// A shop with ten mugs at 9.00, and taxed cups at two places.
async fn bench() -> Bench {
    let store = Arc::new(
        SqliteStore::open(SqliteOptions::new("sqlite::memory:"))
            .await
            .unwrap(),
    );
    let shared: Arc<dyn Store> = store.clone();
    let shop = Stockroom::builder().store_arc(shared).open().await.unwrap();
    let cup = Variant::new(Sku::new("CUP").unwrap(), usd(3_33))
        .price(Price::new(usd(3_00)).at_least(5))
        .tax(TaxRate::basis_points(7_00).unwrap());
    shop.products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9_00)))
        .await
        .unwrap();
    shop.products()
        .create(NewProduct::new("Cup").variant_with(cup))
        .await
        .unwrap();
    shop.inventory()
        .receive("MUG", &place("berlin"), 10)
        .await
        .unwrap();
    shop.inventory()
        .receive("CUP", &place("berlin"), 4)
        .await
        .unwrap();
    shop.inventory().receive("CUP", &place("paris"), 3).await.unwrap();
    Bench { shop, store }
}

impl Bench {
    async fn cart(&self, lines: &[(&str, i64)]) -> Arc<Cart> {
        let cart = self.shop.carts().create(Owner::Guest).await.unwrap();
        for (sku, quantity) in lines {
            self.shop.carts().add(cart.id, *sku, *quantity).await.unwrap();
        }
        self.shop.carts().require(cart.id).await.unwrap()
    }

    async fn available(&self, sku: &str) -> i64 {
        self.shop
            .inventory()
            .levels(sku)
            .await
            .unwrap()
            .iter()
            .map(|level| level.available())
            .sum()
    }

    async fn is_consistent(&self) -> bool {
        self.shop
            .inventory()
            .verify_ledger()
            .await
            .unwrap()
            .is_consistent()
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

fn place(name: &str) -> LocationId {
    LocationId::new(name).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

async fn captures(due: Due) -> Result<Charge, Error> {
    Ok(Charge::captured(Reference::new(due.provider_key)?))
}

async fn declines(_: Due) -> Result<Charge, Error> {
    Ok(Charge::declined("no funds"))
}

async fn fails(_: Due) -> Result<Charge, Error> {
    Err(Error::new(ErrorKind::Unavailable, "no answer"))
}

#[tokio::test]
async fn a_quote_prices_by_quantity_and_splits_what_no_place_has() {
    let bench = bench().await;
    let cart = bench.cart(&[("CUP", 6), ("MUG", 1)]).await;
    let quote = bench.shop.checkout().quote(cart.id).await.unwrap();
    assert_eq!(quote.subtotal, usd(27_00));
    assert_eq!(quote.tax, usd(1_26));
    assert_eq!(quote.lines.len(), 3);
    let parts: Vec<_> = quote
        .lines
        .iter()
        .map(|line| (line.location.as_str(), line.quantity.get()))
        .collect();
    assert_eq!(parts, [("berlin", 4), ("paris", 2), ("berlin", 1)]);
}

#[tokio::test]
async fn a_quote_refuses_what_cannot_be_ordered() {
    let bench = bench().await;
    let quote = async |lines: &[(&str, i64)]| {
        let cart = bench.cart(lines).await;
        bench.shop.checkout().quote(cart.id).await.unwrap_err()
    };
    assert_eq!(quote(&[]).await.invalid_field(), Some("cart"));
    assert!(quote(&[("NONE", 1)]).await.is(ErrorKind::NotFound));
    let short = quote(&[("CUP", 8), ("MUG", 11)]).await;
    assert!(short.is(ErrorKind::InsufficientStock));
    assert_eq!(short.shortages().len(), 2);
    let cart = bench
        .shop
        .carts()
        .create_in(Owner::Guest, Currency::EUR)
        .await
        .unwrap();
    bench.shop.carts().add(cart.id, "MUG", 1).await.unwrap();
    let error = bench.shop.checkout().quote(cart.id).await.unwrap_err();
    assert_eq!(
        (error.invalid_field(), error.subject()),
        (Some("currency"), Some("SKU MUG"))
    );
}

#[tokio::test]
async fn placing_again_gives_the_same_order() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 3)]).await;
    let checkout = bench.shop.checkout();
    let quote = checkout.quote(cart.id).await.unwrap();
    let placed = checkout
        .place(Place::quote(quote.clone()).key(key("a")))
        .await
        .unwrap();
    let again = checkout
        .place(Place::quote(quote.clone()).key(key("a")))
        .await
        .unwrap();
    assert!(!placed.replayed && again.replayed);
    assert_eq!(placed.order, again.order);
    assert_eq!(bench.available("MUG").await, 7);
    let other = checkout
        .place(Place::quote(quote.clone()).email("a@b").key(key("a")))
        .await
        .unwrap_err();
    assert!(other.is(ErrorKind::KeyReused));
    let second = checkout
        .place(Place::quote(quote).key(key("b")))
        .await
        .unwrap_err();
    assert!(second.is(ErrorKind::Conflict), "{second}");
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn placing_a_cart_again_gives_the_same_order_although_it_is_closed() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 10)]).await;
    let order = || Place::cart(cart.id).key(key("a"));
    let placed = bench.shop.checkout().place(order()).await.unwrap();
    let again = bench.shop.checkout().place(order()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(placed.order.id, again.order.id);
    let reused = bench
        .shop
        .checkout()
        .place(Place::cart(cart.id).email("a@b").key(key("a")))
        .await
        .unwrap_err();
    assert!(reused.is(ErrorKind::KeyReused));
}

#[tokio::test]
async fn a_quote_that_ran_short_is_served_from_elsewhere() {
    let bench = bench().await;
    let cart = bench.cart(&[("CUP", 2)]).await;
    let quote = bench.shop.checkout().quote(cart.id).await.unwrap();
    bench
        .shop
        .inventory()
        .adjust("CUP", &place("berlin"), -3, "broken")
        .await
        .unwrap();
    let placed = bench
        .shop
        .checkout()
        .place(Place::quote(quote.clone()).key(key("a")))
        .await
        .unwrap();
    assert_eq!(placed.order.lines[0].location.as_str(), "paris");
    assert_eq!(placed.order.total, quote.total);
}

#[tokio::test]
async fn a_hold_is_used_up_by_its_order() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 10)]).await;
    let checkout = bench.shop.checkout();
    let quote = checkout.quote(cart.id).await.unwrap();
    let hold = checkout.hold(&quote, Duration::from_secs(60)).await.unwrap();
    assert_eq!(bench.available("MUG").await, 0);
    let without = checkout
        .place(Place::cart(cart.id).key(key("a")))
        .await
        .unwrap_err();
    assert!(without.is(ErrorKind::InsufficientStock));
    checkout
        .place(Place::cart(cart.id).hold(hold.clone()).key(key("b")))
        .await
        .unwrap();
    assert_eq!(bench.shop.inventory().hold_status(hold.id).await.unwrap(), None);
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn a_captured_payment_places_the_order_and_closes_the_cart() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let pay = || Pay::cart(cart.id).key(key("a"));
    let paid = bench.shop.checkout().pay(pay(), captures).await.unwrap();
    assert!(matches!(paid, Paid::Order { replayed: false, .. }));
    let order = bench.shop.orders().require(paid.order().id).await.unwrap();
    assert_eq!(order, *paid.order());
    assert_eq!(
        (order.status, order.payment_status()),
        (OrderStatus::Placed, PaymentStatus::Paid)
    );
    assert_eq!(
        bench.shop.carts().require(cart.id).await.unwrap().status,
        CartStatus::Ordered
    );
    assert_eq!(bench.available("MUG").await, 8);
    let again = bench.shop.checkout().pay(pay(), fails).await.unwrap();
    assert!(again.replayed());
    assert_eq!(again.order().id, order.id);
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn a_declined_payment_leaves_stock_and_cart_as_they_were() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), declines)
        .await
        .unwrap();
    let Paid::Declined { order, reason, .. } = paid else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (order.cancel_reason, reason.as_str()),
        (Some(CancelReason::PaymentDeclined), "no funds")
    );
    assert_eq!(bench.available("MUG").await, 10);
    let again = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), captures)
        .await
        .unwrap();
    assert!(matches!(again, Paid::Declined { replayed: true, .. }));
    let other = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("b")), captures)
        .await
        .unwrap();
    assert!(matches!(other, Paid::Order { .. }));
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn a_failed_call_is_resumed_with_the_same_provider_key() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let error = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), fails)
        .await
        .unwrap_err();
    assert!(error.is(ErrorKind::Unavailable));
    assert_eq!(error.retry_class(), Retry::SameKey);
    assert_eq!(bench.available("MUG").await, 8);
    let attempts = AtomicUsize::new(0);
    let charge = |due: Due| {
        assert!(due.attempt > 1);
        attempts.fetch_add(1, Ordering::SeqCst);
        captures(due)
    };
    let paid = bench.shop.checkout().resume(&key("a"), charge).await.unwrap();
    assert!(matches!(paid, Paid::Order { replayed: false, .. }));
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    let unknown = bench
        .shop
        .checkout()
        .resume(&key("b"), captures)
        .await
        .unwrap_err();
    assert!(unknown.is(ErrorKind::NotFound));
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn many_callers_of_one_key_ask_the_provider_once() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 10)]).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let tasks = (0..16).map(|_| {
        let (shop, calls, cart) = (bench.shop.clone(), calls.clone(), cart.id);
        tokio::spawn(async move {
            let charge = |due: Due| {
                calls.fetch_add(1, Ordering::SeqCst);
                captures(due)
            };
            shop.checkout().pay(Pay::cart(cart).key(key("a")), charge).await
        })
    });
    let mut orders = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        orders.push(task.await.unwrap().unwrap().order().id);
    }
    orders.dedup();
    assert_eq!(orders.len(), 1);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_hold_that_ended_during_the_payment_may_leave_the_order_short() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 8)]).await;
    let charge = async |due: Due| {
        bench.store.shift_clock(Duration::from_secs(3_600));
        let other = bench.cart(&[("MUG", 5)]).await;
        bench
            .shop
            .checkout()
            .place(Place::cart(other.id).key(key("other")))
            .await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    let Paid::Short {
        order,
        refund,
        shortages,
        ..
    } = paid
    else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (refund, order.payment_status()),
        (usd(72_00), PaymentStatus::RefundDue)
    );
    assert_eq!((shortages[0].requested, shortages[0].available), (8, 5));
    assert_eq!(bench.available("MUG").await, 5);
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn an_order_that_was_cancelled_during_the_payment_is_due_back() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 8)]).await;
    let charge = async |due: Due| {
        bench
            .shop
            .checkout()
            .cancel(due.order.id, CancelReason::Customer)
            .await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    let Paid::Cancelled { order, refund, .. } = paid else {
        panic!("{paid:?}")
    };
    assert_eq!(
        (refund, order.cancel_reason),
        (usd(72_00), Some(CancelReason::Customer))
    );
    assert_eq!(bench.available("MUG").await, 10);
    assert!(bench.is_consistent().await);
}

#[tokio::test]
async fn lines_added_during_the_payment_stay_in_an_open_cart() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 2)]).await;
    let charge = async |due: Due| {
        bench.shop.carts().add(cart.id, "MUG", 1).await?;
        bench.shop.carts().add(cart.id, "CUP", 1).await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    assert_eq!(paid.order().lines[0].quantity.get(), 2);
    let left = bench.shop.carts().require(cart.id).await.unwrap();
    let mut lines: Vec<_> = left
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity.get()))
        .collect();
    lines.sort();
    assert_eq!(
        (left.status, lines),
        (CartStatus::Open, vec![("CUP", 1), ("MUG", 1)])
    );
}

#[tokio::test]
async fn a_webhook_and_the_callback_count_one_charge_once() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    let fact = |event: &str| {
        PaymentFact::captured(
            Provider::new("default").unwrap(),
            Reference::new(event).unwrap(),
            usd(9_00),
        )
    };
    let charge = async |due: Due| {
        bench
            .shop
            .payments()
            .record_for_order(due.order.id, fact("evt_1"))
            .await?;
        captures(due).await
    };
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
    let order = paid.order();
    assert!(matches!(paid, Paid::Order { .. }));
    assert_eq!(order.paid.captured, 9_00);
    for event in ["evt_1", "evt_2", "evt_2"] {
        let recorded = bench
            .shop
            .payments()
            .record_for_order(order.id, fact(event))
            .await
            .unwrap();
        assert_eq!(recorded, Recorded::Repeated);
    }
    let order = bench.shop.orders().require(order.id).await.unwrap();
    assert_eq!(
        (order.paid.captured, order.payment_status()),
        (9_00, PaymentStatus::Paid)
    );
}

#[tokio::test]
async fn captured_after_a_cancel_is_due_back() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    let authorizes = async |due: Due| Ok::<_, Error>(Charge::authorized(Reference::new(due.provider_key)?));
    let paid = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), authorizes)
        .await
        .unwrap();
    assert_eq!(paid.order().payment_status(), PaymentStatus::Authorized);
    bench
        .shop
        .orders()
        .cancel(paid.order().id, CancelReason::Customer)
        .await
        .unwrap();
    let payment = bench.shop.payments().for_order(paid.order().id).await.unwrap();
    let event = Reference::new("evt").unwrap();
    let fact = PaymentFact::captured(Provider::new("default").unwrap(), event, usd(9_00));
    bench.shop.payments().record(payment[0].id, fact).await.unwrap();
    let order = bench.shop.orders().require(paid.order().id).await.unwrap();
    assert_eq!(order.refund_due(), usd(9_00));
    assert_eq!(bench.available("MUG").await, 10);
}

#[tokio::test]
async fn another_payment_of_the_same_cart_is_refused_while_one_is_under_way() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), fails)
        .await
        .unwrap_err();
    let second = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("b")), captures)
        .await
        .unwrap_err();
    assert!(second.is(ErrorKind::AlreadyExists), "{second}");
    let order = second.existing_id().unwrap().into();
    bench
        .shop
        .checkout()
        .cancel(order, CancelReason::Expired)
        .await
        .unwrap();
    let third = bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("c")), captures)
        .await
        .unwrap();
    assert!(matches!(third, Paid::Order { .. }));
}

#[tokio::test]
async fn waiting_for_another_caller_ends_with_the_deadline() {
    let bench = bench().await;
    let cart = bench.cart(&[("MUG", 1)]).await;
    let impatient = bench.shop.with_deadline(Duration::from_millis(50));
    let charge = async |due: Due| {
        let error = impatient
            .checkout()
            .resume(&key("a"), captures)
            .await
            .unwrap_err();
        assert!(error.is(ErrorKind::InFlight));
        captures(due).await
    };
    bench
        .shop
        .checkout()
        .pay(Pay::cart(cart.id).key(key("a")), charge)
        .await
        .unwrap();
}
