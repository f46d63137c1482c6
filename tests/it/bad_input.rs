//! What nobody should ask for is refused with the field or the entity named, and changes nothing.

mod numbers;
mod pages;
mod texts;
mod unknown;

use stockroom::CartId;
use stockroom::Charge;
use stockroom::Currency;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::HoldLine;
use stockroom::OrderId;
use stockroom::Owner;
use stockroom::Pay;
use stockroom::PaymentId;
use stockroom::Place;
use stockroom::ProductId;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::reference;
use crate::support::sku;
use crate::support::units;

/// A shop with one of everything.
struct Furnished {
    ground: Ground,
    shop: Shop,
    product: ProductId,
    /// One mug in US dollars.
    cart: CartId,
    /// The same in euros, which the mug has no price in.
    foreign: CartId,
    /// One mug, placed.
    order: OrderId,
    payment: PaymentId,
}

impl Furnished {
    async fn new(ground: Ground) -> Self {
        let shop = ground.open().await;
        let product = shop.stock("MUG", 100).await.id;
        let cart = shop.cart(&[("MUG", 1)]).await;
        let foreign = shop
            .carts()
            .create_in(Owner::Guest, Currency::EUR)
            .await
            .unwrap()
            .id;
        shop.carts().add(foreign, "MUG", 1).await.unwrap();
        let ordered = shop.cart(&[("MUG", 1)]).await;
        let order = shop
            .checkout()
            .place(Place::cart(ordered).key(key("placed")))
            .await
            .unwrap()
            .order
            .id;
        let bought = shop.cart(&[("MUG", 1)]).await;
        let charge = |due: Due| async { Ok::<_, Error>(Charge::captured(reference(due.provider_key))) };
        let paid = shop
            .checkout()
            .pay(Pay::cart(bought).key(key("paid")), charge)
            .await
            .unwrap();
        let payment = shop.payments().for_order(paid.order().id).await.unwrap()[0].id;
        let line = HoldLine {
            sku: sku("MUG"),
            location: berlin(),
            quantity: units(1),
        };
        shop.inventory()
            .hold(&[line], std::time::Duration::from_secs(600))
            .await
            .unwrap();
        Self {
            ground,
            shop,
            product,
            cart,
            foreign,
            order,
            payment,
        }
    }

    /// Demands that what was done in between changed nothing.
    async fn unchanged(&self, attempts: impl AsyncFnOnce()) {
        let before = self.ground.dump().await;
        attempts().await;
        assert_eq!(self.ground.dump().await, before);
        self.shop.assert_sound().await;
    }
}

/// Demands a refusal of this field.
fn invalid<T>(outcome: Result<T, Error>, field: &str) {
    let Err(error) = outcome else {
        panic!("{field} was accepted")
    };
    assert_eq!(
        (error.kind(), error.invalid_field()),
        (ErrorKind::InvalidInput, Some(field)),
        "{error:?}"
    );
}

/// Demands a refusal of another kind that names the entity.
fn refused<T>(outcome: Result<T, Error>, kind: ErrorKind, entity: impl ToString) {
    let entity = entity.to_string();
    let Err(error) = outcome else {
        panic!("{entity} was accepted")
    };
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(
        error.subject().is_some_and(|subject| subject.contains(&entity)),
        "{entity} is not named: {error:?}"
    );
}
