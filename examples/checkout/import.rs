//! From the catalogue's rows to products and their stock.

use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde_json::json;
use stockroom::Attributes;
use stockroom::Currency;
use stockroom::ErrorKind;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Quantity;
use stockroom::Result;
use stockroom::Sku;
use stockroom::Slug;
use stockroom::Stockroom;
use stockroom::TaxRate;
use stockroom::Variant;

use crate::Outcome;
use crate::catalogue::CatalogueProduct;
use crate::print;

/// Rows between two steps of the progress bar: what [`stockroom::Products::import`] puts into one commit.
const CHUNK: usize = 100;

/// The catalogue knows no taxes: 8 % is this example's.
const TAX: u32 = 8_00;

/// Where everything lies.
pub(crate) fn warehouse() -> Result<LocationId> {
    LocationId::new("warehouse")
}

/// The SKU of a row: the catalogue's own id.
pub(crate) fn sku(row: &CatalogueProduct) -> Result<Sku> {
    Sku::new(row.id.as_str())
}

/// The category of a row, as a slug: "salty snacks" is `salty-snacks`.
pub(crate) fn category(name: &str) -> Result<Slug> {
    Slug::new(name.replace(' ', "-"))
}

/// Creates what is not there yet, with its stock; tells how many that were.
pub(crate) async fn catalogue(shop: &Stockroom, rows: &[CatalogueProduct]) -> Outcome<usize> {
    print::heading("The catalogue");
    let begun = Instant::now();
    let style = ProgressStyle::with_template("  importing {bar:40} {pos}/{len} products, {per_sec}")?;
    let bar = ProgressBar::new(rows.len() as u64).with_style(style);
    let mut created = 0;
    for chunk in rows.chunks(CHUNK) {
        created += import(shop, chunk).await?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let known = rows.len() - created;
    println!(
        "  {created} products imported with their stock in {:.1?}, {known} were there.",
        begun.elapsed()
    );
    Ok(created)
}

/// Creates a part, and books the stock of what was created: a row that is there already has its stock.
async fn import(shop: &Stockroom, rows: &[CatalogueProduct]) -> Outcome<usize> {
    let products = rows.iter().map(product).collect::<Result<Vec<_>>>()?;
    let outcomes = shop.products().import(products).await;
    let mut delivery = Vec::new();
    for (row, outcome) in rows.iter().zip(outcomes) {
        match outcome {
            Ok(_) => delivery.push((sku(row)?, Quantity::new(row.stock)?)),
            Err(error) if error.is(ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !delivery.is_empty() {
        shop.inventory().receive_many(&warehouse()?, &delivery).await?;
    }
    Ok(delivery.len())
}

fn product(row: &CatalogueProduct) -> Result<NewProduct> {
    let price = Money::new(row.price, Currency::USD);
    let variant = Variant::new(sku(row)?, price).tax(TaxRate::basis_points(TAX)?);
    Ok(NewProduct::new(row.name.as_str())
        .category(category(&row.category)?)
        .description(row.description.as_str())
        .attributes(Attributes::from_json(json!({ "style": row.style }))?)
        .variant_with(variant))
}
