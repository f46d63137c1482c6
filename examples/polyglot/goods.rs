//! A part of the catalogue: some products of each category, and their stock.

use std::collections::BTreeMap;
use std::time::Instant;

use stockroom::Currency;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::PageRequest;
use stockroom::ProductOrder;
use stockroom::ProductQuery;
use stockroom::Quantity;
use stockroom::Result;
use stockroom::Sku;
use stockroom::Slug;
use stockroom::Stockroom;

use crate::Outcome;
use crate::catalogue;
use crate::catalogue::CatalogueProduct;
use crate::checks::Checks;

/// Products of each category: DynamoDB Local takes its time.
const OF_EACH: usize = 8;

/// Units of each product, whatever the catalogue says: what is sold here is counted.
pub(crate) const STOCK: i64 = 50;

/// Units of the last product, which all want.
pub(crate) const LAST: i64 = 10;

/// What is for sale, by the order of the catalogue; the last of them is the rare one.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) skus: Vec<Sku>,
}

impl Shelf {
    /// The product that there is little of.
    pub(crate) fn rare(&self) -> Outcome<&Sku> {
        self.skus.last().ok_or_else(|| "the shelf is empty".into())
    }

    /// How many units were received of a product.
    pub(crate) fn received(&self, sku: &Sku) -> i64 {
        if self.skus.last() == Some(sku) {
            LAST
        } else {
            STOCK
        }
    }
}

pub(crate) async fn import(shop: &Stockroom, checks: &mut Checks) -> Outcome<Shelf> {
    let begun = Instant::now();
    let rows = some(catalogue::load()?);
    let new = rows.iter().map(product).collect::<Result<Vec<_>>>()?;
    for outcome in shop.products().import(new).await {
        outcome?;
    }
    let skus = rows.iter().map(|row| Sku::new(row.id.as_str()));
    let shelf = Shelf {
        skus: skus.collect::<Result<_>>()?,
    };
    let units = |sku: &Sku| Ok((sku.clone(), Quantity::new(shelf.received(sku))?));
    let delivery = shelf.skus.iter().map(units).collect::<Result<Vec<_>>>()?;
    shop.inventory()
        .receive_many(&LocationId::new("warehouse")?, &delivery)
        .await?;
    println!(
        "  {} products with their stock in {:.1?}",
        rows.len(),
        begun.elapsed()
    );

    let dearest = ProductQuery::new()
        .category(category("footwear")?)
        .order(ProductOrder::PriceDescending);
    let page = shop.products().list(&dearest, PageRequest::new(100)?).await?;
    if let Some(product) = page.items.first() {
        let price = product.from_price().map(|price| price.to_string());
        println!(
            "  the dearest shoes: {}, {}",
            product.title,
            price.unwrap_or_default()
        );
    }
    checks.that(
        "a category lists what was imported of it",
        page.items.len() == OF_EACH,
    );
    Ok(shelf)
}

/// The first products of each category.
fn some(rows: Vec<CatalogueProduct>) -> Vec<CatalogueProduct> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows = rows;
    rows.retain(|row| {
        let seen = seen.entry(row.category.clone()).or_default();
        *seen += 1;
        *seen <= OF_EACH
    });
    rows
}

fn product(row: &CatalogueProduct) -> Result<NewProduct> {
    Ok(NewProduct::new(row.name.as_str())
        .category(category(&row.category)?)
        .description(row.description.as_str())
        .variant(row.id.as_str(), Money::new(row.price, Currency::USD)))
}

fn category(name: &str) -> Result<Slug> {
    Slug::new(name.replace(' ', "-"))
}
