//! The readers: keyed reads see every commit that returned before them; lists are found by indexes, which may be behind by
//! moments, and what was found is read itself.

mod carts;
mod inventory;
mod keys;
mod list;
mod orders;
mod payments;
mod products;

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::commit::OWNER;
use super::fetch::Found;
use super::item::Map;
use super::item::Read as _;
use super::keys::Key;
use super::records::VERSION;
use super::wire::Wire;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::resilience::Deadline;
use crate::spi::store::Readers;

/// All readers over the tables.
pub(super) fn readers(wire: &Arc<Wire>) -> Readers {
    Readers {
        product: Some(Arc::new(products::Products(wire.clone()))),
        cart: Some(Arc::new(carts::Carts(wire.clone()))),
        order: Some(Arc::new(orders::Orders(wire.clone()))),
        payment: Some(Arc::new(payments::Payments(wire.clone()))),
        inventory: Some(Arc::new(inventory::Inventory(wire.clone()))),
        claim: Some(Arc::new(keys::Claims(wire.clone()))),
        history: Some(Arc::new(keys::History(wire.clone()))),
    }
}

impl Wire {
    /// The roots of an aggregate by id; what was removed is not in it.
    async fn roots(
        &self,
        aggregate: Aggregate,
        ids: &[Uuid],
        deadline: Deadline,
    ) -> Result<HashMap<Uuid, Map>> {
        let keys: Vec<Key> = ids
            .iter()
            .map(|id| Key::root(aggregate, &RowKey::Id(*id)))
            .collect();
        let found = self.get(keys, deadline).await?;
        let there = found.into_values().filter(|item| item.contains_key(VERSION));
        there.map(|item| Ok((item.get_id("id")?, item))).collect()
    }

    /// Who has these unique keys.
    async fn owners(&self, mut places: Vec<Key>, deadline: Deadline) -> Result<Found> {
        // What is too long to be a key cannot be taken either.
        places.retain(|place| place.pk.len() <= super::keys::LONGEST);
        self.get(places, deadline).await
    }
}

fn owner(found: &Found, space: &str, key: &str) -> Result<Option<Uuid>> {
    let item = found.get(&Key::claim(space, key));
    item.map(|item| item.get_id(OWNER)).transpose()
}

/// Aggregates in the order in which they were asked for, `None` for those that are absent.
fn in_order<T>(
    ids: &[Uuid],
    found: &HashMap<Uuid, Map>,
    read: impl Fn(&Map) -> Result<Option<Arc<T>>>,
) -> Result<Vec<Option<Arc<T>>>> {
    // What is asked for twice is read once.
    let mut read_before: HashMap<Uuid, Option<Arc<T>>> = HashMap::new();
    let one = |id: &Uuid| {
        if let Some(known) = read_before.get(id) {
            return Ok(known.clone());
        }
        let one = match found.get(id) {
            Some(item) => read(item)?,
            None => None,
        };
        read_before.insert(*id, one.clone());
        Ok(one)
    };
    ids.iter().map(one).collect()
}

fn bad_cursor() -> Error {
    Error::invalid("after", "is not a cursor of this list")
}
