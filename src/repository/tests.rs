//! The repositories on the embedded store.

use std::sync::Arc;
use std::time::Duration;

use super::NewCartLine;
use crate::backend::SqliteOptions;
use crate::backend::SqliteStore;
use crate::error::ErrorKind;
use crate::model::CancelReason;
use crate::model::CartStatus;
use crate::model::Currency;
use crate::model::FulfilmentStatus;
use crate::model::IdempotencyKey;
use crate::model::LineKey;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::NewProduct;
use crate::model::Options;
use crate::model::Order;
use crate::model::OrderStatus;
use crate::model::Owner;
use crate::model::PageRequest;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::UserId;
use crate::shop::Stockroom;
use crate::spi::store::Store;

async fn shop() -> Stockroom {
    Stockroom::open("sqlite::memory:").await.unwrap()
}

fn berlin() -> LocationId {
    LocationId::new("berlin").unwrap()
}

fn quantity(number: i64) -> Quantity {
    Quantity::new(number).unwrap()
}

fn product(number: usize) -> NewProduct {
    NewProduct::new(format!("Mug {number}")).variant(format!("MUG-{number}"), Money::new(1_00, Currency::USD))
}

async fn order(shop: &Stockroom, units: i64) -> Arc<Order> {
    shop.products().create(product(0)).await.unwrap();
    shop.inventory().receive("MUG-0", &berlin(), 10).await.unwrap();
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    shop.carts().add(cart.id, "MUG-0", units).await.unwrap();
    let key = IdempotencyKey::new("k").unwrap();
    shop.checkout()
        .place(crate::Place::cart(cart.id).key(key))
        .await
        .unwrap()
        .order
}

#[tokio::test]
async fn an_import_tells_the_outcome_of_each_row() {
    let shop = shop().await;
    shop.products().create(product(7)).await.unwrap();
    let mut rows: Vec<NewProduct> = (0..250).map(product).collect();
    rows[3] = NewProduct::new("");
    rows[130] = product(131);
    let outcomes = shop.products().import(rows).await;
    let refused: Vec<_> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(row, outcome)| Some((row, outcome.as_ref().err()?.kind())))
        .collect();
    assert_eq!(
        refused,
        [
            (3, ErrorKind::InvalidInput),
            (7, ErrorKind::AlreadyExists),
            (131, ErrorKind::AlreadyExists)
        ]
    );
    let created = outcomes[249].as_ref().unwrap();
    assert_eq!(
        shop.products().find_by_sku("MUG-249").await.unwrap().as_ref(),
        Some(created)
    );
}

#[tokio::test]
async fn an_expired_cart_of_a_user_does_not_stand_in_the_way() {
    let store = Arc::new(
        SqliteStore::open(SqliteOptions::new("sqlite::memory:"))
            .await
            .unwrap(),
    );
    let shared: Arc<dyn Store> = store.clone();
    let shop = Stockroom::builder()
        .store_arc(shared)
        .cart_expiry(Duration::from_secs(60))
        .open()
        .await
        .unwrap();
    let user = UserId::new();
    let first = shop.carts().create(Owner::User(user)).await.unwrap();
    let taken = shop.carts().create(Owner::User(user)).await.unwrap_err();
    assert_eq!(
        (taken.kind(), taken.existing_id()),
        (ErrorKind::AlreadyExists, Some(first.id.uuid()))
    );
    store.shift_clock(Duration::from_secs(61));
    assert_eq!(shop.carts().active(user).await.unwrap(), None);
    let second = shop.carts().create(Owner::User(user)).await.unwrap();
    assert_eq!(shop.carts().active(user).await.unwrap(), Some(second));
}

#[tokio::test]
async fn lines_are_told_apart_by_their_options() {
    let shop = shop().await;
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    let sku = Sku::new("MUG").unwrap();
    let engraved = Options::new().with("text", "Ada").unwrap();
    shop.carts().add(cart.id, &sku, 2).await.unwrap();
    let line = NewCartLine::new(sku.clone(), Quantity::ONE).options(engraved.clone());
    shop.carts().add_line(cart.id, line).await.unwrap();
    let key = LineKey::of(&sku, &engraved);
    let cart = shop.carts().set_quantity(cart.id, &key, 5).await.unwrap();
    assert_eq!(cart, shop.carts().require(cart.id).await.unwrap());
    assert_eq!(cart.line(&key).unwrap().quantity.get(), 5);
    let cart = shop.carts().remove(cart.id, &key).await.unwrap();
    assert_eq!(cart.lines.len(), 1);
    assert!(
        shop.carts()
            .remove(cart.id, &key)
            .await
            .unwrap_err()
            .is(ErrorKind::NotFound)
    );
    let cart = shop.carts().abandon(cart.id).await.unwrap();
    assert_eq!(cart.status, CartStatus::Abandoned);
    assert!(
        shop.carts()
            .add(cart.id, &sku, 1)
            .await
            .unwrap_err()
            .is(ErrorKind::Conflict)
    );
}

#[tokio::test]
async fn quantities_that_are_none_are_refused_by_field() {
    let shop = shop().await;
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    for bad in [0, -1, i64::MAX, i64::MIN] {
        let error = shop.carts().add(cart.id, "MUG", bad).await.unwrap_err();
        assert_eq!(error.invalid_field(), Some("quantity"));
        let error = shop.inventory().receive("MUG", &berlin(), bad).await.unwrap_err();
        assert_eq!(error.invalid_field(), Some("quantity"));
    }
    let error = shop
        .inventory()
        .adjust("MUG", &berlin(), i64::MIN, "")
        .await
        .unwrap_err();
    assert_eq!(error.invalid_field(), Some("quantity"));
    assert_eq!(
        shop.carts()
            .add(cart.id, "no sku", 1)
            .await
            .unwrap_err()
            .invalid_field(),
        Some("sku")
    );
    assert_eq!(shop.inventory().levels("MUG").await.unwrap(), []);
}

#[tokio::test]
async fn an_order_is_sent_in_parts_and_completed() {
    let shop = shop().await;
    let order = order(&shop, 4).await;
    let early = shop.orders().complete(&order).await.unwrap_err();
    assert!(early.is(ErrorKind::Conflict));
    let part = shop.orders().ship(&order, &[(1, quantity(3))]).await.unwrap();
    assert_eq!(part.fulfilment, FulfilmentStatus::Partial);
    let stale = shop.orders().ship(&order, &[(1, quantity(1))]).await.unwrap_err();
    assert!(stale.is(ErrorKind::Conflict));
    let sent = shop.orders().ship(&part, &[(1, quantity(1))]).await.unwrap();
    let done = shop.orders().complete(&sent).await.unwrap();
    assert_eq!(done, shop.orders().require(order.id).await.unwrap());
    assert_eq!(done.status, OrderStatus::Completed);
    let level = shop.inventory().level("MUG-0", &berlin()).await.unwrap().unwrap();
    assert_eq!((level.on_hand, level.allocated), (6, 0));
    let history = shop
        .orders()
        .history(order.id, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(history.items[0].events, ["order.completed"]);
    assert!(shop.inventory().verify_ledger().await.unwrap().is_consistent());
}

#[tokio::test]
async fn a_cancelled_order_gives_its_stock_back() {
    let shop = shop().await;
    let order = order(&shop, 4).await;
    let cancelled = shop
        .orders()
        .cancel(order.id, CancelReason::Merchant)
        .await
        .unwrap();
    assert_eq!(cancelled, shop.orders().require(order.id).await.unwrap());
    let level = shop.inventory().level("MUG-0", &berlin()).await.unwrap().unwrap();
    assert_eq!(level.available(), 10);
    assert!(
        shop.orders()
            .cancel(order.id, CancelReason::Merchant)
            .await
            .unwrap_err()
            .is(ErrorKind::Conflict)
    );
}

#[tokio::test]
async fn goods_can_be_sold_before_they_arrive() {
    let shop = shop().await;
    let level = shop
        .inventory()
        .set_backorder_limit("MUG", &berlin(), 5)
        .await
        .unwrap();
    assert_eq!((level.available(), level.on_hand), (5, 0));
    let level = shop
        .inventory()
        .set_backorder_limit("MUG", &berlin(), 7)
        .await
        .unwrap();
    assert_eq!(
        Some(level),
        shop.inventory().level("MUG", &berlin()).await.unwrap()
    );
    let error = shop
        .inventory()
        .set_backorder_limit("MUG", &berlin(), -1)
        .await
        .unwrap_err();
    assert_eq!(error.invalid_field(), Some("backorder_limit"));
    assert!(shop.inventory().verify_ledger().await.unwrap().is_consistent());
}

#[tokio::test]
async fn a_delivery_arrives_as_a_whole() {
    let shop = shop().await;
    let line = |sku: &str, number| (Sku::new(sku).unwrap(), quantity(number));
    shop.inventory()
        .receive_many(&berlin(), &[line("A", 1), line("B", 2), line("A", 3)])
        .await
        .unwrap();
    let skus = [Sku::new("A").unwrap(), Sku::new("B").unwrap()];
    let levels = shop.inventory().levels_many(&skus).await.unwrap();
    assert_eq!(
        levels.iter().map(|level| level.on_hand).collect::<Vec<_>>(),
        [4, 2]
    );
    let moves = shop
        .inventory()
        .movements("A", &berlin(), PageRequest::default())
        .await
        .unwrap();
    assert_eq!(moves.items.len(), 2);
}
