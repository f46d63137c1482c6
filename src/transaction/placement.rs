//! Which store holds which aggregate: the one place that knows.
//!
//! - Reads are routed by the aggregate, a write set goes to the one store that holds all that it concerns. One that
//!   concerns two is refused: nothing here could make it whole or not at all.
//! - Repositories ask the context for readers and hand it their sets; where they lead is not their business.

use std::sync::Arc;
use std::time::Duration;

use super::products_apart;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::spi::store::Readers;
use crate::spi::store::Store;
use crate::spi::store::WriteSet;

/// How many kinds of aggregates there are.
const KINDS: usize = Aggregate::ALL.len();

/// A store of a shop.
#[derive(Debug)]
pub(crate) struct Home {
    /// What it is called in errors, and where its partitions have to be told from those of other stores.
    pub(crate) name: String,
    pub(crate) store: Arc<dyn Store>,
    readers: Readers,
}

/// The stores of a shop, and which of them holds which aggregate.
#[derive(Debug)]
pub(crate) struct Placement {
    /// The first holds whatever is not placed elsewhere.
    homes: Vec<Home>,
    /// The place in `homes` of each kind, by its place in [`Aggregate::ALL`].
    of: [usize; KINDS],
}

impl Placement {
    /// The name of the store that holds whatever is not placed elsewhere.
    const MAIN: &'static str = "main";

    /// The main store, and those that hold what is named with them; the caller has checked that they can.
    pub(crate) fn new(main: Arc<dyn Store>, placed: Vec<(Vec<Aggregate>, Arc<dyn Store>)>) -> Self {
        let mut of = [0; KINDS];
        let mut stores = vec![main];
        for (aggregates, store) in placed {
            let known = stores.iter().position(|known| Arc::ptr_eq(known, &store));
            let index = known.unwrap_or(stores.len());
            if known.is_none() {
                stores.push(store);
            }
            for aggregate in aggregates {
                of[aggregate as usize] = index;
            }
        }
        let apart = of[Aggregate::Product as usize] != of[Aggregate::Level as usize];
        let home = |(index, store): (usize, Arc<dyn Store>)| Home {
            name: name(index, &of),
            readers: readers(store.readers().clone(), apart),
            store,
        };
        Self {
            homes: stores.into_iter().enumerate().map(home).collect(),
            of,
        }
    }

    /// The store of an aggregate.
    pub(crate) fn store(&self, aggregate: Aggregate) -> &Arc<dyn Store> {
        &self.home(aggregate).store
    }

    /// The readers of the store of an aggregate.
    pub(crate) fn readers(&self, aggregate: Aggregate) -> &Readers {
        &self.home(aggregate).readers
    }

    /// The readers of the store of an aggregate among those of [`tolerant`](Self::tolerant).
    pub(crate) fn among<'a>(&self, tolerant: &'a [Readers], aggregate: Aggregate) -> &'a Readers {
        &tolerant[self.of[aggregate as usize]]
    }

    /// Readers of each store whose answers may be so old; `None` where no store has any.
    pub(crate) fn tolerant(&self, bound: Duration) -> Option<Arc<[Readers]>> {
        let tolerant: Vec<_> = self.homes.iter().map(|home| home.store.tolerant(bound)).collect();
        if tolerant.iter().all(Option::is_none) {
            return None;
        }
        let apart = !self.together(Aggregate::Product, Aggregate::Level);
        let of_home = |(home, found): (&Home, Option<Readers>)| {
            found.map_or_else(|| home.readers.clone(), |found| readers(found, apart))
        };
        Some(self.homes.iter().zip(tolerant).map(of_home).collect())
    }

    /// Every store, the main one first.
    pub(crate) fn homes(&self) -> &[Home] {
        &self.homes
    }

    /// The store of an aggregate, with its name.
    pub(crate) fn home(&self, aggregate: Aggregate) -> &Home {
        &self.homes[self.of[aggregate as usize]]
    }

    /// Whether two aggregates can be written in one set.
    pub(crate) fn together(&self, one: Aggregate, other: Aggregate) -> bool {
        self.of[one as usize] == self.of[other as usize]
    }

    /// Rises whenever a store is restored: the sum of the stores' epochs, which never fall. With one store it is its epoch.
    pub(crate) fn epoch(&self) -> i64 {
        self.homes
            .iter()
            .fold(0, |sum, home| home.store.epoch().saturating_add(sum))
    }

    /// The one store that takes this set; the set is of that store's epoch then.
    ///
    /// # Errors
    /// - `Unsupported` when it concerns two stores.
    /// - `Conflict` when a store was restored since the set was begun.
    pub(crate) fn route(&self, set: &mut WriteSet) -> Result<&Arc<dyn Store>> {
        if let [only] = self.homes.as_slice() {
            return Ok(&only.store);
        }
        let mut kinds = concerned(set);
        let first = kinds.next();
        let home = first.map_or(&self.homes[0], |kind| self.home(kind));
        if let (Some(first), Some(other)) = (first, kinds.find(|kind| !std::ptr::eq(self.home(*kind), home)))
        {
            return Err(self.refusal(first, other));
        }
        drop(kinds);
        // The store's own epoch first: if it rises now, the sum shows it.
        let epoch = home.store.epoch();
        if self.epoch() != set.epoch {
            let message = "a store of the shop was restored meanwhile: read again";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        set.epoch = epoch;
        Ok(&home.store)
    }

    /// The reads of a set that writes nothing, as one set for each store.
    ///
    /// - Versions only rise. What holds at the last check held at the first: checked one after the other, all of the reads
    ///   held together at the moment of the first check.
    pub(crate) fn split(&self, set: &WriteSet) -> Vec<WriteSet> {
        let of_home = |home: &Home| {
            let mut part = set.clone();
            part.reads
                .retain(|read| std::ptr::eq(self.home(read.aggregate), home));
            (!part.reads.is_empty()).then_some(part)
        };
        self.homes.iter().filter_map(of_home).collect()
    }

    fn refusal(&self, one: Aggregate, other: Aggregate) -> Error {
        let place = |kind| {
            let Home { name, store, .. } = self.home(kind);
            format!("{kind} lies in store {name} ({})", store.capability().engine)
        };
        let message = format!(
            "one write cannot span two stores: {}, {}; write and read them in separate calls",
            place(one),
            place(other)
        );
        Error::new(ErrorKind::Unsupported, message)
    }
}

/// The kinds of aggregates that a set concerns: what it writes, rests on, claims and gives up.
fn concerned(set: &WriteSet) -> impl Iterator<Item = Aggregate> + '_ {
    let written = set.puts.iter().map(|put| put.record.aggregate());
    let deleted = set.deletes.iter().map(|delete| delete.aggregate);
    let changed = set.deltas.iter().map(|delta| delta.aggregate());
    let read = set.reads.iter().map(|read| read.aggregate);
    let claimed = set.claims.iter().filter_map(|claim| claim.key.aggregate());
    let released = set.releases.iter().filter_map(|(key, _)| key.aggregate());
    written
        .chain(deleted)
        .chain(changed)
        .chain(read)
        .chain(claimed)
        .chain(released)
}

/// The main store is called so; each other one by what it holds, so that its name does not depend on the order in which
/// the stores were named.
fn name(index: usize, of: &[usize; KINDS]) -> String {
    if index == 0 {
        return Placement::MAIN.to_owned();
    }
    let held = Aggregate::ALL.iter().filter(|kind| of[**kind as usize] == index);
    let held: Vec<_> = held.map(|kind| kind.as_str()).collect();
    held.join("+")
}

/// A store's readers, as far as they can answer where products and stock lie apart.
fn readers(mut readers: Readers, apart: bool) -> Readers {
    if apart {
        readers.product = readers.product.map(products_apart::refusing);
    }
    readers
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::backend::SqliteOptions;
    use crate::backend::SqliteStore;
    use crate::model::Actor;
    use crate::model::ClaimKey;
    use crate::model::RowKey;
    use crate::spi::store::ReadCheck;

    async fn memory() -> Arc<dyn Store> {
        let options = SqliteOptions::new("sqlite::memory:");
        Arc::new(SqliteStore::open(options).await.unwrap())
    }

    async fn carts_apart() -> Placement {
        Placement::new(memory().await, vec![(vec![Aggregate::Cart], memory().await)])
    }

    fn read(aggregate: Aggregate) -> ReadCheck {
        ReadCheck {
            aggregate,
            key: RowKey::Id(Uuid::now_v7()),
            version: None,
        }
    }

    #[tokio::test]
    async fn a_store_is_named_by_what_it_holds_whenever_it_was_named() {
        let (main, other) = (memory().await, memory().await);
        let placed = [Aggregate::Cart, Aggregate::Product].map(|kind| (vec![kind], Arc::clone(&other)));
        let placement = Placement::new(main, placed.to_vec());
        assert_eq!(placement.homes().len(), 2);
        assert_eq!(placement.home(Aggregate::Order).name, "main");
        assert_eq!(placement.home(Aggregate::Cart).name, "product+cart");
        assert!(placement.together(Aggregate::Product, Aggregate::Cart));
    }

    #[tokio::test]
    async fn a_set_of_claims_alone_goes_where_its_aggregate_lies() {
        let placement = carts_apart().await;
        let mut set = WriteSet::new(Actor::system());
        set.claim(ClaimKey::new(ClaimKey::CART_OWNER, "x"), Uuid::now_v7());
        let store = Arc::clone(placement.route(&mut set).unwrap());
        assert!(Arc::ptr_eq(&store, placement.store(Aggregate::Cart)));
        set.claim(ClaimKey::new(ClaimKey::PRODUCT_SKU, "x"), Uuid::now_v7());
        let error = placement.route(&mut set).unwrap_err();
        assert!(error.is(ErrorKind::Unsupported));
    }

    #[tokio::test]
    async fn reads_of_two_stores_are_split_between_them() {
        let placement = carts_apart().await;
        let mut set = WriteSet::new(Actor::system());
        for kind in [Aggregate::Cart, Aggregate::Order, Aggregate::Cart] {
            set.read(read(kind));
        }
        let parts = placement.split(&set);
        let kinds: Vec<Vec<_>> = parts
            .iter()
            .map(|part| part.reads.iter().map(|read| read.aggregate).collect())
            .collect();
        assert_eq!(
            kinds,
            [vec![Aggregate::Order], vec![Aggregate::Cart, Aggregate::Cart]]
        );
    }
}
