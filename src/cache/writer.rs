//! Write-through: the writer loads what it wrote, under a lease like everybody, so that the next reader finds it.

use uuid::Uuid;

use super::cached::Cached;
use super::loader::Loadable;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::Cart;
use crate::model::Product;
use crate::resilience::Deadline;

/// What can be loaded after a write.
#[derive(Debug)]
pub(super) struct Rewrites {
    pub(super) products: Cached<Product>,
    pub(super) carts: Cached<Cart>,
}

impl Rewrites {
    /// Loads it in the background.
    pub(super) fn load(&self, aggregate: Aggregate, id: Uuid) {
        match aggregate {
            Product::KIND => self.products.rewrite(id),
            Cart::KIND => self.carts.rewrite(id),
            _ => {}
        }
    }
}

impl<T: Loadable> Cached<T> {
    fn rewrite(&self, id: Uuid) {
        let kept = std::sync::Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let generation = kept.local.generations.of(&id);
            // Whoever reads next loads it where this fails.
            drop(
                kept.obtain(id, generation, Deadline::within(super::cached::LEASE))
                    .await,
            );
        });
    }
}
