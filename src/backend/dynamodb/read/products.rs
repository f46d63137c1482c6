//! Products by id, slug and SKU, and lists of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::bad_cursor;
use super::in_order;
use super::inventory::Inventory;
use super::list::Merge;
use super::owner;
use crate::backend::dynamodb::fetch::Range;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::keys::sortable;
use crate::backend::dynamodb::records::product;
use crate::backend::dynamodb::tables::Index;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::ClaimKey;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::ProductStatus;
use crate::model::Sku;
use crate::model::Slug;
use crate::resilience::Deadline;
use crate::spi::store::InventoryReader as _;
use crate::spi::store::ProductOrder;
use crate::spi::store::ProductQuery;
use crate::spi::store::ProductReader;

#[derive(Debug)]
pub(super) struct Products(pub(super) Arc<Wire>);

#[async_trait]
impl ProductReader for Products {
    async fn get_many(&self, ids: &[ProductId], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let found = self.0.roots(Aggregate::Product, &ids, deadline).await?;
        in_order(&ids, &found, |item| product::read(item).map(Some))
    }

    async fn find_by_slug(&self, slug: &Slug, deadline: Deadline) -> Result<Option<Arc<Product>>> {
        let keys = vec![Key::claim(ClaimKey::PRODUCT_SLUG, slug.as_str())];
        let found = self.0.owners(keys, deadline).await?;
        let Some(id) = owner(&found, ClaimKey::PRODUCT_SLUG, slug.as_str())? else {
            return Ok(None);
        };
        let products = self.get_many(&[ProductId::from(id)], deadline).await?;
        Ok(products.into_iter().flatten().next())
    }

    async fn find_by_skus(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        let keys = skus
            .iter()
            .map(|sku| Key::claim(ClaimKey::PRODUCT_SKU, sku.as_str()));
        let found = self.0.owners(keys.collect(), deadline).await?;
        let owners = skus
            .iter()
            .map(|sku| owner(&found, ClaimKey::PRODUCT_SKU, sku.as_str()))
            .collect::<Result<Vec<_>>>()?;
        let ids: Vec<ProductId> = owners.iter().flatten().copied().map(ProductId::from).collect();
        let mut products = self.get_many(&ids, deadline).await?.into_iter();
        let answers = owners.iter().zip(skus).map(|(owner, sku)| {
            let product = owner.and_then(|_| products.next().flatten())?;
            let sells = product.variants.iter().any(|variant| variant.sku == *sku);
            sells.then_some(product)
        });
        Ok(answers.collect())
    }

    async fn list(
        &self,
        query: &ProductQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Product>>> {
        let after = place(query, page)?;
        let wanted = page.limit() as usize + 1;
        let mut entries = Merge::new(&self.0, ranges(query), after.as_deref(), deadline);
        let mut items = Vec::new();
        while items.len() < wanted {
            let places = entries.take(wanted, after.as_deref()).await?;
            if places.is_empty() {
                break;
            }
            let ids = places.iter().map(|place| {
                let id = place.rsplit_once('#').map_or(place.as_str(), |(_, id)| id);
                id.parse().map_err(|_| bad_cursor())
            });
            let ids: Vec<ProductId> = ids.collect::<Result<_>>()?;
            let found = self.get_many(&ids, deadline).await?;
            // The index may be behind: what has changed since is not of this list, or stands elsewhere in it.
            let found = found.into_iter().zip(&places).filter_map(|(product, place)| {
                product.filter(|product| is_of(product, query) && place_of(product, query) == *place)
            });
            let found: Vec<_> = found.collect();
            items.extend(if query.in_stock {
                self.in_stock(found, deadline).await?
            } else {
                found
            });
        }
        items.truncate(wanted);
        Ok(Page::cut(items, page, |last| after_product(query, last)))
    }
}

impl Products {
    /// Those of which at least one unit is available somewhere, now: what ends by itself cannot stand in an index.
    async fn in_stock(&self, products: Vec<Arc<Product>>, deadline: Deadline) -> Result<Vec<Arc<Product>>> {
        let skus = products.iter().flat_map(|product| &product.variants);
        let skus: BTreeSet<Sku> = skus.map(|variant| variant.sku.clone()).collect();
        let skus: Vec<Sku> = skus.into_iter().collect();
        let levels = Inventory(self.0.clone()).levels(&skus, deadline).await?;
        let available: BTreeSet<Sku> = levels
            .into_iter()
            .filter(|level| level.available() > 0)
            .map(|level| level.sku)
            .collect();
        let is_available = |product: &Arc<Product>| {
            product
                .variants
                .iter()
                .any(|variant| available.contains(&variant.sku))
        };
        Ok(products.into_iter().filter(is_available).collect())
    }
}

/// The entry of a product in the order of a list.
fn place_of(product: &Product, query: &ProductQuery) -> String {
    let id = product.id.to_string();
    match (query.order, product.from_price()) {
        (ProductOrder::Newest, _) | (_, None) => id,
        (_, Some(price)) => product::price_place(price.minor(), &id),
    }
}

fn after_product(query: &ProductQuery, last: &Product) -> Cursor {
    let mut position = vec![CursorValue::Text(last.id.to_string())];
    if query.order != ProductOrder::Newest {
        let minor = last.from_price().map_or(0, |price| price.minor());
        position.insert(0, CursorValue::Int(minor));
    }
    Cursor::encode(query.digest(), &position)
}

/// The place behind which the page begins.
fn place(query: &ProductQuery, page: &PageRequest) -> Result<Option<String>> {
    let by_price = query.order != ProductOrder::Newest;
    match page.position(query.digest())?.as_deref() {
        None => Ok(None),
        Some([CursorValue::Text(id)]) if !by_price && Uuid::parse_str(id).is_ok() => Ok(Some(id.clone())),
        Some([CursorValue::Int(minor), CursorValue::Text(id)]) if by_price && Uuid::parse_str(id).is_ok() => {
            Ok(Some(product::price_place(*minor, id)))
        }
        _ => Err(bad_cursor()),
    }
}

fn ranges(query: &ProductQuery) -> Vec<Range> {
    let by_price = query.order != ProductOrder::Newest;
    let index = match (&query.category, by_price) {
        (None, false) => Index::Status,
        (Some(_), false) => Index::Category,
        (None, true) => Index::StatusPrice,
        (Some(_), true) => Index::CategoryPrice,
    };
    let one = query.status.map(|status| vec![status]);
    let statuses = one.unwrap_or_else(|| ProductStatus::ALL.to_vec());
    let of = |status| {
        let mut range = Range::of_index(index, product::partition(query.category.as_ref(), status));
        range.latest_first = query.order != ProductOrder::PriceAscending;
        if by_price {
            range.from = query.price_min.map_or(range.from, sortable);
            // Behind the price come `#` and the id, all below this.
            range.to = query
                .price_max
                .map_or(range.to, |most| format!("{}~", sortable(most)));
        }
        range
    };
    statuses.into_iter().map(of).collect()
}

fn is_of(product: &Product, query: &ProductQuery) -> bool {
    let price = product.from_price();
    let minor = price.map(|price| price.minor());
    query.status.is_none_or(|status| product.status == status)
        && query
            .category
            .as_ref()
            .is_none_or(|category| product.category.as_ref() == Some(category))
        && query
            .currency
            .is_none_or(|currency| price.is_some_and(|price| price.currency() == currency))
        && query
            .price_min
            .is_none_or(|least| minor.is_some_and(|minor| minor >= least))
        && query
            .price_max
            .is_none_or(|most| minor.is_some_and(|minor| minor <= most))
}
