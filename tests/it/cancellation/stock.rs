//! Stock, holds and shipments.

use std::time::Duration;

use stockroom::HoldLine;
use stockroom::PageRequest;
use stockroom::Place;

use super::Fate;
use super::drop_everywhere;
use super::settled;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([memory file postgres dynamodb]
    a_dropped_receipt_is_whole_or_absent
    a_dropped_hold_is_whole_or_absent
    a_dropped_shipment_is_whole_or_absent
);
on!([memory file postgres]
    a_dropped_delivery_is_whole_or_absent
    a_dropped_adjustment_is_whole_or_absent
    a_dropped_backorder_limit_is_set_or_not
    a_dropped_release_frees_all_or_nothing
);

const HOLD: Duration = Duration::from_secs(600);

/// How many movements the level of a SKU has.
async fn movements(shop: &Shop, sku: &str) -> usize {
    let page = shop
        .inventory()
        .movements(sku, &berlin(), PageRequest::new(200).unwrap())
        .await
        .unwrap();
    assert!(page.next.is_none());
    page.items.len()
}

async fn a_dropped_receipt_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    shop.stock("MUG", 1).await;
    drop_everywhere(&ground, &shop, async |_, cut| {
        let before = shop.level("MUG").await;
        let ended = cut
            .drops(shop.inventory().receive("MUG", &berlin(), 3))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.level("MUG").await;
        let moved = after.on_hand - before.on_hand;
        assert!(moved == 3 || (moved == 0 && ended.is_none()), "{moved}");
        assert_eq!(after.version == before.version, moved == 0);
        assert_eq!(
            movements(&shop, "MUG").await,
            usize::try_from((after.on_hand - 1) / 3 + 1).unwrap()
        );
        Fate::of(ended.is_some(), moved == 3)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_adjustment_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    shop.stock("MUG", 10_000).await;
    drop_everywhere(&ground, &shop, async |_, cut| {
        let before = shop.level("MUG").await.on_hand;
        let ended = cut
            .drops(shop.inventory().adjust("MUG", &berlin(), -2, "broken"))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.level("MUG").await.on_hand;
        assert!(after == before - 2 || (after == before && ended.is_none()));
        assert_eq!(
            movements(&shop, "MUG").await,
            usize::try_from((10_000 - after) / 2 + 1).unwrap()
        );
        Fate::of(ended.is_some(), after < before)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_delivery_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    let delivery = [(sku("MUG"), units(2)), (sku("CUP"), units(2))];
    for sku in ["MUG", "CUP"] {
        shop.stock(sku, 1).await;
    }
    drop_everywhere(&ground, &shop, async |_, cut| {
        let before = shop.level("MUG").await.on_hand;
        let ended = cut
            .drops(shop.inventory().receive_many(&berlin(), &delivery))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.level("MUG").await.on_hand;
        assert_eq!(shop.level("CUP").await.on_hand, after);
        assert!(after == before + 2 || (after == before && ended.is_none()));
        Fate::of(ended.is_some(), after > before)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_backorder_limit_is_set_or_not(ground: Ground) {
    let shop = ground.open_with(2).await;
    shop.stock("MUG", 1).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let limit = i64::try_from(number).unwrap();
        let before = shop.level("MUG").await;
        let ended = cut
            .drops(shop.inventory().set_backorder_limit("MUG", &berlin(), limit))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.level("MUG").await;
        assert!(after.backorder_limit == limit || (after == before && ended.is_none()));
        Fate::of(ended.is_some(), after.backorder_limit == limit)
    })
    .await;
    shop.assert_sound().await;
}

fn pair() -> [HoldLine; 2] {
    ["MUG", "CUP"].map(|name| HoldLine {
        sku: sku(name),
        location: berlin(),
        quantity: units(1),
    })
}

async fn a_dropped_hold_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    for sku in ["MUG", "CUP"] {
        shop.stock(sku, 1_000).await;
    }
    drop_everywhere(&ground, &shop, async |_, cut| {
        let before = shop.level("MUG").await.held;
        let ended = cut
            .drops(shop.inventory().hold(&pair(), HOLD))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.level("MUG").await.held;
        assert_eq!(shop.level("CUP").await.held, after);
        assert!(after == before + 1 || (after == before && ended.is_none()));
        if let Some(hold) = &ended {
            assert_eq!(
                shop.inventory().hold_status(hold.id).await.unwrap().as_ref(),
                Some(hold)
            );
        }
        Fate::of(ended.is_some(), after > before)
    })
    .await;
    shop.shift_clock(HOLD + Duration::from_secs(1));
    assert_eq!(
        (shop.level("MUG").await.held, shop.level("CUP").await.held),
        (0, 0)
    );
    shop.assert_sound().await;
}

async fn a_dropped_release_frees_all_or_nothing(ground: Ground) {
    let shop = ground.open_with(2).await;
    for sku in ["MUG", "CUP"] {
        shop.stock(sku, 1_000).await;
    }
    drop_everywhere(&ground, &shop, async |_, cut| {
        let before = shop.level("MUG").await.held;
        let hold = shop.inventory().hold(&pair(), HOLD).await.unwrap();
        let ended = cut
            .drops(shop.inventory().release_hold(hold.id))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let left = i64::from(shop.inventory().hold_status(hold.id).await.unwrap().is_some());
        assert!(left == 0 || ended.is_none());
        assert_eq!(shop.level("MUG").await.held, before + left);
        assert_eq!(shop.level("CUP").await.held, before + left);
        Fate::of(ended.is_some(), left == 0)
    })
    .await;
    shop.assert_sound().await;
}

async fn a_dropped_shipment_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    for sku in ["MUG", "CUP"] {
        shop.stock(sku, 1_000).await;
    }
    drop_everywhere(&ground, &shop, async |number, cut| {
        let cart = shop.cart(&[("MUG", 2), ("CUP", 2)]).await;
        let place = Place::cart(cart).key(key(format!("order-{number}")));
        let order = shop.checkout().place(place).await.unwrap().order;
        let before = shop.level("MUG").await.on_hand;
        let ended = cut
            .drops(shop.orders().ship(&order, &[(1, units(1)), (2, units(1))]))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let after = shop.orders().require(order.id).await.unwrap();
        let shipped: Vec<_> = after.lines.iter().map(|line| line.shipped).collect();
        assert!(
            shipped == [1, 1] || (shipped == [0, 0] && ended.is_none()),
            "{shipped:?}"
        );
        assert_eq!(after.version == order.version, shipped == [0, 0]);
        assert_eq!(shop.level("MUG").await.on_hand, before - shipped[0]);
        assert_eq!(shop.level("CUP").await.on_hand, before - shipped[1]);
        Fate::of(ended.is_some(), shipped == [1, 1])
    })
    .await;
    shop.assert_sound().await;
}
