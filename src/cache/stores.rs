//! Where what is cached lies: a shop may keep products and carts in different stores.

use std::sync::Arc;

use crate::model::Aggregate;
use crate::spi::changes::ChangeSource;
use crate::spi::store::Store;

/// The store of each aggregate that is cached.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) products: Arc<dyn Store>,
    pub(crate) carts: Arc<dyn Store>,
}

impl Stores {
    /// The store of an aggregate; whatever is not cached is asked of the products' store.
    pub(super) fn of(&self, aggregate: Aggregate) -> &Arc<dyn Store> {
        match aggregate {
            Aggregate::Cart => &self.carts,
            _ => &self.products,
        }
    }

    /// The one feed that tells all changes of what is cached. Where two would have to be followed there is none: values are
    /// then kept in the process for no longer than where nobody tells.
    pub(super) fn feed(&self) -> Option<Arc<dyn ChangeSource>> {
        Some(&self.products)
            .filter(|store| Arc::ptr_eq(store, &self.carts))
            .and_then(|store| store.changes())
    }

    /// Whether a sink can be fed with some of the changes at least.
    pub(super) fn have_feeds(&self) -> bool {
        self.products.changes().is_some() || self.carts.changes().is_some()
    }
}
