//! A shop that tests can stock, and look through for what must never be.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use stockroom::Builder;
use stockroom::CartId;
use stockroom::Currency;
use stockroom::Error;
use stockroom::IdempotencyKey;
use stockroom::Level;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Order;
use stockroom::OrderQuery;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::PostgresStore;
use stockroom::Product;
use stockroom::Quantity;
use stockroom::Reference;
use stockroom::Sku;
use stockroom::Stockroom;

/// Longer than a loaded machine takes for any call.
const PATIENCE: Duration = Duration::from_secs(60);

/// A shop and the clock of its store.
#[derive(Clone)]
pub(crate) struct Shop {
    room: Stockroom,
    shift: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl Deref for Shop {
    type Target = Stockroom;

    fn deref(&self) -> &Stockroom {
        &self.room
    }
}

impl Shop {
    pub(super) async fn new(builder: Builder, shift: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        let room = builder.deadline(PATIENCE).open().await.unwrap();
        Self {
            room,
            shift: Arc::new(shift),
        }
    }

    /// A shop whose clock stands where it stands.
    pub(crate) async fn of(builder: Builder) -> Self {
        Self::new(builder, |_| panic!("this shop's clock cannot be moved")).await
    }

    /// A shop on a store that was opened in a way of the test's own.
    pub(crate) async fn on(store: PostgresStore) -> Self {
        let store = Arc::new(store);
        let clock = Arc::clone(&store);
        Self::new(Stockroom::builder().store_arc(store), move |by| {
            clock.shift_clock(by)
        })
        .await
    }

    /// The same shop whose reads may be so old.
    pub(crate) fn stale_up_to(&self, bound: Duration) -> Self {
        Self {
            room: self.room.stale_up_to(bound),
            shift: Arc::clone(&self.shift),
        }
    }

    /// The same shop with another deadline.
    pub(crate) fn within(&self, deadline: Duration) -> Self {
        Self {
            room: self.room.with_deadline(deadline),
            shift: Arc::clone(&self.shift),
        }
    }

    /// Moves the clock of the store that this shop was opened with.
    pub(crate) fn shift_clock(&self, by: Duration) {
        (self.shift)(by);
    }

    /// A product of one variant at 9.00 USD, and so many units of it in Berlin.
    pub(crate) async fn stock(&self, sku: &str, units: i64) -> Arc<Product> {
        let price = Money::new(9_00, Currency::USD);
        let product = self
            .products()
            .create(NewProduct::new("Mug").variant(sku, price))
            .await
            .unwrap();
        if units > 0 {
            self.inventory().receive(sku, &berlin(), units).await.unwrap();
        }
        product
    }

    /// A guest's cart with these lines, in this order.
    pub(crate) async fn cart(&self, lines: &[(&str, i64)]) -> CartId {
        self.try_cart(lines).await.unwrap()
    }

    pub(crate) async fn try_cart(&self, lines: &[(&str, i64)]) -> Result<CartId, Error> {
        let lines: Vec<_> = lines
            .iter()
            .map(|(name, count)| (sku(name), units(*count)))
            .collect();
        self.transaction(|tx| {
            let lines = lines.clone();
            async move {
                let cart = tx.carts().create(Owner::Guest)?;
                for (sku, count) in &lines {
                    tx.carts().add(cart.id, sku, *count)?;
                }
                Ok::<_, Error>(cart.id)
            }
        })
        .await
    }

    /// The level of a SKU in Berlin.
    pub(crate) async fn level(&self, sku: &str) -> Level {
        self.inventory().level(sku, &berlin()).await.unwrap().unwrap()
    }

    /// Every order.
    pub(crate) async fn every_order(&self) -> Vec<Arc<Order>> {
        let mut orders = Vec::new();
        let mut page = PageRequest::new(200).unwrap();
        loop {
            let found = self.orders().list(&OrderQuery::default(), page).await.unwrap();
            orders.extend(found.items);
            match found.next {
                Some(next) => page = PageRequest::new(200).unwrap().after(next),
                None => return orders,
            }
        }
    }

    /// Demands that the ledger adds up and that what is allocated is what placed orders wait for.
    pub(crate) async fn assert_sound(&self) {
        let report = self.inventory().verify_ledger().await.unwrap();
        assert!(report.is_consistent(), "{report:?}");
        let mut awaited: BTreeMap<(Sku, LocationId), i64> = BTreeMap::new();
        for order in self.every_order().await {
            let waits = order.status == OrderStatus::Placed;
            for line in &order.lines {
                let sum = awaited
                    .entry((line.sku.clone(), line.location.clone()))
                    .or_default();
                *sum += if waits {
                    line.quantity.get() - line.shipped
                } else {
                    0
                };
            }
        }
        let skus: Vec<Sku> = awaited.keys().map(|(sku, _)| sku.clone()).collect();
        let levels = self.inventory().levels_many(&skus).await.unwrap();
        for ((sku, location), sum) in awaited {
            let level = levels
                .iter()
                .find(|level| level.sku == sku && level.location == location);
            assert_eq!(
                level.map_or(0, |level| level.allocated),
                sum,
                "allocated of {sku} in {location}"
            );
        }
    }
}

pub(crate) fn berlin() -> LocationId {
    LocationId::new("berlin").unwrap()
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

pub(crate) fn units(number: i64) -> Quantity {
    Quantity::new(number).unwrap()
}

pub(crate) fn key(text: impl Into<String>) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

pub(crate) fn reference(text: impl Into<String>) -> Reference {
    Reference::new(text).unwrap()
}

pub(crate) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}
