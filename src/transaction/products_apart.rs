//! Reads products where the stock lies in another store: what needs both is refused instead of answered wrongly.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::Sku;
use crate::model::Slug;
use crate::resilience::Deadline;
use crate::spi::store::ProductQuery;
use crate::spi::store::ProductReader;

/// The same reader, which refuses lists by availability: a store without the levels would find that nothing is available.
pub(super) fn refusing(inner: Arc<dyn ProductReader>) -> Arc<dyn ProductReader> {
    Arc::new(Apart(inner))
}

#[derive(Debug)]
struct Apart(Arc<dyn ProductReader>);

#[async_trait]
impl ProductReader for Apart {
    async fn get_many(&self, ids: &[ProductId], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        self.0.get_many(ids, deadline).await
    }

    async fn find_by_slug(&self, slug: &Slug, deadline: Deadline) -> Result<Option<Arc<Product>>> {
        self.0.find_by_slug(slug, deadline).await
    }

    async fn find_by_skus(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        self.0.find_by_skus(skus, deadline).await
    }

    async fn list(
        &self,
        query: &ProductQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Product>>> {
        if query.in_stock {
            let message =
                "products and stock lie in different stores: list without in_stock, and ask the inventory";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        self.0.list(query, page, deadline).await
    }
}
