//! Looking around: lists by category, price and stock in keyset pages, one product by its slug and its SKU.

use std::collections::BTreeSet;
use std::sync::Arc;

use stockroom::Currency;
use stockroom::PageRequest;
use stockroom::Product;
use stockroom::ProductOrder;
use stockroom::ProductQuery;
use stockroom::Sku;
use stockroom::Stockroom;

use crate::Outcome;
use crate::catalogue::CatalogueProduct;
use crate::checks::Checks;
use crate::import;
use crate::print;

/// Items of one page; few, so that there are many pages.
const PAGE: u32 = 25;

/// Which shelf is looked at.
const CATEGORY: &str = "footwear";

/// What counts as dear, in cents.
const DEAR: i64 = 25_000;

/// Lists a category in pages, a price range of it, and finds one product twice.
pub(crate) async fn browse(
    shop: &Stockroom,
    rows: &[CatalogueProduct],
    imported: usize,
    checks: &mut Checks,
) -> Outcome {
    print::heading("Browsing: footwear in stock, cheapest first");
    let category = import::category(CATEGORY)?;
    let query = ProductQuery::new()
        .category(category)
        .in_stock()
        .order(ProductOrder::PriceAscending);
    let (listed, pages) = walk(shop, &query).await?;
    println!("{}", print::products(&listed[..listed.len().min(5)]));
    println!("  {} products on {pages} pages", listed.len());

    let ids: BTreeSet<_> = listed.iter().map(|product| product.id).collect();
    let prices: Vec<_> = listed
        .iter()
        .filter_map(|product| product.from_price())
        .map(|price| price.minor())
        .collect();
    checks.that(
        "the pages have no gap and no product twice",
        ids.len() == listed.len(),
    );
    checks.that(
        "prices rise from page to page",
        prices.len() == listed.len() && prices.is_sorted(),
    );
    if imported == rows.len() {
        let there = rows.iter().filter(|row| row.category == CATEGORY).count();
        checks.that("the pages show the whole category", listed.len() == there);
    }

    print::heading("Footwear from 250 dollars");
    let dear = query.price(Currency::USD, Some(DEAR), None);
    let (listed, _) = walk(shop, &dear).await?;
    println!("{}", print::products(&listed));
    let prices = listed.iter().filter_map(|product| product.from_price());
    checks.that(
        "nothing is cheaper than was asked for",
        prices.into_iter().all(|price| price.minor() >= DEAR),
    );
    one_product(shop, rows, checks).await
}

/// All pages of a list, one after the other: each starts after the last item of the one before.
async fn walk(shop: &Stockroom, query: &ProductQuery) -> Outcome<(Vec<Arc<Product>>, usize)> {
    let (mut listed, mut pages) = (Vec::new(), 0);
    let mut request = PageRequest::new(PAGE)?;
    loop {
        let page = shop.products().list(query, request.clone()).await?;
        listed.extend(page.items);
        pages += 1;
        match page.next {
            Some(cursor) => request = request.after(cursor),
            None => return Ok((listed, pages)),
        }
    }
}

async fn one_product(shop: &Stockroom, rows: &[CatalogueProduct], checks: &mut Checks) -> Outcome {
    let row = rows.first().ok_or("the catalogue is empty")?;
    let by_sku = shop
        .products()
        .find_by_sku(row.id.as_str())
        .await?
        .ok_or("the first product is gone")?;
    let by_slug = shop.products().find_by_slug(&by_sku.slug).await?;
    println!("  /{} is {}", by_sku.slug, by_sku.title);
    checks.that(
        "slug and SKU find the same product",
        by_slug.as_deref() == Some(&*by_sku),
    );
    Ok(())
}

/// A product that is sold, and how many are bought.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) sku: Sku,
    pub(crate) title: String,
    pub(crate) units: i64,
}

/// Three things of different categories that are there in plenty.
pub(crate) async fn pick(shop: &Stockroom, rows: &[CatalogueProduct]) -> Outcome<Vec<Pick>> {
    let mut picks = Vec::new();
    for (category, units) in [("outdoors", 1), ("groceries", 3), ("books", 2)] {
        let rows = rows.iter().filter(|row| row.category == category);
        let skus = rows.clone().map(import::sku).collect::<Result<Vec<_>, _>>()?;
        let levels = shop.inventory().levels_many(&skus).await?;
        // Four times what is bought here: the example buys, cancels and ships it.
        let level = levels.into_iter().find(|level| level.available() >= 4 * units);
        let level =
            level.ok_or_else(|| format!("too little is left of {category}: start with an empty shop"))?;
        let title = rows
            .clone()
            .find(|row| row.id == level.sku.as_str())
            .map(|row| row.name.clone());
        picks.push(Pick {
            sku: level.sku,
            title: title.unwrap_or_default(),
            units,
        });
    }
    Ok(picks)
}
