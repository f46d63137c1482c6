//! A product as it is kept.

use serde::Deserialize;
use serde::Serialize;

use super::Cacheable;
use crate::error::Error;
use crate::error::Result;
use crate::model::Attributes;
use crate::model::Currency;
use crate::model::Money;
use crate::model::Options;
use crate::model::Price;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::ProductStatus;
use crate::model::Sku;
use crate::model::Slug;
use crate::model::TaxRate;
use crate::model::Timestamp;
use crate::model::Variant;
use crate::model::Version;
use crate::model::from_micros;
use crate::model::micros;

/// What a product takes in memory beside its texts.
const WEIGHT: usize = 512;
const VARIANT_WEIGHT: usize = 384;

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredProduct {
    id: [u8; 16],
    version: u64,
    slug: String,
    title: String,
    description: String,
    category: Option<String>,
    /// Free-form, so it keeps the one format that can describe itself.
    attributes: String,
    status: String,
    variants: Vec<StoredVariant>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredVariant {
    sku: String,
    title: Option<String>,
    options: Vec<(String, String)>,
    prices: Vec<StoredPrice>,
    tax: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredPrice {
    minor: i64,
    currency: String,
    min_quantity: u32,
    valid_from: Option<i64>,
    valid_until: Option<i64>,
}

impl Cacheable for Product {
    const SHAPE: &'static str = "product 1: id version slug title description category attributes status \
         [sku title options [minor currency least from until] tax] created updated";

    type Stored = StoredProduct;

    fn to_stored(&self) -> StoredProduct {
        StoredProduct {
            id: *self.id.uuid().as_bytes(),
            version: self.version.get(),
            slug: self.slug.to_string(),
            title: self.title.clone(),
            description: self.description.clone(),
            category: self.category.as_ref().map(ToString::to_string),
            attributes: self.attributes.to_json().to_string(),
            status: self.status.to_string(),
            variants: self.variants.iter().map(StoredVariant::of).collect(),
            created_at: micros(self.created_at),
            updated_at: micros(self.updated_at),
        }
    }

    fn from_stored(stored: StoredProduct) -> Result<Self> {
        let attributes = serde_json::from_str(&stored.attributes).map_err(|source| {
            Error::invalid("attributes", "are not JSON")
                .corrupted()
                .caused_by(source)
        })?;
        Ok(Self {
            id: ProductId::from(uuid::Uuid::from_bytes(stored.id)),
            version: Version::from(stored.version),
            slug: Slug::new(stored.slug)?,
            title: stored.title,
            description: stored.description,
            category: stored.category.map(Slug::new).transpose()?,
            attributes: Attributes::from_json(attributes)?,
            status: ProductStatus::parse(&stored.status)?,
            variants: stored
                .variants
                .into_iter()
                .map(StoredVariant::variant)
                .collect::<Result<_>>()?,
            created_at: from_micros(stored.created_at)?,
            updated_at: from_micros(stored.updated_at)?,
        })
    }

    fn weight(&self) -> usize {
        let texts = self.title.len() + self.description.len() + self.slug.as_str().len();
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value_weight(value))
            .sum();
        WEIGHT + texts + attributes + self.variants.len() * VARIANT_WEIGHT
    }
}

/// About what a JSON value takes: nothing here is worth an exact count.
fn value_weight(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => 64 + text.len(),
        serde_json::Value::Array(values) => 64 + values.iter().map(value_weight).sum::<usize>(),
        serde_json::Value::Object(map) => {
            64 + map
                .iter()
                .map(|(name, value)| name.len() + value_weight(value))
                .sum::<usize>()
        }
        _ => 64,
    }
}

impl StoredVariant {
    fn of(variant: &Variant) -> Self {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            sku: variant.sku.to_string(),
            title: variant.title.clone(),
            options: variant.options.iter().map(pair).collect(),
            prices: variant.prices.iter().map(StoredPrice::of).collect(),
            tax: variant.tax.get(),
        }
    }

    fn variant(self) -> Result<Variant> {
        Ok(Variant {
            sku: Sku::new(self.sku)?,
            title: self.title,
            options: options(self.options)?,
            prices: self
                .prices
                .into_iter()
                .map(StoredPrice::price)
                .collect::<Result<_>>()?,
            tax: TaxRate::basis_points(self.tax)?,
        })
    }
}

impl StoredPrice {
    fn of(price: &Price) -> Self {
        Self {
            minor: price.amount.minor(),
            currency: price.amount.currency().code().to_owned(),
            min_quantity: price.min_quantity,
            valid_from: price.valid_from.map(micros),
            valid_until: price.valid_until.map(micros),
        }
    }

    fn price(self) -> Result<Price> {
        let time = |at: Option<i64>| -> Result<Option<Timestamp>> { at.map(from_micros).transpose() };
        Ok(Price {
            amount: Money::new(self.minor, Currency::parse(&self.currency)?),
            min_quantity: self.min_quantity,
            valid_from: time(self.valid_from)?,
            valid_until: time(self.valid_until)?,
        })
    }
}

/// Checks names and values as every input is checked.
pub(super) fn options(pairs: Vec<(String, String)>) -> Result<Options> {
    pairs
        .into_iter()
        .try_fold(Options::new(), |options, (name, value)| options.with(name, value))
}
