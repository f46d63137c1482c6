//! All that products are found by in the cache: their ids, their slugs and SKUs, the lists that they are on.

use std::sync::Arc;
use std::time::Duration;

use super::aliases::Aliases;
use super::cached::Cached;
use super::listings::Listings;
use crate::error::Result;
use crate::model::Product;
use crate::model::Sku;
use crate::model::Slug;
use crate::resilience::Deadline;
use crate::spi::store::ProductReader;

/// The cache as the repository of products sees it; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ProductCache {
    /// By id.
    pub(crate) values: Cached<Product>,
    pub(super) aliases: Arc<Aliases>,
    /// Pages of lists, where there is a tier that keeps them.
    pub(crate) listings: Option<Listings>,
}

impl ProductCache {
    /// The product with this slug: who had it last, if it still has it, else as the store says.
    pub(crate) async fn find_by_slug(
        &self,
        reader: &dyn ProductReader,
        slug: &Slug,
        length: Duration,
    ) -> Result<Option<Arc<Product>>> {
        let hint = self.aliases.slug(slug);
        // No clock is read for a hit in this process.
        if let Some(Some(product)) = hint.and_then(|id| self.values.hit(&id))
            && product.slug == *slug
        {
            return Ok(Some(product));
        }
        let deadline = Deadline::within(length);
        if let Some(id) = hint
            && let Some(product) = self.values.get(id, length).await?
            && product.slug == *slug
        {
            return Ok(Some(product));
        }
        let found = reader.find_by_slug(slug, deadline).await?;
        if let Some(product) = &found {
            self.aliases.learn_slug(product);
        }
        Ok(found)
    }

    /// The products that have variants of these SKUs: who had them last, if they still do, the others as the store says.
    pub(crate) async fn find_by_skus(
        &self,
        reader: &dyn ProductReader,
        skus: &[Sku],
        length: Duration,
    ) -> Result<Vec<Option<Arc<Product>>>> {
        let deadline = Deadline::within(length);
        let hints: Vec<_> = skus.iter().map(|sku| self.aliases.sku(sku)).collect();
        let ids: Vec<_> = hints.iter().flatten().copied().collect();
        let mut known = self.values.get_many(&ids, length).await?.into_iter();
        let mut found: Vec<_> = hints
            .iter()
            .zip(skus)
            .map(|(hint, sku)| {
                let product = hint.and_then(|_| known.next().flatten());
                product.filter(|product| product.variant(sku).is_some())
            })
            .collect();
        let missing: Vec<usize> = (0..found.len()).filter(|index| found[*index].is_none()).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let asked: Vec<_> = missing.iter().map(|index| skus[*index].clone()).collect();
        let loaded = reader.find_by_skus(&asked, deadline).await?;
        for ((index, sku), product) in missing.into_iter().zip(&asked).zip(loaded) {
            if let Some(product) = &product {
                self.aliases.learn_sku(sku, product);
            }
            found[index] = product;
        }
        Ok(found)
    }
}
