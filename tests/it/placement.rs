//! Aggregates on stores of their own: what is refused, what reaches which store, and carts that are closed once although no
//! commit can close them together with their order.

mod closing;
mod crash;
mod crowds;
mod feed;
mod gate;
mod open;
mod pay;
mod refused;

use std::collections::BTreeMap;
use std::sync::Arc;

use stockroom::Aggregate;
use stockroom::Builder;
use stockroom::Cart;
use stockroom::CartId;
use stockroom::CartStatus;
use stockroom::Currency;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Order;
use stockroom::OrderStatus;
use stockroom::Place;
use stockroom::Placed;
use stockroom::Result;
use stockroom::Stockroom;
use stockroom::spi::store::Store;

use self::gate::Gate;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::until;

/// The ground of the orders, and one for the carts alone.
#[derive(Clone, Debug)]
struct Site {
    main: Ground,
    carts: Ground,
}

impl Site {
    /// Carts in a file of their own; orders in one where the ground is for carts alone.
    fn new(ground: Ground) -> Self {
        let file = Ground::file();
        let (main, carts) = if ground.is_for_carts() {
            (file, ground)
        } else {
            (ground, file)
        };
        Self { main, carts }
    }

    /// A shop as of one process, and the gate before its carts.
    async fn open(&self) -> (Shop, Arc<Gate>) {
        self.open_as(|builder| builder).await
    }

    /// The same, opened with more than the stores.
    async fn open_as(&self, with: impl FnOnce(Builder) -> Builder) -> (Shop, Arc<Gate>) {
        let gate = Arc::new(Gate::new(self.carts.store().await, self.clone()));
        let carts: Arc<dyn Store> = gate.clone();
        let builder = Stockroom::builder()
            .store_arc(self.main.store().await)
            .place_arc([Aggregate::Cart], carts);
        (Shop::of(with(builder)).await, gate)
    }

    /// An open shop with mugs and cups to sell.
    async fn stocked(&self) -> (Shop, Arc<Gate>) {
        let (shop, gate) = self.open().await;
        stock(&shop).await;
        (shop, gate)
    }
}

/// A thousand mugs and cups.
async fn stock(shop: &Shop) {
    let price = Money::new(9_00, Currency::USD);
    for sku in ["MUG", "CUP"] {
        let product = NewProduct::new(sku).slug(sku.to_lowercase()).variant(sku, price);
        shop.products().create(product).await.unwrap();
        shop.inventory().receive(sku, &berlin(), 1_000).await.unwrap();
    }
}

/// A guest's cart with these lines, each added by itself.
async fn cart(shop: &Shop, lines: &[(&str, i64)]) -> CartId {
    let cart = shop.carts().create(stockroom::Owner::Guest).await.unwrap();
    for (sku, count) in lines {
        shop.carts().add(cart.id, *sku, *count).await.unwrap();
    }
    cart.id
}

async fn place(shop: &Shop, cart: CartId, name: &str) -> Result<Placed> {
    shop.checkout().place(Place::cart(cart).key(key(name))).await
}

/// Units by SKU.
type Units = BTreeMap<String, i64>;

fn units_of(lines: &[(&str, i64)]) -> Units {
    lines
        .iter()
        .map(|(sku, count)| ((*sku).to_owned(), *count))
        .collect()
}

fn in_cart(cart: &Cart) -> Units {
    let lines = cart.lines.iter();
    lines
        .map(|line| (line.sku.to_string(), line.quantity.get()))
        .collect()
}

fn in_order(order: &Order) -> Units {
    let mut units = Units::new();
    for line in &order.lines {
        *units.entry(line.sku.to_string()).or_default() += line.quantity.get();
    }
    units
}

/// The open cart in which a cart goes on, and what is in it.
async fn goes_on(shop: &Shop, cart: CartId) -> Option<(CartId, Units)> {
    let current = shop.carts().current(cart).await.unwrap()?;
    Some((current.id, in_cart(&current)))
}

async fn status(shop: &Shop, cart: CartId) -> CartStatus {
    shop.carts().require(cart).await.unwrap().status
}

/// Waits until somebody has closed the cart.
async fn closes(shop: &Shop, cart: CartId) {
    until("the cart is closed", async || {
        status(shop, cart).await == CartStatus::Ordered
    })
    .await;
}

/// Demands that every unit that was put into carts is in an order or in an open cart, once: `added` by cart.
async fn assert_whole(shop: &Shop, added: &BTreeMap<CartId, Units>) {
    let ordered = orders_by_cart(shop).await;
    for (cart, added) in added {
        assert_eq!(&found(shop, &ordered, *cart).await, added, "cart {cart}");
    }
}

/// The orders that count, by their carts.
async fn orders_by_cart(shop: &Shop) -> BTreeMap<CartId, Vec<Arc<Order>>> {
    let mut ordered: BTreeMap<CartId, Vec<Arc<Order>>> = BTreeMap::new();
    for order in shop.every_order().await {
        if order.status != OrderStatus::Cancelled {
            ordered.entry(order.cart.unwrap()).or_default().push(order);
        }
    }
    ordered
}

/// What became of the units of a cart: it is followed through its successors, and what they have ordered counts too.
async fn found(shop: &Shop, ordered: &BTreeMap<CartId, Vec<Arc<Order>>>, first: CartId) -> Units {
    let (mut units, mut next) = (Units::new(), first);
    while let Some(found) = shop.carts().get(next).await.unwrap() {
        let orders = ordered.get(&next).map_or(&[][..], Vec::as_slice);
        let counted = match (found.status, orders) {
            (CartStatus::Ordered, [order]) => in_order(order),
            (CartStatus::Open, []) => in_cart(&found),
            (status, orders) => panic!("a cart is {status} with {} orders", orders.len()),
        };
        for (sku, count) in counted {
            *units.entry(sku).or_default() += count;
        }
        next = next.successor();
    }
    units
}
