//! How each aggregate that is cached is loaded: from the store's writer, which is behind nothing, or from a replica.

use std::sync::Arc;

use uuid::Uuid;

use super::codec::Cacheable;
use crate::error::Result;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::Product;
use crate::model::ProductId;
use crate::resilience::Deadline;
use crate::spi::store::Readers;
use crate::spi::store::Store;

/// An aggregate that can be loaded many at once.
pub(crate) trait Loadable: Cacheable {
    /// These aggregates, in the order asked, `None` for an absent one.
    fn read(
        readers: &Readers,
        ids: &[Uuid],
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<Option<Arc<Self>>>>> + Send;

    /// The same from the store's writer.
    fn load(
        store: &dyn Store,
        ids: &[Uuid],
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<Option<Arc<Self>>>>> + Send {
        Self::read(store.readers(), ids, deadline)
    }
}

impl Loadable for Product {
    async fn read(readers: &Readers, ids: &[Uuid], deadline: Deadline) -> Result<Vec<Option<Arc<Self>>>> {
        let ids: Vec<_> = ids.iter().copied().map(ProductId::from).collect();
        readers.product()?.get_many(&ids, deadline).await
    }
}

impl Loadable for Cart {
    async fn read(readers: &Readers, ids: &[Uuid], deadline: Deadline) -> Result<Vec<Option<Arc<Self>>>> {
        let ids: Vec<_> = ids.iter().copied().map(CartId::from).collect();
        readers.cart()?.get_many(&ids, deadline).await
    }
}
