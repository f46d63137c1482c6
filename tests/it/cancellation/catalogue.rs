//! Products, units of work, reads.

use stockroom::Error;
use stockroom::NewProduct;
use stockroom::PageRequest;
use stockroom::ProductPatch;
use stockroom::ProductQuery;
use stockroom::Slug;

use super::Fate;
use super::drop_everywhere;
use super::settled;
use crate::support::Ground;
use crate::support::on;
use crate::support::sku;
use crate::support::usd;

on!([memory file postgres dynamodb]
    a_dropped_create_of_a_product_is_whole_or_absent
    a_dropped_unit_of_work_is_whole_or_absent
);
on!([memory file postgres]
    a_dropped_update_of_a_product_is_whole_or_absent
    a_dropped_delete_of_a_product_is_whole_or_absent
    a_dropped_import_keeps_whole_products
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
        let ended = cut
            .drops(shop.products().update(&old, patch))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let new = shop.products().require(id).await.unwrap();
        let found = shop
            .products()
            .find_by_sku(format!("MUG-{number}").as_str())
            .await
            .unwrap();
        if new.version == old.version {
            assert_eq!((&new, &found, ended.is_none()), (&old, &None, true));
        } else {
            assert_eq!(
                (new.version, new.title.as_str()),
                (old.version.next(), title.as_str())
            );
            assert_eq!(found.as_ref(), Some(&new));
        }
        Fate::of(ended.is_some(), found.is_some())
    })
    .await;
}

async fn a_dropped_delete_of_a_product_is_whole_or_absent(ground: Ground) {
    let shop = ground.open_with(2).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        let name = format!("MUG-{number}");
        let product = shop.stock(&name, 0).await;
        let ended = cut
            .drops(shop.products().delete(&product))
            .await
            .map(Result::unwrap);
        settled(&shop).await;
        let found = shop.products().get(product.id).await.unwrap();
        assert_eq!(shop.products().find_by_slug(&product.slug).await.unwrap(), found);
        assert_eq!(shop.products().find_by_sku(name.as_str()).await.unwrap(), found);
        assert!(found.is_none() || ended.is_none());
        Fate::of(ended.is_some(), found.is_none())
    })
    .await;
}

async fn a_dropped_import_keeps_whole_products(ground: Ground) {
    let shop = ground.open_with(2).await;
    drop_everywhere(&ground, &shop, async |number, cut| {
        // More than one commit holds.
        let skus: Vec<_> = (0..150).map(|row| sku(&format!("MUG-{number}-{row}"))).collect();
        let rows = skus
            .iter()
            .map(|sku| NewProduct::new("Mug").variant(sku.clone(), usd(9_00)));
        let ended = cut.drops(shop.products().import(rows.collect())).await;
        settled(&shop).await;
        let found = shop.products().find_by_skus(&skus).await.unwrap();
        let there = found.iter().flatten().count();
        // A commit has a hundred rows; each is there as a whole.
        assert!([0, 100, 150].contains(&there), "{there} rows are there");
        assert!(there == 150 || ended.is_none());
        Fate::of(ended.is_some(), there > 0)
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
                tx.products()
                    .update(&mug, ProductPatch::new().title(format!("Mug {number}")))?;
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
            shop.products()
                .list(&ProductQuery::default(), PageRequest::default())
                .await
                .unwrap();
            shop.checkout().quote(cart).await.unwrap();
            shop.inventory().verify_ledger().await.unwrap();
        };
        Fate::of(cut.drops(reads).await.is_some(), false)
    })
    .await;
}
