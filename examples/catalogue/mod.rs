//! The catalogue that the examples sell: 2,465 products of a real demo shop, read from `examples/data`.
//!
//! The files are part of the program, so that an example runs from any folder. Prices are read as text: 129.99 has no
//! exact `f64`, and money that passes through one can lose a cent.

use std::collections::HashSet;
use std::error::Error;
use std::io::Read;

use serde::Deserialize;

const PRODUCTS: &[u8] = include_bytes!("../data/retail_demo_store_products.yaml.gz");
const CATEGORIES: &[u8] = include_bytes!("../data/retail_demo_store_categories.yaml.gz");

/// How many products the files hold; a loader that finds another number has misread them.
pub(crate) const PRODUCT_COUNT: usize = 2_465;

/// One product as the catalogue's files have it.
#[derive(Clone, Debug)]
pub(crate) struct CatalogueProduct {
    /// The catalogue's own id, a UUID in text; good as a SKU.
    pub(crate) id: String,
    /// The title.
    pub(crate) name: String,
    /// The name of one of the twenty categories, such as "salty snacks".
    pub(crate) category: String,
    /// A finer group within the category, such as "backpack".
    pub(crate) style: String,
    /// One paragraph for the product's page.
    pub(crate) description: String,
    /// The price in US cents, without tax.
    pub(crate) price: i64,
    /// How many are on hand.
    pub(crate) stock: i64,
}

/// Reads the whole catalogue in the order of its file and checks it.
///
/// # Errors
/// - a file cannot be read, a price is not a decimal number with at most two digits after the point
/// - the number of products is not [`PRODUCT_COUNT`], an id comes twice, a field is empty, a price or a stock is not
///   positive, or a category is not in the list of categories
pub(crate) fn load() -> Result<Vec<CatalogueProduct>, Box<dyn Error>> {
    let entries: Vec<Entry> = serde_saphyr::from_str(&unpack(PRODUCTS)?)?;
    let categories: Vec<Category> = serde_saphyr::from_str(&unpack(CATEGORIES)?)?;
    let products = entries
        .into_iter()
        .map(CatalogueProduct::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    check(
        &products,
        &categories.into_iter().map(|category| category.name).collect(),
    )?;
    Ok(products)
}

/// A product of the file; its other fields (image, promotions, aliases) are not needed here.
#[derive(Deserialize)]
struct Entry {
    id: String,
    name: String,
    category: String,
    style: String,
    description: String,
    price: String,
    current_stock: i64,
}

#[derive(Deserialize)]
struct Category {
    name: String,
}

impl TryFrom<Entry> for CatalogueProduct {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let price = cents(&entry.price)
            .ok_or_else(|| format!("product {}: {:?} is not a price", entry.id, entry.price))?;
        Ok(Self {
            id: entry.id,
            name: entry.name,
            category: entry.category,
            style: entry.style,
            description: entry.description,
            price,
            stock: entry.current_stock,
        })
    }
}

/// "129.99" is 12999, "129.9" is 12990, "129" is 12900; anything else is no price.
fn cents(text: &str) -> Option<i64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let scale = if fraction.len() == 1 { 10 } else { 1 };
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(100)?
        .checked_add(fraction.parse::<i64>().ok()? * scale)
}

fn unpack(file: &[u8]) -> std::io::Result<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text)?;
    Ok(text)
}

fn check(products: &[CatalogueProduct], categories: &HashSet<String>) -> Result<(), String> {
    let mut ids = HashSet::new();
    for product in products {
        let CatalogueProduct {
            id,
            name,
            category,
            style,
            description,
            price,
            stock,
        } = product;
        if [id, name, style, description]
            .iter()
            .any(|text| text.trim().is_empty())
            || *price <= 0
            || *stock <= 0
        {
            return Err(format!("product {id} is not complete: {product:?}"));
        }
        if !categories.contains(category) {
            return Err(format!("product {id} has the unknown category {category:?}"));
        }
        if !ids.insert(id) {
            return Err(format!("product {id} comes twice"));
        }
    }
    if products.len() != PRODUCT_COUNT {
        return Err(format!(
            "{} products where {PRODUCT_COUNT} were expected",
            products.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_catalogue_is_read_with_exact_prices() {
        let products = load().expect("the catalogue's files are whole");
        assert_eq!(products.len(), PRODUCT_COUNT);
        assert_eq!(products[0].name, "Adventure-Ready Expedition Backpack");
        assert_eq!(products[0].price, 12_999);
        assert_eq!(products[0].stock, 15);
    }

    #[test]
    fn a_price_is_a_decimal_number_with_at_most_two_digits_after_the_point() {
        assert_eq!(cents("129.99"), Some(12_999));
        assert_eq!(cents("129.9"), Some(12_990));
        assert_eq!(cents("129"), Some(12_900));
        assert_eq!(cents("0.05"), Some(5));
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "1.234",
            "-1.00",
            "+1",
            "1e3",
            "1,5",
            "NaN",
            "92233720368547758.08",
        ] {
            assert_eq!(cents(text), None, "{text}");
        }
    }
}
