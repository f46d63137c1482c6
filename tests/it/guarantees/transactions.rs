//! Units of work over several aggregates: no update is lost, none is half.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::PageRequest;
use stockroom::ProductPatch;
use stockroom::ProductQuery;
use stockroom::ProductStatus;

use crate::support::Ground;
use crate::support::berlin;
use crate::support::on;
use crate::support::share;
use crate::support::sku;

on!([memory file postgres dynamodb]
    a_closure_that_another_write_overtook_runs_again_on_what_is_there
    conflicting_closures_lose_no_update
    units_that_are_moved_by_many_are_neither_lost_nor_made
    a_closure_that_fails_writes_nothing
);

async fn a_closure_that_another_write_overtook_runs_again_on_what_is_there(ground: Ground) {
    let shop = ground.open().await;
    let id = shop.stock("MUG", 0).await.id;
    let runs = AtomicU32::new(0);
    let described = shop.transaction(|tx| {
        let (shop, run) = (shop.clone(), runs.fetch_add(1, Ordering::Relaxed));
        async move {
            let product = tx.products().require(id).await?;
            if run == 0 {
                shop.products()
                    .update(&product, ProductPatch::new().title("Cup"))
                    .await?;
            }
            let seen = ProductPatch::new().description(format!("made of {}", product.title));
            tx.products().update(&product, seen)?;
            Ok::<_, Error>(product.title.clone())
        }
    });
    assert_eq!(described.await.unwrap(), "Cup");
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    let product = shop.products().require(id).await.unwrap();
    assert_eq!(
        (product.title.as_str(), product.description.as_str()),
        ("Cup", "made of Cup")
    );
    assert_eq!(product.version.get(), 3);
}

async fn conflicting_closures_lose_no_update(ground: Ground) {
    let shops = ground.open_two().await;
    let updates = if ground.is_far() { 40 } else { 160 };
    let id = shops[0]
        .products()
        .create(NewProduct::new("Counter").description("0"))
        .await
        .unwrap()
        .id;
    let callers = shops.clone();
    let gave_up = share(8, updates, move |number| {
        let shop = callers[number % 2].clone();
        async move {
            let mut gave_up = 0;
            loop {
                let counted = shop.transaction(|tx| async move {
                    let product = tx.products().require(id).await?;
                    let count: u64 = product.description.parse().unwrap();
                    tx.products()
                        .update(&product, ProductPatch::new().description((count + 1).to_string()))?;
                    Ok::<_, Error>(())
                });
                match counted.await {
                    Ok(()) => return gave_up,
                    // Who lost every race is told so, and nothing was written.
                    Err(error) if error.is(ErrorKind::Conflict) => gave_up += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
    println!(
        "closures that lost every race: {}",
        gave_up.await.into_iter().sum::<u32>()
    );
    assert_eq!(
        shops[1].products().require(id).await.unwrap().description,
        updates.to_string()
    );
}

async fn units_that_are_moved_by_many_are_neither_lost_nor_made(ground: Ground) {
    let shops = ground.open_two().await;
    shops[0].stock("MUG-A", 40).await;
    shops[0].stock("MUG-B", 40).await;
    let callers = shops.clone();
    let moved = share(6, 90, move |number| {
        let shop = callers[number % 2].clone();
        let (from, to) = if number % 3 == 0 {
            ("MUG-A", "MUG-B")
        } else {
            ("MUG-B", "MUG-A")
        };
        async move {
            let moved = shop.transaction(|tx| async move {
                let level = tx.inventory().level(&sku(from), &berlin()).await?;
                if level.is_none_or(|level| level.available() < 1) {
                    return Err(Error::new(ErrorKind::InsufficientStock, "none is left to move"));
                }
                tx.inventory().adjust(&sku(from), &berlin(), -1, "moved")?;
                tx.inventory().adjust(&sku(to), &berlin(), 1, "moved")
            });
            match moved.await {
                Ok(()) => 1,
                Err(error) => {
                    let expected = [ErrorKind::Conflict, ErrorKind::InsufficientStock];
                    assert!(expected.contains(&error.kind()), "{error:?}");
                    0
                }
            }
        }
    });
    println!("moves: {} of 90", moved.await.into_iter().sum::<u32>());
    let (one, other) = (shops[0].level("MUG-A").await, shops[0].level("MUG-B").await);
    assert_eq!(one.on_hand + other.on_hand, 80);
    shops[0].assert_sound().await;
}

async fn a_closure_that_fails_writes_nothing(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 5).await;
    let failed = shop.transaction(|tx| async move {
        tx.inventory().adjust(&sku("MUG"), &berlin(), -1, "lost")?;
        tx.products().create(NewProduct::new("Never"))?;
        Err::<(), _>(Error::invalid("plan", "was given up"))
    });
    assert_eq!(failed.await.unwrap_err().invalid_field(), Some("plan"));
    assert_eq!(shop.level("MUG").await.on_hand, 5);
    // Drafts are not listed unless asked for.
    let drafts = ProductQuery::default().status(Some(ProductStatus::Draft));
    assert!(
        shop.products()
            .list(&drafts, PageRequest::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}
