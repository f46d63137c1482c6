//! Which product has a slug or a SKU, as was last seen.
//!
//! Only a hint: it is believed when the product, which comes from the cache by its own rules, says the same. So nobody has
//! to be told when a slug moves to another product.

use std::fmt;

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::model::Product;
use crate::model::Sku;
use crate::model::Slug;

/// Hints of each kind that are kept: some megabytes in all.
const HINTS: usize = 16_384;

/// The hints of this process.
pub(crate) struct Aliases {
    slugs: Cache<Slug, Uuid>,
    skus: Cache<Sku, Uuid>,
}

impl fmt::Debug for Aliases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aliases")
            .field("slugs", &self.slugs.len())
            .field("skus", &self.skus.len())
            .finish()
    }
}

impl Default for Aliases {
    fn default() -> Self {
        Self {
            slugs: Cache::new(HINTS),
            skus: Cache::new(HINTS),
        }
    }
}

impl Aliases {
    /// Who had this slug.
    pub(crate) fn slug(&self, slug: &Slug) -> Option<Uuid> {
        self.slugs.get(slug)
    }

    /// Who had a variant of this SKU.
    pub(crate) fn sku(&self, sku: &Sku) -> Option<Uuid> {
        self.skus.get(sku)
    }

    /// What was asked for by its slug was found.
    pub(crate) fn learn_slug(&self, product: &Product) {
        self.slugs.insert(product.slug.clone(), product.id.uuid());
    }

    /// What was asked for by this SKU was found.
    pub(crate) fn learn_sku(&self, sku: &Sku, product: &Product) {
        self.skus.insert(sku.clone(), product.id.uuid());
    }
}
