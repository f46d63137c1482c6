//! A mixed load on a shop, and what its callers were told: nothing of it may be lost, nothing may have happened twice.

use std::collections::BTreeSet;

use stockroom::CartId;
use stockroom::Currency;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::OrderId;
use stockroom::Owner;
use stockroom::Place;
use stockroom::ProductId;

use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::key;
use crate::support::sku;

/// Callers at once.
pub(super) const CALLERS: usize = 16;

/// Units that no load sells.
const PLENTY: i64 = 1_000_000;

/// What one caller was told, or all of them.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Calls of the shop that write.
    pub(super) operations: usize,
    /// Units that came in.
    received: i64,
    created: Vec<ProductId>,
    /// SKUs of products that are said not to have been created.
    denied: Vec<String>,
    ordered: Vec<OrderId>,
    /// The carts of the callers, with the units that were put into each.
    carts: Vec<(CartId, i64)>,
    pub(super) errors: Vec<Error>,
}

impl Told {
    fn merge(&mut self, other: Self) {
        self.operations += other.operations;
        self.received += other.received;
        self.created.extend(other.created);
        self.denied.extend(other.denied);
        self.ordered.extend(other.ordered);
        self.carts.extend(other.carts);
        self.errors.extend(other.errors);
    }

    /// The kinds of the errors.
    pub(super) fn kinds(&self) -> BTreeSet<String> {
        let kinds = self.errors.iter().map(|error| format!("{:?}", error.kind()));
        kinds.collect()
    }
}

/// Stocks a shop before anything goes wrong; a cart for each caller.
pub(super) async fn prepare(shop: &Shop) -> Vec<CartId> {
    shop.stock("MUG", PLENTY).await;
    shop.inventory().receive("INBOX", &berlin(), 1).await.unwrap();
    let mut carts = Vec::new();
    for _ in 0..CALLERS {
        carts.push(shop.carts().create(Owner::Guest).await.unwrap().id);
    }
    carts
}

/// So many operations, one after the other of each kind: products, units that come in, carts, orders of them by key, cart
/// lines.
pub(super) async fn load(shop: &Shop, carts: Vec<CartId>, operations: usize) -> Told {
    let seller = shop.clone();
    let told = crowd(CALLERS, move |caller| {
        let (shop, cart) = (seller.clone(), carts[caller]);
        async move {
            let mut told = Told {
                carts: vec![(cart, 0)],
                ..Told::default()
            };
            let mut number = caller;
            while told.operations < operations.div_ceil(CALLERS) {
                let done = match number / CALLERS % 4 {
                    0 => create(&shop, number, &mut told).await,
                    1 => receive(&shop, &mut told).await,
                    2 => order(&shop, number, &mut told).await,
                    _ => add(&shop, cart, &mut told).await,
                };
                told.errors.extend(done.err());
                number += CALLERS;
            }
            told
        }
    });
    let mut all = Told::default();
    told.await.into_iter().for_each(|told| all.merge(told));
    all
}

async fn create(shop: &Shop, number: usize, told: &mut Told) -> Result<(), Error> {
    told.operations += 1;
    let name = format!("NEW-{number}");
    let price = Money::new(4_00, Currency::USD);
    match shop
        .products()
        .create(NewProduct::new("New").variant(name.as_str(), price))
        .await
    {
        Ok(product) => told.created.push(product.id),
        Err(error) => {
            told.denied.push(name);
            return Err(error);
        }
    }
    Ok(())
}

async fn receive(shop: &Shop, told: &mut Told) -> Result<(), Error> {
    told.operations += 1;
    shop.inventory().receive("INBOX", &berlin(), 1).await?;
    told.received += 1;
    Ok(())
}

/// An order; where it is refused, it is asked for once more with the same key, as an application does.
async fn order(shop: &Shop, number: usize, told: &mut Told) -> Result<(), Error> {
    told.operations += 1;
    let cart = shop.try_cart(&[("MUG", 1)]).await?;
    told.operations += 1;
    let place = Place::cart(cart).key(key(format!("order-{number}")));
    let first = match shop.checkout().place(place.clone()).await {
        Ok(placed) => {
            assert!(!placed.replayed, "nobody had used this key");
            told.ordered.push(placed.order.id);
            return Ok(());
        }
        Err(error) => error,
    };
    told.operations += 1;
    let again = shop.checkout().place(place).await;
    if let Ok(placed) = &again {
        assert!(
            !placed.replayed,
            "it was placed, and its caller was told {first:?}"
        );
        told.ordered.push(placed.order.id);
    }
    told.errors.push(first);
    again.map(drop)
}

async fn add(shop: &Shop, cart: CartId, told: &mut Told) -> Result<(), Error> {
    told.operations += 1;
    shop.carts().add(cart, "MUG", 1).await?;
    told.carts[0].1 += 1;
    Ok(())
}

/// Demands that the shop is as its callers were told, and that none was left in doubt.
pub(super) async fn assert_true(shop: &Shop, told: &Told) {
    let doubts = told
        .errors
        .iter()
        .filter(|error| error.is(ErrorKind::OutcomeUnknown));
    assert_eq!(doubts.count(), 0, "there was time to find out");
    let inbox = shop.level("INBOX").await;
    assert_eq!(inbox.on_hand, told.received + 1);
    // One version a batch at most: a version without a movement would be a write that nobody asked for.
    assert!(inbox.version.get() <= told.received.unsigned_abs() + 1);
    for (cart, units) in &told.carts {
        let lines = shop.carts().require(*cart).await.unwrap().lines.clone();
        let stored: i64 = lines.iter().map(|line| line.quantity.get()).sum();
        assert_eq!(stored, *units);
    }
    let created = shop.products().get_many(&told.created).await.unwrap();
    assert!(created.iter().all(Option::is_some), "a product was lost");
    for denied in &told.denied {
        let found = shop.products().find_by_sku(sku(denied)).await.unwrap();
        assert!(found.is_none(), "a product is there that was refused");
    }
    let stored: BTreeSet<_> = shop.every_order().await.iter().map(|order| order.id).collect();
    let ordered: BTreeSet<_> = told.ordered.iter().copied().collect();
    assert_eq!(
        ordered.len(),
        told.ordered.len(),
        "two calls were given one order"
    );
    assert_eq!(stored, ordered);
    let allocated = shop.level("MUG").await.allocated;
    assert_eq!(allocated, i64::try_from(ordered.len()).unwrap());
    shop.assert_sound().await;
}
