//! The unit of work: reads with their versions, staged writes, and the handles that applications use.

mod carts;
mod inventory;
mod orders;
mod payments;
mod products;
mod work;

pub use carts::TxCarts;
pub use inventory::TxInventory;
pub use orders::TxOrders;
pub use payments::TxPayments;
pub use products::TxProducts;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use work::Row;
use work::Staged;
use work::Work;

use super::context::Context;
use crate::error::Result;
use crate::model::text::check_line;
use crate::resilience::Deadline;
use crate::spi::store::WriteSet;

/// A unit of work: what a closure given to [`Stockroom::transaction`](crate::Stockroom::transaction) works
/// with.
///
/// - Reads go to the system of record, are remembered with their versions, and are repeatable: a row read
///   twice is the same row. At commit every row that was read must still be what it was; else the closure
///   runs again.
/// - Writes are staged and written when the closure has returned `Ok`, all or none. Reads see them.
/// - A row has one new state or many deltas in one unit of work: replace it first, then add to it.
/// - Clones are the same unit of work. After the closure has returned every call is `InvalidInput`.
/// - Nothing is locked, and no database transaction is open, while the closure runs.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use stockroom::{Currency, Error, LocationId, Money, NewProduct, Quantity, Sku, Stockroom};
///
/// let shop = Stockroom::open("sqlite::memory:").await?;
/// let (sku, berlin) = (Sku::new("MUG")?, LocationId::new("berlin")?);
/// shop.transaction(|tx| {
///     let (sku, berlin) = (sku.clone(), berlin.clone());
///     async move {
///         tx.products().create(NewProduct::new("Mug").variant(sku.clone(), Money::new(9_00, Currency::USD)))?;
///         tx.inventory().receive(&sku, &berlin, Quantity::new(10)?)?;
///         Ok::<_, Error>(())
///     }
/// })
/// .await?;
/// assert_eq!(shop.inventory().levels("MUG").await?[0].on_hand, 10);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Tx {
    context: Context,
    deadline: Deadline,
    /// The set to be filled: it is of the epoch in which the closure began to read.
    set: WriteSet,
    work: Arc<Mutex<Work>>,
}

impl Tx {
    pub(crate) fn begin(context: Context, deadline: Deadline) -> Self {
        Self {
            set: context.write_set(),
            context,
            deadline,
            work: Arc::default(),
        }
    }

    /// Products in this unit of work.
    pub fn products(&self) -> TxProducts {
        TxProducts(self.clone())
    }

    /// Carts in this unit of work.
    pub fn carts(&self) -> TxCarts {
        TxCarts(self.clone())
    }

    /// Orders in this unit of work.
    pub fn orders(&self) -> TxOrders {
        TxOrders(self.clone())
    }

    /// Payments in this unit of work.
    pub fn payments(&self) -> TxPayments {
        TxPayments(self.clone())
    }

    /// Stock in this unit of work.
    pub fn inventory(&self) -> TxInventory {
        TxInventory(self.clone())
    }

    /// Names what happens, in the application's words, for the history of everything that the unit of work
    /// writes.
    ///
    /// # Errors
    /// `InvalidInput`, field `event`, unless it is 1 to 64 characters on one line.
    pub fn event(&self, name: impl Into<String>) -> Result<()> {
        let name = name.into();
        check_line("event", &name, 1..=64)?;
        self.open()?.event(name);
        Ok(())
    }

    /// Ends the unit of work: its whole set, or only its reads, and whether it read anything.
    pub(crate) fn finish(&self, with_writes: bool) -> (WriteSet, bool) {
        self.lock().finish(self.set.clone(), with_writes)
    }

    /// The state, as long as the closure runs.
    fn open(&self) -> Result<MutexGuard<'_, Work>> {
        let work = self.lock();
        work.check_open()?;
        Ok(work)
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        // The state is changed in single steps that cannot panic half-way.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a row: from what is known already, or from the store.
    async fn read<T: Staged>(
        &self,
        row: Row,
        fetch: impl Future<Output = Result<Option<Arc<T>>>> + Send,
    ) -> Result<Option<Arc<T>>> {
        let known = self
            .open()?
            .known(&row)
            .map(|known| known.and_then(T::of).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let found = fetch.await?;
        self.remember(row, found)
    }

    /// Records what the store answered for a row, and gives what the unit of work shall see.
    fn remember<T: Staged>(&self, row: Row, found: Option<Arc<T>>) -> Result<Option<Arc<T>>> {
        let seen = self.open()?.saw(row, found.map(T::into_record));
        Ok(seen.as_ref().and_then(T::of).cloned())
    }
}

/// The only answer to a question about one key.
fn single<T>(answers: Vec<Option<T>>) -> Option<T> {
    answers.into_iter().next().flatten()
}
