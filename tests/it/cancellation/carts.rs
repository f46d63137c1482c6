//! Carts.

use stockroom::ErrorKind;
use stockroom::LineKey;
use stockroom::Options;
use stockroom::Owner;
use stockroom::UserId;

use super::Fate;
use super::drop_everywhere;
use super::settled;
use crate::support::Ground;
use crate::support::on;
use crate::support::sku;

on!([memory file postgres dynamodb]
    a_dropped_create_of_a_cart_is_whole_or_absent
    a_dropped_add_counts_once_or_not
);
on!([memory file postgres]
    a_dropped_set_quantity_sets_or_does_not
    a_dropped_remove_removes_or_does_not
    a_dropped_abandon_closes_or_does_not
);

async fn a_dropped_create_of_a_cart_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    drop_everywhere(&ground, &shop, async |_, cut| {
        let user = UserId::new();
        let ended = cut.drops(shop.carts().create(Owner::User(user))).await;
        settled(&shop).await;
        let found = shop.carts().active(user).await.unwrap().map(|cart| cart.id);
        if let Some(created) = &ended {
            assert_eq!(Some(created.as_ref().unwrap().id), found);
        }
        // The user's key belongs to the cart, if there is one, and to nobody else.
        match (shop.carts().create(Owner::User(user)).await, found) {
            (Ok(_), None) => {}
            (Err(error), Some(cart)) => {
                assert_eq!(
                    (error.kind(), error.existing_id()),
                    (ErrorKind::AlreadyExists, Some(cart.uuid()))
                );
            }
            (created, found) => panic!("{created:?} while {found:?}"),
        }
        Fate::of(ended.is_some(), found.is_some())
    })
    .await;
}

async fn a_dropped_add_counts_once_or_not(ground: Ground) {
    let shop = ground.open_with(2).await;
    let cart = shop.carts().create(Owner::Guest).await.unwrap().id;
    shop.carts().add(cart, "MUG", 1).await.unwrap();
    drop_everywhere(&ground, &shop, async |_, cut| {
        let before = shop.carts().require(cart).await.unwrap();
        let ended = cut
            .drops(shop.carts().add(cart, "MUG", 2))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.carts().require(cart).await.unwrap();
        let added = after.lines[0].quantity.get() - before.lines[0].quantity.get();
        match ended {
            Some(version) => assert_eq!((added, version), (2, after.version)),
            None => assert!(added == 0 || added == 2),
        }
        assert_eq!(after.version == before.version, added == 0);
        Fate::of(ended.is_some(), added != 0)
    })
    .await;
}

async fn a_dropped_set_quantity_sets_or_does_not(ground: Ground) {
    let shop = ground.open_with(2).await;
    let cart = shop.cart(&[("MUG", 1), ("CUP", 1)]).await;
    let line = LineKey::of(&sku("MUG"), &Options::new());
    drop_everywhere(&ground, &shop, async |number, cut| {
        let wanted = i64::try_from(number).unwrap() + 1;
        let before = shop.carts().require(cart).await.unwrap();
        let ended = cut
            .drops(shop.carts().set_quantity(cart, &line, wanted))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.carts().require(cart).await.unwrap();
        assert_eq!((after.lines.len(), after.line(&line).is_some()), (2, true));
        let set = after.line(&line).unwrap().quantity.get() == wanted;
        assert_eq!(set, after.version == before.version.next());
        assert!(set || (after == before && ended.is_none()));
        Fate::of(ended.is_some(), set)
    })
    .await;
}

async fn a_dropped_remove_removes_or_does_not(ground: Ground) {
    let shop = ground.open_with(2).await;
    let line = LineKey::of(&sku("MUG"), &Options::new());
    drop_everywhere(&ground, &shop, async |_, cut| {
        let cart = shop.cart(&[("MUG", 1), ("CUP", 1)]).await;
        let ended = cut
            .drops(shop.carts().remove(cart, &line))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.carts().require(cart).await.unwrap();
        let removed = after.line(&line).is_none();
        assert_eq!(
            (after.lines.len(), after.version.get()),
            if removed { (1, 2) } else { (2, 1) }
        );
        assert!(removed || ended.is_none());
        Fate::of(ended.is_some(), removed)
    })
    .await;
}

async fn a_dropped_abandon_closes_or_does_not(ground: Ground) {
    let shop = ground.open_with(2).await;
    drop_everywhere(&ground, &shop, async |_, cut| {
        let user = UserId::new();
        let cart = shop.carts().create(Owner::User(user)).await.unwrap().id;
        let ended = cut.drops(shop.carts().abandon(cart)).await.map(Result::unwrap);
        settled(&shop).await;
        let closed = !shop.carts().require(cart).await.unwrap().is_open();
        // The user's key is free as soon as the cart is closed, and not before.
        assert_eq!(shop.carts().create(Owner::User(user)).await.is_ok(), closed);
        assert!(closed || ended.is_none());
        Fate::of(ended.is_some(), closed)
    })
    .await;
}
