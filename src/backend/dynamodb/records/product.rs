//! Products, their variants inside.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::item::entry;
use crate::backend::dynamodb::json::attribute;
use crate::backend::dynamodb::json::document;
use crate::backend::dynamodb::keys::sortable;
use crate::backend::dynamodb::tables::Index;
use crate::error::Result;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::ProductStatus;
use crate::model::Sku;
use crate::model::Slug;
use crate::model::TaxRate;
use crate::model::Variant;

pub(super) const PARTS: &str = "variants";

pub(super) fn write(product: &Product) -> Map {
    let mut item = Map::new();
    item.id("id", product.id.uuid());
    item.text("slug", product.slug.as_str());
    item.text("title", product.title.as_str());
    item.text("description", product.description.as_str());
    item.opt_text("category", product.category.as_ref().map(Slug::as_str));
    item.put("attributes", attribute(&product.attributes));
    item.text("status", product.status.as_str());
    item.time("created_at", product.created_at);
    item.time("updated_at", product.updated_at);
    let variants = product.variants.iter().map(write_variant);
    item.put(PARTS, AttributeValue::L(variants.collect()));
    write_index(product, &mut item);
    item
}

fn write_variant(variant: &Variant) -> AttributeValue {
    let mut item = Map::new();
    item.text("sku", variant.sku.as_str());
    item.opt_text("title", variant.title.as_deref());
    item.put("options", attribute(&variant.options));
    item.put("prices", attribute(&variant.prices));
    item.int("tax", i64::from(variant.tax.get()));
    AttributeValue::M(item)
}

fn write_index(product: &Product, item: &mut Map) {
    let id = product.id.to_string();
    let by_status = partition(None, product.status);
    let by_category = product
        .category
        .as_ref()
        .map(|category| partition(Some(category), product.status));
    let price = product.from_price().map(|price| price_place(price.minor(), &id));
    let mut enter = |index: Index, partition: Option<&String>, place: Option<&String>| {
        if let (Some(partition), Some(place)) = (partition, place) {
            let (_, pk, sk) = index.names();
            item.text(pk, partition);
            item.text(sk, place);
        }
    };
    enter(Index::Status, Some(&by_status), Some(&id));
    enter(Index::Category, by_category.as_ref(), Some(&id));
    enter(Index::StatusPrice, Some(&by_status), price.as_ref());
    enter(Index::CategoryPrice, by_category.as_ref(), price.as_ref());
}

/// The partition of products of a status, and of a category where one is named.
pub(in crate::backend::dynamodb) fn partition(category: Option<&Slug>, status: ProductStatus) -> String {
    match category {
        Some(category) => format!("category#{category}#{status}"),
        None => format!("status#{status}"),
    }
}

/// The place of a product among others by price.
pub(in crate::backend::dynamodb) fn price_place(minor: i64, id: &str) -> String {
    format!("{}#{id}", sortable(minor))
}

pub(in crate::backend::dynamodb) fn read(item: &Map) -> Result<Arc<Product>> {
    let variants = item.get_list(PARTS)?.iter().map(|variant| {
        let variant = entry(variant)?;
        Ok(Variant {
            sku: Sku::new(variant.get_text("sku")?)?,
            title: variant.opt_get_text("title")?.map(str::to_owned),
            options: document("options", variant.get("options"))?,
            prices: document("prices", variant.get("prices"))?,
            tax: TaxRate::basis_points(u32::try_from(variant.get_int("tax")?).unwrap_or(u32::MAX))?,
        })
    });
    Ok(Arc::new(Product {
        id: ProductId::from(item.get_id("id")?),
        version: super::version(item)?,
        slug: Slug::new(item.get_text("slug")?)?,
        title: item.get_text("title")?.to_owned(),
        description: item.get_text("description")?.to_owned(),
        category: item.opt_get_text("category")?.map(Slug::new).transpose()?,
        attributes: document("attributes", item.get("attributes"))?,
        status: ProductStatus::parse(item.get_text("status")?)?,
        variants: variants.collect::<Result<_>>()?,
        created_at: item.get_time("created_at")?,
        updated_at: item.get_time("updated_at")?,
    }))
}
