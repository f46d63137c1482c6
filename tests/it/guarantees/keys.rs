//! One order comes of a key, however often and by whomever it is used.

use std::collections::BTreeSet;

use stockroom::Actor;
use stockroom::ErrorKind;
use stockroom::Place;
use stockroom::UserId;

use crate::support::Ground;
use crate::support::crowd;
use crate::support::key;
use crate::support::on;

on!([memory file postgres dynamodb]
    thirty_two_callers_with_one_key_get_one_order
    the_same_key_with_another_request_is_refused
    a_repetition_is_answered_after_the_stock_is_gone
    the_same_key_of_another_actor_is_another_key
);

async fn thirty_two_callers_with_one_key_get_one_order(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG", 1_000).await;
    let cart = shops[0].cart(&[("MUG", 3)]).await;
    let callers = shops.clone();
    let placed = crowd(32, move |number| {
        let shop = callers[number % 2].clone();
        async move {
            shop.checkout()
                .place(Place::cart(cart).key(key("once")))
                .await
                .unwrap()
        }
    });
    let placed = placed.await;
    let ids: BTreeSet<_> = placed.iter().map(|placed| placed.order.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(placed.iter().filter(|placed| placed.replayed).count(), 31);
    assert_eq!(shops[0].every_order().await.len(), 1);
    assert_eq!(shops[0].level("MUG").await.allocated, 3);
    shops[0].assert_sound().await;
}

async fn the_same_key_with_another_request_is_refused(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let (cart, other) = (shop.cart(&[("MUG", 1)]).await, shop.cart(&[("MUG", 1)]).await);
    let first = shop
        .checkout()
        .place(Place::cart(cart).key(key("once")))
        .await
        .unwrap();
    let bodies = [
        Place::cart(other).key(key("once")),
        Place::cart(cart).email("ada@example.com").key(key("once")),
        Place::cart(cart).customer(UserId::new()).key(key("once")),
        Place::quote(shop.checkout().quote(other).await.unwrap()).key(key("once")),
    ];
    for body in bodies {
        let error = shop.checkout().place(body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyReused, "{error:?}");
    }
    assert_eq!(shop.every_order().await.len(), 1);
    assert_eq!(shop.level("MUG").await.allocated, 1);
    let again = shop
        .checkout()
        .place(Place::cart(cart).key(key("once")))
        .await
        .unwrap();
    assert_eq!((again.order.id, again.replayed), (first.order.id, true));
}

async fn a_repetition_is_answered_after_the_stock_is_gone(ground: Ground) {
    let shop = ground.open().await;
    let mug = shop.stock("MUG", 1).await;
    let cart = shop.cart(&[("MUG", 1)]).await;
    let quote = shop.checkout().quote(cart).await.unwrap();
    let first = shop
        .checkout()
        .place(Place::quote(quote.clone()).key(key("once")))
        .await
        .unwrap();
    shop.products().delete(&mug).await.unwrap();
    let again = shop
        .checkout()
        .place(Place::quote(quote).key(key("once")))
        .await
        .unwrap();
    assert_eq!((again.order.id, again.replayed), (first.order.id, true));
    assert_eq!(again.order.lines, first.order.lines);
}

async fn the_same_key_of_another_actor_is_another_key(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let mut ids = BTreeSet::new();
    for user in [UserId::new(), UserId::new()] {
        let cart = shop.cart(&[("MUG", 1)]).await;
        let theirs = shop.acting(Actor::user(user));
        let placed = theirs
            .checkout()
            .place(Place::cart(cart).key(key("once")))
            .await
            .unwrap();
        assert!(!placed.replayed);
        ids.insert(placed.order.id);
    }
    assert_eq!(ids.len(), 2);
}
