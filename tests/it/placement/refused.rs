//! What two stores cannot do together is refused before anything is written, with the reason.

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::ProductQuery;
use stockroom::Stockroom;

use super::Site;
use super::cart;
use super::goes_on;
use super::units_of;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([file postgres redis]
    a_write_over_two_stores_is_refused
    reads_of_two_stores_are_checked_together
);

on!([file]
    what_is_staged_for_two_stores_is_refused
    lists_by_availability_need_products_and_stock_together
);

async fn a_write_over_two_stores_is_refused(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let there = cart(&shop, &[("MUG", 1)]).await;
    // Written here and there.
    let both = shop.transaction(|tx| async move {
        tx.carts().add(there, &sku("CUP"), units(1))?;
        tx.inventory().receive(&sku("MUG"), &berlin(), units(1))
    });
    let error: Error = both.await.unwrap_err();
    assert!(error.is(ErrorKind::Unsupported), "{error}");
    // Both are named.
    assert!(
        error.message().contains("cart") && error.message().contains("main"),
        "{error}"
    );
    // Written here on what was read there.
    let rests = shop.transaction(|tx| async move {
        tx.carts().require(there).await?;
        tx.inventory().receive(&sku("MUG"), &berlin(), units(1))
    });
    let error: Error = rests.await.unwrap_err();
    assert!(error.is(ErrorKind::Unsupported), "{error}");
    assert_eq!(
        goes_on(&shop, there).await,
        Some((there, units_of(&[("MUG", 1)])))
    );
    assert_eq!(shop.level("MUG").await.on_hand, 1_000);
    // Each alone is what it always was.
    let alone = shop.transaction(|tx| async move {
        let cart = tx.carts().require(there).await?;
        tx.carts().abandon(&cart)?;
        tx.carts().create(Owner::Guest)?;
        Ok::<_, Error>(())
    });
    alone.await.unwrap();
    shop.close().await;
}

async fn reads_of_two_stores_are_checked_together(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let there = cart(&shop, &[("MUG", 1)]).await;
    let shared = shop.clone();
    let runs = std::sync::atomic::AtomicU32::new(0);
    let seen = shop.transaction(|tx| {
        let (shop, run) = (&shared, runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        async move {
            let product = tx.products().find_by_sku(&sku("MUG")).await?;
            let cart = tx.carts().require(there).await?;
            if run == 0 {
                shop.carts().add(there, "CUP", 1).await?;
            }
            Ok::<_, Error>((product.is_some(), cart.lines.len()))
        }
    });
    // The cart moved under the first run.
    assert_eq!(seen.await.unwrap(), (true, 2));
    // An error of a closure is the closure's, whatever stores it read from.
    let wrong = shop.transaction(|tx| async move {
        tx.products().find_by_sku(&sku("MUG")).await?;
        tx.carts().require(there).await?;
        Err::<(), _>(Error::invalid("mine", "is wrong"))
    });
    assert_eq!(wrong.await.unwrap_err().invalid_field(), Some("mine"));
    shop.close().await;
}

async fn what_is_staged_for_two_stores_is_refused(ground: Ground) {
    let (shop, _) = Site::new(ground).stocked().await;
    let there = cart(&shop, &[("MUG", 1)]).await;
    let staged = shop.stage(|tx| async move {
        tx.carts().add(there, &sku("CUP"), units(1))?;
        tx.inventory().receive(&sku("MUG"), &berlin(), units(1))
    });
    let error: Error = staged.await.unwrap_err();
    assert!(error.is(ErrorKind::Unsupported), "{error}");
    shop.close().await;
}

async fn lists_by_availability_need_products_and_stock_together(ground: Ground) {
    let products = Ground::file();
    let builder = Stockroom::builder()
        .store_arc(ground.store().await)
        .place_arc([stockroom::Aggregate::Product], products.store().await);
    let shop = Shop::of(builder).await;
    super::stock(&shop).await;
    let page = || PageRequest::new(10).unwrap();
    let all = shop.products().list(&ProductQuery::new(), page()).await.unwrap();
    assert_eq!(all.items.len(), 2);
    for room in [shop.clone(), shop.stale_up_to(std::time::Duration::from_secs(1))] {
        let list = room
            .products()
            .list(&ProductQuery::new().in_stock(), page())
            .await;
        assert!(list.unwrap_err().is(ErrorKind::Unsupported));
    }
    // The checkout reads products there and writes orders here.
    let cart = cart(&shop, &[("MUG", 2)]).await;
    super::place(&shop, cart, "a").await.unwrap();
    let twice = shop.products().create(NewProduct::new("MUG").slug("mug")).await;
    assert!(twice.unwrap_err().is(ErrorKind::AlreadyExists));
    shop.assert_sound().await;
    shop.close().await;
}
