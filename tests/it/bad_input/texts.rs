//! Texts: empty, oversized, of the wrong alphabet, JSON too deep.

use std::time::Duration;

use serde_json::json;
use stockroom::Address;
use stockroom::Attributes;
use stockroom::Currency;
use stockroom::Error;
use stockroom::IdempotencyKey;
use stockroom::LineKey;
use stockroom::LocationId;
use stockroom::NewProduct;
use stockroom::Options;
use stockroom::Place;
use stockroom::ProductPatch;
use stockroom::Provider;
use stockroom::Reference;
use stockroom::Sku;
use stockroom::Slug;
use stockroom::Variant;

use super::Furnished;
use super::invalid;
use crate::support::Ground;
use crate::support::berlin;
use crate::support::key;
use crate::support::on;
use crate::support::sku;
use crate::support::usd;

on!([file postgres dynamodb] texts_out_of_bounds_are_refused_by_field);

async fn texts_out_of_bounds_are_refused_by_field(ground: Ground) {
    let furnished = Furnished::new(ground).await;
    furnished.unchanged(async || products(&furnished).await).await;
    furnished.unchanged(async || orders(&furnished).await).await;
    furnished.unchanged(async || stock(&furnished).await).await;
    values();
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

async fn products(furnished: &Furnished) {
    let shop = &furnished.shop;
    for title in [String::new(), long(201), "a\0b".to_owned(), "a\nb".to_owned()] {
        invalid(shop.products().create(NewProduct::new(title)).await, "title");
    }
    let mug = || NewProduct::new("Mug");
    invalid(
        shop.products().create(mug().description(long(20_001))).await,
        "description",
    );
    invalid(
        shop.products().create(mug().description("\0")).await,
        "description",
    );
    for slug in ["", "Mug", "a b", &long(129)] {
        invalid(shop.products().create(mug().slug(slug)).await, "slug");
        invalid(shop.products().create(mug().category(slug)).await, "slug");
    }
    for name in ["", "a b", "a\0", "ä", &long(65)] {
        invalid(shop.products().create(mug().variant(name, usd(1))).await, "sku");
        invalid(shop.products().find_by_sku(name).await, "sku");
    }
    let twice = mug().variant("TWICE", usd(1)).variant("TWICE", usd(2));
    invalid(shop.products().create(twice).await, "variants");
    let many = (0..101).fold(mug(), |mug, number| {
        mug.variant(sku(&format!("MANY-{number}")), usd(1))
    });
    invalid(shop.products().create(many).await, "variants");
    let titled = Variant::new(sku("TITLED"), usd(1)).title(long(201));
    invalid(
        shop.products().create(mug().variant_with(titled)).await,
        "variants",
    );
    let old = shop.products().require(furnished.product).await.unwrap();
    invalid(
        shop.products().update(&old, ProductPatch::new().title("")).await,
        "title",
    );
    invalid(
        shop.products()
            .update(&old, ProductPatch::new().slug("A B"))
            .await,
        "slug",
    );
    // In an import the good rows are not held back, so there is none here.
    for outcome in shop
        .products()
        .import(vec![mug().slug("A B"), NewProduct::new("")])
        .await
    {
        assert!(outcome.unwrap_err().invalid_field().is_some());
    }
}

async fn orders(furnished: &Furnished) {
    let shop = &furnished.shop;
    for email in [
        "",
        "a",
        "nobody",
        "@",
        "a@",
        "@b",
        &format!("{}@b.c", long(260)),
        "a\0@b.c",
    ] {
        let place = Place::cart(furnished.cart).email(email).key(key("email"));
        invalid(shop.checkout().place(place).await, "email");
    }
    let named = shop.transaction(|tx| async move {
        tx.inventory().adjust(&sku("MUG"), &berlin(), 1, "")?;
        tx.event("")
    });
    invalid(named.await, "event");
    let named = shop.transaction(|tx| async move {
        tx.inventory().adjust(&sku("MUG"), &berlin(), 1, "")?;
        tx.event(long(65))
    });
    invalid(named.await, "event");
}

async fn stock(furnished: &Furnished) {
    let inventory = furnished.shop.inventory();
    for name in ["", "a b", &long(65)] {
        invalid(inventory.receive(name, &berlin(), 1).await, "sku");
        invalid(inventory.levels(name).await, "sku");
        invalid(furnished.shop.carts().add(furnished.cart, name, 1).await, "sku");
    }
    invalid(inventory.adjust("MUG", &berlin(), 1, &long(201)).await, "note");
    invalid(inventory.adjust("MUG", &berlin(), 1, "a\0").await, "note");
    invalid(inventory.hold(&[], Duration::from_secs(1)).await, "lines");
    invalid(inventory.receive_many(&berlin(), &[]).await, "lines");
}

/// What cannot even be built.
fn values() {
    let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
    invalid(Attributes::from_json(deep(9)), "attributes");
    invalid(Attributes::from_json(deep(500)), "attributes");
    invalid(
        Attributes::from_json(json!({ "a": long(65 * 1024) })),
        "attributes",
    );
    invalid(Attributes::from_json(json!({ "a": "\0" })), "attributes");
    invalid(Attributes::from_json(json!("a")), "attributes");
    for text in [String::new(), long(256), "a\nb".to_owned(), "ä".to_owned()] {
        invalid(IdempotencyKey::new(text), "idempotency_key");
    }
    for text in [String::new(), long(65), "a b".to_owned()] {
        invalid(Sku::new(text.clone()), "sku");
        invalid(LocationId::new(text), "location");
    }
    invalid(Slug::new("Mug"), "slug");
    invalid(Provider::new("A"), "provider");
    invalid(Reference::new(long(256)), "reference");
    invalid(LineKey::new("MUG:zz"), "line");
    invalid(Options::new().with("", "a"), "options");
    invalid(Options::new().with("a", long(256)), "options");
    invalid("XXQ".parse::<Currency>(), "currency");
    let fields = |error: Error| error.invalid_field().is_some();
    assert!(Address::new("", "Street 1", "Berlin", "10115", "DE").is_err_and(fields));
    assert!(Address::new("Ada", "Street 1", "Berlin", "10115", "Germany").is_err_and(fields));
    assert!(Address::new("Ada", long(1_000), "Berlin", "10115", "DE").is_err_and(fields));
}
