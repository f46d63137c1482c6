//! No unit is sold twice, whoever asks in whatever order.

use std::sync::Arc;
use std::time::Duration;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::OrderStatus;
use stockroom::Place;
use stockroom::testkit::engines;

use crate::support::Ground;
use crate::support::key;
use crate::support::on;
use crate::support::share;

on!([memory file postgres dynamodb]
    a_thousand_units_are_sold_exactly
    two_skus_in_opposite_order_never_get_in_each_others_way
    held_units_go_to_the_order_that_has_the_hold
);
on!([file postgres dynamodb] two_shops_on_one_database_sell_exactly);

async fn a_thousand_units_are_sold_exactly(ground: Ground) {
    let shop = ground.open().await;
    let soak = engines::setting("STOCKROOM_SOAK").as_deref() == Some("1");
    let (units, attempts) = if ground.is_far() && !soak {
        (200, 1_000)
    } else {
        (1_000, 5_000)
    };
    let units_in_all = i64::try_from(units).unwrap();
    shop.stock("MUG", units_in_all).await;
    let seller = shop.clone();
    // Quoted while there is stock: every attempt meets the guard in the commit, none is turned away before.
    let quotes = share(64, attempts, move |_| {
        let shop = seller.clone();
        async move {
            let cart = shop.cart(&[("MUG", 1)]).await;
            shop.checkout().quote(cart).await.unwrap()
        }
    });
    let quotes = Arc::new(quotes.await);
    let seller = shop.clone();
    let outcomes = share(64, attempts, move |number| {
        let (shop, quotes) = (seller.clone(), Arc::clone(&quotes));
        let place = Place::quote(quotes[number].clone()).key(key(format!("order-{number}")));
        async move { shop.checkout().place(place).await }
    });
    let (sold, refused): (Vec<_>, Vec<_>) = outcomes.await.into_iter().partition(Result::is_ok);
    for error in refused.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}");
        assert_eq!(error.shortages()[0].sku, "MUG");
    }
    assert_eq!((sold.len(), refused.len()), (units, attempts - units));
    let level = shop.level("MUG").await;
    assert_eq!(
        (level.on_hand, level.allocated, level.held, level.available()),
        (units_in_all, units_in_all, 0, 0)
    );
    let orders = shop.every_order().await;
    assert_eq!(
        orders
            .iter()
            .filter(|order| order.status == OrderStatus::Placed)
            .count(),
        units
    );
    assert_eq!(orders.len(), units);
    shop.assert_sound().await;
}

async fn two_skus_in_opposite_order_never_get_in_each_others_way(ground: Ground) {
    let shops = ground.open_two().await;
    let orders: usize = if ground.is_far() { 200 } else { 1_000 };
    let units = i64::try_from(orders).unwrap();
    shops[0].stock("MUG-A", units).await;
    shops[0].stock("MUG-B", units).await;
    let sellers = shops.clone();
    let outcomes = share(32, orders, move |number| {
        let shop = sellers[number % 2].clone();
        async move {
            let lines = if number / 2 % 2 == 0 {
                [("MUG-A", 1), ("MUG-B", 1)]
            } else {
                [("MUG-B", 1), ("MUG-A", 1)]
            };
            let cart = shop.try_cart(&lines).await?;
            shop.checkout()
                .place(Place::cart(cart).key(key(format!("order-{number}"))))
                .await
        }
    });
    let errors: Vec<Error> = outcomes.await.into_iter().filter_map(Result::err).collect();
    assert!(
        errors.is_empty(),
        "{} of {orders} failed, such as {:?}",
        errors.len(),
        errors[0]
    );
    for sku in ["MUG-A", "MUG-B"] {
        let level = shops[1].level(sku).await;
        assert_eq!((level.allocated, level.available()), (units, 0));
    }
    shops[0].assert_sound().await;
}

async fn two_shops_on_one_database_sell_exactly(ground: Ground) {
    let shops = ground.open_two().await;
    let units: i64 = if ground.is_far() { 100 } else { 500 };
    let attempts = usize::try_from(units * 16 / 5).unwrap();
    shops[0].stock("MUG", units).await;
    let sellers = shops.clone();
    let outcomes = share(32, attempts, move |number| {
        let shop = sellers[number % 2].clone();
        async move {
            let cart = shop.cart(&[("MUG", 1)]).await;
            shop.checkout()
                .place(Place::cart(cart).key(key(format!("order-{number}"))))
                .await
        }
    });
    let mut sold = [0_i64, 0];
    for (number, outcome) in outcomes.await.into_iter().enumerate() {
        match outcome {
            Ok(_) => sold[number % 2] += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}"),
        }
    }
    println!("sold by each shop: {sold:?}");
    assert_eq!(sold[0] + sold[1], units);
    let level = shops[1].level("MUG").await;
    assert_eq!((level.allocated, level.available()), (units, 0));
    shops[0].assert_sound().await;
}

async fn held_units_go_to_the_order_that_has_the_hold(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 3).await;
    let (cart, other) = (shop.cart(&[("MUG", 3)]).await, shop.cart(&[("MUG", 1)]).await);
    let early = shop.checkout().quote(other).await.unwrap();
    let quote = shop.checkout().quote(cart).await.unwrap();
    let hold = shop
        .checkout()
        .hold(&quote, Duration::from_secs(600))
        .await
        .unwrap();
    assert_eq!(
        shop.checkout().quote(other).await.unwrap_err().kind(),
        ErrorKind::InsufficientStock
    );
    let error = shop
        .checkout()
        .place(Place::quote(early).key(key("other")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.shortages()[0].available),
        (ErrorKind::InsufficientStock, 0)
    );
    // Without the hold, its own units stand in its way.
    let without = Place::quote(quote.clone()).key(key("without"));
    assert_eq!(
        shop.checkout().place(without).await.unwrap_err().kind(),
        ErrorKind::InsufficientStock
    );
    let with = Place::quote(quote).hold(hold.clone()).key(key("with"));
    let placed = shop.checkout().place(with).await.unwrap();
    assert_eq!(placed.order.lines[0].quantity.get(), 3);
    assert_eq!(shop.inventory().hold_status(hold.id).await.unwrap(), None);
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held, level.available()), (3, 0, 0));
    // Releasing what was used up changes nothing.
    shop.checkout().release(hold.id).await.unwrap();
    assert_eq!(shop.level("MUG").await, level);
    shop.assert_sound().await;
}
