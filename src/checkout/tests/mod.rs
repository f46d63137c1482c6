//! The flow on the embedded store: what one caller sees, and what several callers of one key see.

mod in_parts;
mod pay;
mod place;

use std::sync::Arc;

use crate::backend::SqliteOptions;
use crate::backend::SqliteStore;
use crate::model::Cart;
use crate::model::Currency;
use crate::model::IdempotencyKey;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::NewProduct;
use crate::model::Owner;
use crate::model::Price;
use crate::model::Sku;
use crate::model::TaxRate;
use crate::model::Variant;
use crate::shop::Stockroom;
use crate::spi::store::Store;

struct Bench {
    shop: Stockroom,
    store: Arc<SqliteStore>,
}

/// A shop with ten mugs at 9.00, and taxed cups at two places.
async fn bench() -> Bench {
    let store = Arc::new(
        SqliteStore::open(SqliteOptions::new("sqlite::memory:"))
            .await
            .unwrap(),
    );
    let shared: Arc<dyn Store> = store.clone();
    let shop = Stockroom::builder().store_arc(shared).open().await.unwrap();
    let cup = Variant::new(Sku::new("CUP").unwrap(), usd(3_33))
        .price(Price::new(usd(3_00)).at_least(5))
        .tax(TaxRate::basis_points(7_00).unwrap());
    shop.products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9_00)))
        .await
        .unwrap();
    shop.products()
        .create(NewProduct::new("Cup").variant_with(cup))
        .await
        .unwrap();
    shop.inventory()
        .receive("MUG", &place("berlin"), 10)
        .await
        .unwrap();
    shop.inventory()
        .receive("CUP", &place("berlin"), 4)
        .await
        .unwrap();
    shop.inventory().receive("CUP", &place("paris"), 3).await.unwrap();
    Bench { shop, store }
}

impl Bench {
    async fn cart(&self, lines: &[(&str, i64)]) -> Arc<Cart> {
        let cart = self.shop.carts().create(Owner::Guest).await.unwrap();
        for (sku, quantity) in lines {
            self.shop.carts().add(cart.id, *sku, *quantity).await.unwrap();
        }
        self.shop.carts().require(cart.id).await.unwrap()
    }

    async fn available(&self, sku: &str) -> i64 {
        self.shop
            .inventory()
            .levels(sku)
            .await
            .unwrap()
            .iter()
            .map(|level| level.available())
            .sum()
    }

    async fn is_consistent(&self) -> bool {
        self.shop
            .inventory()
            .verify_ledger()
            .await
            .unwrap()
            .is_consistent()
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

fn place(name: &str) -> LocationId {
    LocationId::new(name).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}
