//! What the callers of a batch do: between them they write to every table.

use std::time::Duration;

use stockroom::Actor as StockroomActor;
use stockroom::CartId;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::HoldLine;
use stockroom::NewProduct;
use stockroom::OrderStatus;
use stockroom::PageRequest;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::Place;
use stockroom::Provider;
use stockroom::Quote;
use stockroom::Stockroom;
use stockroom::UserId;
use stockroom::Version;

use super::Call;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::reference;
use crate::support::sku;
use crate::support::units;
use crate::support::usd;

/// A SKU that everybody takes a unit of.
pub(super) const SHARED: &str = "SHARED";

pub(super) const KINDS: [Kind; 5] = [Kind::Create, Kind::Add, Kind::Hold, Kind::Place, Kind::Pay];

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Create,
    Add,
    Hold,
    Place,
    Pay,
}

/// A caller with goods, a cart and a name of its own.
pub(super) struct Actor {
    kind: Kind,
    name: String,
    user: UserId,
    cart: CartId,
    quote: Quote,
}

impl std::fmt::Debug for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {}", self.kind, self.name)
    }
}

impl Actor {
    pub(super) async fn prepare(shop: &Shop, kind: Kind, name: String) -> Self {
        shop.stock(&name, 10).await;
        let cart = shop.cart(&[(&name, 1), (SHARED, 1)]).await;
        Self {
            kind,
            user: UserId::new(),
            cart,
            quote: shop.checkout().quote(cart).await.unwrap(),
            name,
        }
    }

    /// What is in each row that it writes, in small letters: its name, itself, or its cart.
    pub(super) fn marks(&self) -> Vec<String> {
        vec![self.name.clone(), self.user.to_string(), self.cart.to_string()]
    }

    /// Does what it came for; how many units of the shared SKU it has got.
    pub(super) fn act(&self, shop: &Shop) -> Call<Result<i64, Error>> {
        let theirs = shop.acting(StockroomActor::user(self.user));
        let name = self.name.clone();
        match self.kind {
            Kind::Create => Box::pin(create(theirs, format!("{name}-new"))),
            Kind::Add => Box::pin(add(theirs, self.cart, name)),
            Kind::Hold => Box::pin(hold(theirs, name)),
            Kind::Place => Box::pin(place(theirs, self.quote.clone(), name)),
            Kind::Pay => Box::pin(pay(theirs, self.cart, name)),
        }
    }

    /// What can be seen of what it did.
    pub(super) async fn traces(&self, shop: &Shop) -> Traces {
        let level = shop.level(&self.name).await;
        let movements = shop
            .inventory()
            .movements(self.name.as_str(), &berlin(), PageRequest::default())
            .await;
        let created = shop.products().find_by_sku(format!("{}-new", self.name)).await;
        let orders = shop.every_order().await;
        let own = orders.iter().filter(|order| order.cart == Some(self.cart));
        Traces {
            cart: shop.carts().require(self.cart).await.unwrap().version,
            counters: [level.on_hand, level.allocated, level.held],
            movements: movements.unwrap().items.len(),
            created: created.unwrap().is_some(),
            orders: own.map(|order| order.status).collect(),
        }
    }
}

/// What can be seen of what a caller did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traces {
    cart: Version,
    /// On hand, allocated, held.
    counters: [i64; 3],
    movements: usize,
    created: bool,
    orders: Vec<OrderStatus>,
}

impl Traces {
    /// Whether a payment was begun, as a whole, and not settled.
    pub(super) fn awaits_its_payment(&self) -> bool {
        self.orders == [OrderStatus::Pending] && self.counters == [10, 0, 1]
    }
}

async fn create(shop: Stockroom, name: String) -> Result<i64, Error> {
    let product = NewProduct::new(&name).variant(name.as_str(), usd(9_00));
    shop.products().create(product).await?;
    Ok(0)
}

async fn add(shop: Stockroom, cart: CartId, name: String) -> Result<i64, Error> {
    shop.carts().add(cart, name.as_str(), 1).await?;
    Ok(0)
}

async fn hold(shop: Stockroom, name: String) -> Result<i64, Error> {
    let line = |name: &str| HoldLine {
        sku: sku(name),
        location: berlin(),
        quantity: units(1),
    };
    let lines = [line(&name), line(SHARED)];
    shop.inventory()
        .hold(&lines, Duration::from_secs(24 * 60 * 60))
        .await?;
    Ok(1)
}

async fn place(shop: Stockroom, quote: Quote, name: String) -> Result<i64, Error> {
    let place = Place::quote(quote)
        .email(format!("{name}@example.com"))
        .key(key(name));
    let placed = shop.checkout().place(place).await?;
    assert!(!placed.replayed);
    Ok(1)
}

async fn pay(shop: Stockroom, cart: CartId, name: String) -> Result<i64, Error> {
    let charge = |due: Due| async { Ok::<_, Error>(Charge::captured(reference(due.provider_key))) };
    let pay = Pay::cart(cart).provider(Provider::new(&name)?).key(key(name));
    match shop.checkout().pay(pay, charge).await? {
        Paid::Order { .. } => Ok(1),
        other => panic!("{other:?}"),
    }
}
