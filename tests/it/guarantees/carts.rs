//! Carts lose nothing that was put into them.

use stockroom::ErrorKind;
use stockroom::LineKey;
use stockroom::NewCartLine;
use stockroom::Options;
use stockroom::Owner;
use stockroom::Place;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::crowd;
use crate::support::key;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([memory file postgres dynamodb]
    ten_adds_to_one_cart_at_once_all_count
    one_sku_with_two_option_sets_is_two_lines_and_one_stock
    an_add_that_meets_an_order_is_in_the_order_or_refused
);

async fn ten_adds_to_one_cart_at_once_all_count(ground: Ground) {
    let shops = ground.open_two().await;
    let cart = shops[0].carts().create(Owner::Guest).await.unwrap();
    let callers = shops.clone();
    let id = cart.id;
    let versions = crowd(10, move |number| {
        let shop = callers[number % 2].clone();
        async move { shop.carts().add(id, "MUG", 1).await.unwrap() }
    });
    let last = versions.await.into_iter().max();
    let cart = shops[1].carts().require(id).await.unwrap();
    assert_eq!((cart.lines.len(), cart.lines[0].quantity.get()), (1, 10));
    assert_eq!(Some(cart.version), last);
}

fn engraved(text: &str) -> Options {
    Options::new().with("engraving", text).unwrap()
}

async fn engraved_cart(shop: &Shop, each: i64) -> stockroom::CartId {
    let cart = shop.carts().create(Owner::Guest).await.unwrap();
    for text in ["Ada", "Grace"] {
        let line = NewCartLine::new(sku("MUG"), units(each)).options(engraved(text));
        shop.carts().add_line(cart.id, line).await.unwrap();
    }
    cart.id
}

async fn one_sku_with_two_option_sets_is_two_lines_and_one_stock(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let too_much = engraved_cart(&shop, 3).await;
    let error = shop.checkout().quote(too_much).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InsufficientStock);
    assert_eq!(
        (error.shortages()[0].requested, error.shortages()[0].available),
        (6, 5)
    );

    let cart = engraved_cart(&shop, 2).await;
    // The guard counts them together too, not the quote alone: here it is quoted before the stock shrinks.
    let stale = shop
        .checkout()
        .quote(engraved_cart(&shop, 2).await)
        .await
        .unwrap();
    let placed = shop
        .checkout()
        .place(Place::cart(cart).key(key("engraved")))
        .await
        .unwrap();
    let mut lines: Vec<_> = placed
        .order
        .lines
        .iter()
        .map(|line| (LineKey::of(&line.sku, &line.options), line.quantity.get()))
        .collect();
    lines.sort();
    let mut expected = ["Ada", "Grace"]
        .map(|text| (LineKey::of(&sku("MUG"), &engraved(text)), 2))
        .to_vec();
    expected.sort();
    assert_eq!(lines, expected);
    assert_eq!(shop.level("MUG").await.allocated, 4);
    let error = shop
        .checkout()
        .place(Place::quote(stale).key(key("stale")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}");
    assert_eq!(shop.level("MUG").await.allocated, 4);
    shop.assert_sound().await;
}

async fn an_add_that_meets_an_order_is_in_the_order_or_refused(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG", 1_000).await;
    for round in 0..25 {
        let cart = shops[0].cart(&[("MUG", 1)]).await;
        let callers = shops.clone();
        let adding = async { callers[1].carts().add(cart, "MUG", 1).await };
        let placing = async {
            callers[0]
                .checkout()
                .place(Place::cart(cart).key(key(format!("order-{round}"))))
                .await
        };
        let (added, placed) = tokio::join!(adding, placing);
        let ordered = placed.unwrap().order.lines[0].quantity.get();
        match added {
            Ok(_) => assert_eq!(ordered, 2),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
                assert_eq!(ordered, 1);
            }
        }
    }
    shops[0].assert_sound().await;
}
