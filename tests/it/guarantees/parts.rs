//! Orders of more lines than one commit takes: whole or given back, once a key, whoever dies where.

mod goods;
mod meanwhile;
mod mortal;
mod storm;

use std::collections::BTreeMap;
use std::time::Duration;

use stockroom::CancelReason;
use stockroom::CartStatus;
use stockroom::ErrorKind;
use stockroom::MovementKind;
use stockroom::OrderStatus;
use stockroom::PageRequest;
use stockroom::Place;
use stockroom::Sku;

use crate::support::Ground;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::key;
use crate::support::on;
use crate::support::usd;
use goods::LINES;
use goods::assert_levels;
use goods::cart;
use goods::levels;
use goods::name;
use goods::stock;
use mortal::Fate;

on!([memory file postgres dynamodb]
    two_hundred_and_fifty_lines_are_placed_and_cancelled
    one_order_comes_of_a_key_wherever_its_caller_dies
    what_a_dead_caller_took_is_given_back_wherever_it_died
    a_hold_in_parts_ends_by_itself_wherever_its_caller_dies
    the_last_units_go_to_one_of_several_large_orders
    eight_callers_of_a_key_place_one_large_order
);
on!([dynamodb] the_largest_order_of_one_commit_is_told);

const PAGE: u32 = 50;

async fn two_hundred_and_fifty_lines_are_placed_and_cancelled(ground: Ground) {
    const MANY: usize = 250;
    let shop = ground.open().await;
    stock(&shop, MANY, 3).await;
    let cart = cart(&shop, 0..MANY, 2).await;
    let quote = shop.checkout().quote(cart).await.unwrap();
    let place = Place::quote(quote).key(key("large"));
    if shop.store().capability().order_lines < MANY {
        let error = shop.checkout().place(place.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_levels(&shop, MANY, 0, 0).await;
    }

    let placed = shop.checkout().place_in_parts(place.clone()).await.unwrap();
    assert_eq!(
        (placed.order.status, placed.replayed),
        (OrderStatus::Placed, false)
    );
    assert_eq!(placed.order.lines.len(), MANY);
    assert_eq!(placed.order.total, usd(5_000));
    assert_levels(&shop, MANY, 2, 0).await;
    shop.assert_sound().await;
    assert_eq!(
        shop.carts().require(cart).await.unwrap().status,
        CartStatus::Ordered
    );
    let stored = shop.orders().require(placed.order.id).await.unwrap();
    assert_eq!(stored, placed.order);

    for again in [
        shop.checkout().place_in_parts(place.clone()).await.unwrap(),
        shop.checkout().place(place).await.unwrap(),
    ] {
        assert_eq!((again.order.id, again.replayed), (placed.order.id, true));
    }
    let page = || PageRequest::new(PAGE).unwrap();
    let moved = shop
        .inventory()
        .movements(name(249).as_str(), &berlin(), page())
        .await
        .unwrap();
    let kinds: Vec<_> = moved.items.iter().map(|movement| movement.kind).collect();
    assert_eq!(kinds, [MovementKind::Allocate, MovementKind::Receive]);
    assert_eq!(moved.items[0].reference, Some(placed.order.id.uuid()));

    let cancelled = shop
        .checkout()
        .cancel(placed.order.id, CancelReason::Customer)
        .await
        .unwrap();
    assert_eq!(
        (cancelled.status, cancelled.cancel_reason),
        (OrderStatus::Cancelled, Some(CancelReason::Customer))
    );
    assert_levels(&shop, MANY, 0, 0).await;
    shop.assert_sound().await;
    let history = shop.orders().history(placed.order.id, page()).await.unwrap();
    let events: Vec<_> = history
        .items
        .iter()
        .rev()
        .map(|change| change.events[0].as_str())
        .collect();
    match shop.store().capability().order_lines < MANY {
        true => assert_eq!(
            events,
            [
                "order.allocating",
                "order.placed",
                "order.releasing",
                "order.cancelled"
            ]
        ),
        false => assert_eq!(events, ["order.allocating", "order.placed", "order.cancelled"]),
    }
}

async fn one_order_comes_of_a_key_wherever_its_caller_dies(ground: Ground) {
    let shop = ground.open().await;
    stock(&shop, LINES, 100).await;
    for commits in 0.. {
        let cart = cart(&shop, 0..LINES, 1).await;
        let place = Place::cart(cart).key(key(format!("large-{commits}")));
        let mortal = Fate::dies_after(commits).meets(&shop).await;
        let first = mortal.checkout().place_in_parts(place.clone()).await;
        let placed = shop.checkout().place_in_parts(place).await.unwrap();
        assert_eq!(placed.order.status, OrderStatus::Placed);
        assert_eq!(placed.replayed, first.is_ok());
        let orders = i64::try_from(commits + 1).unwrap();
        assert_levels(&shop, LINES, orders, 0).await;
        assert_eq!(shop.every_order().await.len(), commits + 1);
        if let Ok(first) = first {
            assert_eq!(first.order.id, placed.order.id);
            // To begin it, three parts, to place it.
            assert_eq!(commits, 5);
            break;
        }
    }
    shop.assert_sound().await;
}

async fn what_a_dead_caller_took_is_given_back_wherever_it_died(ground: Ground) {
    let shop = ground.open().await;
    stock(&shop, LINES, 1).await;
    for commits in 1..5 {
        let cart = cart(&shop, 0..LINES, 1).await;
        let place = Place::cart(cart).key(key(format!("dead-{commits}")));
        let mortal = Fate::dies_after(commits).meets(&shop).await;
        let error = mortal.checkout().place_in_parts(place.clone()).await.unwrap_err();
        let order = error.existing_id().unwrap();
        // Who gives it up dies as well, after no commit, after one, after two.
        for steps in 0..3 {
            let heir = Fate::dies_after(steps).meets(&shop).await;
            let _ = heir.checkout().give_up_idle(Duration::ZERO).await;
        }
        let mut given_up = 0;
        for _ in 0..3 {
            given_up += shop.checkout().give_up_idle(Duration::ZERO).await.unwrap();
        }
        assert!(given_up <= 1);
        let order = shop.orders().require(order.into()).await.unwrap();
        assert_eq!(
            (order.status, order.cancel_reason),
            (OrderStatus::Cancelled, Some(CancelReason::Expired))
        );
        assert_levels(&shop, LINES, 0, 0).await;
        let error = shop.checkout().place_in_parts(place).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        // The cart is free for another order, and so is the stock.
        let other = Place::cart(cart).key(key(format!("alive-{commits}")));
        let placed = shop.checkout().place_in_parts(other).await.unwrap();
        assert_levels(&shop, LINES, 1, 0).await;
        shop.checkout()
            .cancel(placed.order.id, CancelReason::Customer)
            .await
            .unwrap();
        assert_levels(&shop, LINES, 0, 0).await;
    }
    shop.assert_sound().await;
}

async fn a_hold_in_parts_ends_by_itself_wherever_its_caller_dies(ground: Ground) {
    const TTL: Duration = Duration::from_secs(600);
    let shop = ground.open().await;
    stock(&shop, LINES, 1).await;
    for commits in 0..=8 {
        let cart = cart(&shop, 0..LINES, 1).await;
        let quote = shop.checkout().quote(cart).await.unwrap();
        let mortal = Fate::dies_after(commits).meets(&shop).await;
        let place = async {
            let hold = mortal.checkout().hold_in_parts(&quote, TTL).await?;
            assert_eq!(hold.lines.len(), LINES);
            let place = Place::quote(quote.clone())
                .hold(hold)
                .key(key(format!("held-{commits}")));
            mortal.checkout().place_in_parts(place).await
        };
        let placed = place.await;
        // Three parts are held, then it begins, three parts are taken, and it is placed.
        assert_eq!(placed.is_ok(), commits == 8);
        let sum: i64 = levels(&shop, LINES)
            .await
            .iter()
            .map(|level| level.held + level.allocated)
            .sum();
        assert_eq!(sum, [0, 20, 40, 50, 50, 50, 50, 50, 50][commits]);
        shop.shift_clock(TTL + Duration::from_secs(1));
        match placed {
            Ok(placed) => {
                assert_levels(&shop, LINES, 1, 0).await;
                shop.checkout()
                    .cancel(placed.order.id, CancelReason::Customer)
                    .await
                    .unwrap();
            }
            Err(_) => {
                shop.checkout().give_up_idle(Duration::ZERO).await.unwrap();
            }
        }
        assert_levels(&shop, LINES, 0, 0).await;
    }
    shop.assert_sound().await;
}

async fn the_last_units_go_to_one_of_several_large_orders(ground: Ground) {
    const BUYERS: usize = 6;
    let shops = ground.open_two().await;
    let skus = LINES + 10 * (BUYERS - 1);
    stock(&shops[0], skus, 1).await;
    let mut carts = Vec::new();
    for buyer in 0..BUYERS {
        // Each wants what its neighbours want, and something of its own.
        carts.push(cart(&shops[0], 10 * buyer..10 * buyer + LINES, 1).await);
    }
    let callers = shops.clone();
    let ordered = carts.clone();
    let outcomes = crowd(BUYERS, move |buyer| {
        let (shop, cart) = (callers[buyer % 2].clone(), ordered[buyer]);
        async move {
            let place = Place::cart(cart).key(key(format!("buyer-{buyer}")));
            shop.checkout().place_in_parts(place).await
        }
    });
    let outcomes = outcomes.await;
    let mut wanted: BTreeMap<Sku, i64> = BTreeMap::new();
    for outcome in &outcomes {
        match outcome {
            Ok(placed) => {
                for line in &placed.order.lines {
                    *wanted.entry(line.sku.clone()).or_default() += 1;
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}");
                assert!(!error.shortages().is_empty());
            }
        }
    }
    assert!(outcomes.iter().any(Result::is_ok));
    for level in levels(&shops[0], skus).await {
        let sold = wanted.get(&level.sku).copied().unwrap_or_default();
        assert!(sold <= 1);
        assert_eq!((level.allocated, level.held), (sold, 0), "{}", level.sku);
    }
    for (buyer, outcome) in outcomes.iter().enumerate() {
        let status = shops[0].carts().require(carts[buyer]).await.unwrap().status;
        assert_eq!(status == CartStatus::Ordered, outcome.is_ok());
    }
    shops[0].assert_sound().await;
}

async fn eight_callers_of_a_key_place_one_large_order(ground: Ground) {
    let shops = ground.open_two().await;
    stock(&shops[0], LINES, 1).await;
    let cart = cart(&shops[0], 0..LINES, 1).await;
    let callers = shops.clone();
    let placed = crowd(8, move |number| {
        let shop = callers[number % 2].clone();
        async move {
            let place = Place::cart(cart).key(key("once"));
            shop.checkout().place_in_parts(place).await.unwrap()
        }
    });
    let placed = placed.await;
    assert!(placed.iter().all(|each| each.order.id == placed[0].order.id));
    assert_eq!(placed.iter().filter(|each| !each.replayed).count(), 1);
    assert_eq!(shops[0].every_order().await.len(), 1);
    assert_levels(&shops[0], LINES, 1, 0).await;
    shops[0].assert_sound().await;
}

async fn the_largest_order_of_one_commit_is_told(ground: Ground) {
    let shop = ground.open().await;
    let most = shop.store().capability().order_lines;
    stock(&shop, most + 1, 2).await;
    let too_many = cart(&shop, 0..most + 1, 1).await;
    let place = Place::cart(too_many).key(key("too many"));
    let error = shop.checkout().place(place).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("place_in_parts"), "{error}");
    let as_many = cart(&shop, 0..most, 1).await;
    let place = Place::cart(as_many).key(key("as many"));
    let placed = shop.checkout().place(place).await.unwrap();
    assert_eq!(placed.order.lines.len(), most);
    shop.assert_sound().await;
}
