//! Products and carts.

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::LineKey;
use stockroom::NewProduct;
use stockroom::Options;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::ProductPatch;
use stockroom::ProductQuery;
use stockroom::Slug;
use stockroom::UserId;

use super::Fate;
use super::drop_everywhere;
use super::settled;
use crate::support::Ground;
use crate::support::on;
use crate::support::sku;
use crate::support::usd;

on!([memory file postgres]
    a_dropped_create_of_a_product_is_whole_or_absent
    a_dropped_update_of_a_product_is_whole_or_absent
    a_dropped_create_of_a_cart_is_whole_or_absent
    a_dropped_add_counts_once_or_not
    a_dropped_set_quantity_sets_or_does_not
    a_dropped_unit_of_work_is_whole_or_absent
    a_dropped_read_gives_its_connection_back
);

async fn a_dropped_create_of_a_product_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let slug = Slug::new(format!("mug-{number}")).unwrap();
        let skus = ["A", "B"].map(|end| sku(&format!("MUG-{number}-{end}")));
        let new = NewProduct::new("Mug")
            .slug(slug.clone())
            .variant(skus[0].clone(), usd(9_00))
            .variant(skus[1].clone(), usd(10_00));
        let ended = cut.drops(shop.products().create(new)).await;
        settled(&shop).await;
        let found = shop.products().find_by_slug(&slug).await.unwrap();
        let by_sku = shop.products().find_by_skus(&skus).await.unwrap();
        assert_eq!(by_sku, [found.clone(), found.clone()]);
        if let Some(created) = &ended {
            assert_eq!(created.as_ref().ok(), found.as_ref());
        }
        Fate::of(ended.is_some(), found.is_some())
    })
    .await;
}

async fn a_dropped_update_of_a_product_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    let id = shop.stock("MUG", 0).await.id;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let old = shop.products().require(id).await.unwrap();
        let mut variants = old.variants.clone();
        variants[0].sku = sku(&format!("MUG-{number}"));
        let title = format!("Mug {number}");
        let patch = ProductPatch::new().title(title.clone()).variants(variants);
        let ended = cut.drops(shop.products().update(&old, patch)).await.map(Result::unwrap);
        settled(&shop).await;
        let new = shop.products().require(id).await.unwrap();
        let found = shop.products().find_by_sku(format!("MUG-{number}").as_str()).await.unwrap();
        if new.version == old.version {
            assert_eq!((&new, &found, ended.is_none()), (&old, &None, true));
        } else {
            assert_eq!((new.version, new.title.as_str()), (old.version.next(), title.as_str()));
            assert_eq!(found.as_ref(), Some(&new));
        }
        Fate::of(ended.is_some(), found.is_some())
    })
    .await;
}

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
                assert_eq!((error.kind(), error.existing_id()), (ErrorKind::AlreadyExists, Some(cart.uuid())));
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
        let ended = cut.drops(shop.carts().add(cart, "MUG", 2)).await.map(Result::unwrap);
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
        let ended = cut.drops(shop.carts().set_quantity(cart, &line, wanted)).await.map(Result::unwrap);
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

async fn a_dropped_unit_of_work_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    let id = shop.stock("MUG", 0).await.id;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let slug = Slug::new(format!("cup-{number}")).unwrap();
        let before = shop.products().require(id).await.unwrap();
        let work = shop.transaction(|tx| {
            let slug = slug.clone();
            async move {
                let mug = tx.products().require(id).await?;
                tx.products().update(&mug, ProductPatch::new().title(format!("Mug {number}")))?;
                tx.products().create(NewProduct::new("Cup").slug(slug))?;
                Ok::<_, Error>(())
            }
        });
        let ended = cut.drops(work).await;
        settled(&shop).await;
        let after = shop.products().require(id).await.unwrap();
        let cup = shop.products().find_by_slug(&slug).await.unwrap();
        assert_eq!(cup.is_some(), after.version == before.version.next());
        if let Some(outcome) = &ended {
            outcome.as_ref().unwrap();
            assert!(cup.is_some());
        }
        Fate::of(ended.is_some(), cup.is_some())
    })
    .await;
}

async fn a_dropped_read_gives_its_connection_back(ground: Ground) {
    let shop = ground.open_with(2).await;
    let id = shop.stock("MUG", 10).await.id;
    let cart = shop.cart(&[("MUG", 1)]).await;
    drop_everywhere(&ground, &shop, async |_, cut| {
        let reads = async {
            shop.products().require(id).await.unwrap();
            shop.products().list(&ProductQuery::default(), PageRequest::default()).await.unwrap();
            shop.checkout().quote(cart).await.unwrap();
            shop.inventory().verify_ledger().await.unwrap();
        };
        Fate::of(cut.drops(reads).await.is_some(), false)
    })
    .await;
}
