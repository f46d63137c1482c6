//! Products in a unit of work.

use std::sync::Arc;

use super::Tx;
use super::single;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::NewProduct;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::ProductPatch;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::Slug;
use crate::spi::store::Parts;

/// Products in a unit of work.
#[derive(Clone, Debug)]
pub struct TxProducts(pub(super) Tx);

impl TxProducts {
    /// The product of this id; absence is remembered as well.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: ProductId) -> Result<Option<Arc<Product>>> {
        let (tx, reader) = (&self.0, self.0.context.products()?);
        let ids = [id];
        let fetch = async { Ok(single(reader.get_many(&ids, tx.deadline).await?)) };
        tx.read((Aggregate::Product, RowKey::Id(id.uuid())), fetch).await
    }

    /// The product of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: ProductId) -> Result<Arc<Product>> {
        self.get(id)
            .await?
            .ok_or_else(|| Error::not_found(format!("product {id}")))
    }

    /// The product with this slug.
    ///
    /// - That no product has it is not remembered: only creating one asserts that.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn find_by_slug(&self, slug: &Slug) -> Result<Option<Arc<Product>>> {
        let tx = &self.0;
        if let Some(staged) = tx
            .open()?
            .staged::<Product>()
            .find(|product| product.slug == *slug)
        {
            return Ok(Some(Arc::clone(staged)));
        }
        let found = tx.context.products()?.find_by_slug(slug, tx.deadline).await?;
        Ok(self.seen(found)?.filter(|product| product.slug == *slug))
    }

    /// The product that has a variant of this SKU.
    ///
    /// - That no product has it is not remembered: only creating one asserts that.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn find_by_sku(&self, sku: &Sku) -> Result<Option<Arc<Product>>> {
        let tx = &self.0;
        if let Some(staged) = tx
            .open()?
            .staged::<Product>()
            .find(|product| product.variant(sku).is_some())
        {
            return Ok(Some(Arc::clone(staged)));
        }
        let found = tx
            .context
            .products()?
            .find_by_skus(std::slice::from_ref(sku), tx.deadline)
            .await?;
        Ok(self
            .seen(single(found))?
            .filter(|product| product.variant(sku).is_some()))
    }

    /// Stages a new product.
    ///
    /// # Errors
    /// `InvalidInput` naming the field.
    pub fn create(&self, new: NewProduct) -> Result<Arc<Product>> {
        let product = new.build(ProductId::new(), self.0.context.now())?;
        self.0.open()?.create(product)
    }

    /// Stages a change of a product; it starts from what is staged of it already.
    ///
    /// # Errors
    /// `InvalidInput` naming the field; `Conflict` when this unit of work knows another version of it.
    pub fn update(&self, product: &Product, patch: ProductPatch) -> Result<Arc<Product>> {
        let now = self.0.context.now();
        let parts = if patch.keeps_variants() {
            Parts::Root
        } else {
            Parts::Whole
        };
        self.0
            .open()?
            .replace(product, parts, |base| patch.apply(base, now))
    }

    /// Stages the end of a product.
    ///
    /// # Errors
    /// `Conflict` when this unit of work knows another version of it.
    pub fn delete(&self, product: &Product) -> Result<()> {
        self.0.open()?.delete(product)
    }

    fn seen(&self, found: Option<Arc<Product>>) -> Result<Option<Arc<Product>>> {
        match found {
            Some(product) => self
                .0
                .remember((Aggregate::Product, RowKey::Id(product.id.uuid())), Some(product)),
            None => Ok(None),
        }
    }
}
