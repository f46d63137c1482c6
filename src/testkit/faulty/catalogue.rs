//! Faults in what is told about products and carts.

use std::sync::Arc;

use async_trait::async_trait;

use super::Fault;
use super::reads::Wrong;
use crate::error::Result;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::LineKey;
use crate::model::Options;
use crate::model::Owner;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::Sku;
use crate::model::Slug;
use crate::model::UserId;
use crate::resilience::Deadline;
use crate::spi::store::CartReader;
use crate::spi::store::ProductQuery;
use crate::spi::store::ProductReader;

fn product(fault: Fault, right: Arc<Product>) -> Arc<Product> {
    let mut product = Product::clone(&right);
    match fault {
        Fault::LosesFields => product.description.clear(),
        Fault::InventsFields => {
            product.category = product.category.or_else(|| Slug::new("none").ok());
            for variant in &mut product.variants {
                variant.title.get_or_insert_default();
                for price in &mut variant.prices {
                    price.valid_from.get_or_insert(product.created_at);
                }
            }
        }
        _ => return right,
    }
    Arc::new(product)
}

fn cart(fault: Fault, right: Arc<Cart>) -> Arc<Cart> {
    let mut cart = Cart::clone(&right);
    match fault {
        Fault::LosesFields => {
            let plain = |line: CartLine| CartLine {
                key: LineKey::of(&line.sku, &Options::new()),
                options: Options::new(),
                ..line
            };
            cart.lines = cart.lines.into_iter().map(plain).collect();
        }
        Fault::InventsFields if cart.owner == Owner::Guest => {
            cart.owner = Owner::User(UserId::from(uuid::Uuid::nil()))
        }
        _ => return right,
    }
    Arc::new(cart)
}

#[async_trait]
impl ProductReader for Wrong<dyn ProductReader, Arc<Product>> {
    async fn get_many(&self, ids: &[ProductId], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        let right = self.inner.get_many(ids, deadline).await?;
        let told = ids
            .iter()
            .zip(right)
            .map(|(id, found)| self.stale(id, found).map(|found| product(self.fault, found)));
        Ok(self.batch(told.collect()))
    }

    async fn find_by_slug(&self, slug: &Slug, deadline: Deadline) -> Result<Option<Arc<Product>>> {
        let right = self.inner.find_by_slug(slug, deadline).await?;
        Ok(self.found(self.stale(slug, right)))
    }

    async fn find_by_skus(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        let right = self.inner.find_by_skus(skus, deadline).await?;
        Ok(self.batch(right.into_iter().map(|found| self.found(found)).collect()))
    }

    async fn list(
        &self,
        query: &ProductQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Product>>> {
        let mut query = query.clone();
        if self.fault == Fault::IgnoresFilters {
            query = ProductQuery::new().order(query.order);
        }
        let right = self.inner.list(&query, &self.request(page), deadline).await;
        self.page(right, || async {
            self.inner.list(&query, &PageRequest::default(), deadline).await
        })
        .await
    }
}

#[async_trait]
impl CartReader for Wrong<dyn CartReader, Arc<Cart>> {
    async fn get_many(&self, ids: &[CartId], deadline: Deadline) -> Result<Vec<Option<Arc<Cart>>>> {
        let right = self.inner.get_many(ids, deadline).await?;
        let told = ids
            .iter()
            .zip(right)
            .map(|(id, found)| self.stale(id, found).map(|found| cart(self.fault, found)));
        Ok(self.batch(told.collect()))
    }

    async fn find_active(&self, user: UserId, deadline: Deadline) -> Result<Option<Arc<Cart>>> {
        let right = self.inner.find_active(user, deadline).await?;
        Ok(self.found(self.stale(format!("user {user}"), right)))
    }
}
