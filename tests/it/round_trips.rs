//! Round trips to PostgreSQL, counted by a proxy: what a call costs where the server is a network away.

use std::collections::BTreeMap;

use comfy_table::Table;
use stockroom::CancelReason;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::NewProduct;
use stockroom::OrderQuery;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::Pay;
use stockroom::PaymentFact;
use stockroom::Place;
use stockroom::ProductId;
use stockroom::ProductPatch;
use stockroom::ProductQuery;
use stockroom::Provider;
use stockroom::Quantity;
use stockroom::Sku;
use stockroom::testkit::proxy::Proxy;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::reference;
use crate::support::sku;
use crate::support::usd;

/// Counts what each call costs once its statements are prepared.
struct Meter {
    proxy: Proxy,
    counted: BTreeMap<&'static str, u64>,
}

impl Meter {
    async fn count<T>(&mut self, what: &'static str, mut call: impl AsyncFnMut(u64) -> T) -> T {
        for warm_up in 0..4 {
            call(warm_up).await;
        }
        self.proxy.reset_counts();
        let answer = call(4).await;
        let sent = self.proxy.recent();
        assert!(
            !sent.iter().any(|sql| sql.starts_with("prepare:")),
            "{what} prepared again: {sent:?}"
        );
        self.counted.insert(what, self.proxy.counts().round_trips);
        answer
    }

    fn of(&self, what: &str) -> u64 {
        self.counted[what]
    }
}

/// A hundred products of one variant each, in stock.
async fn assortment(shop: &Shop) -> (Vec<ProductId>, Vec<Sku>) {
    let skus: Vec<_> = (0..100).map(|number| sku(&format!("MUG-{number}"))).collect();
    let rows = skus
        .iter()
        .map(|sku| NewProduct::new("Mug").variant(sku.clone(), usd(9_00)))
        .collect();
    let products = shop.products().import(rows).await;
    let ids = products.into_iter().map(|product| product.unwrap().id).collect();
    let delivery: Vec<_> = skus.iter().map(|sku| (sku.clone(), Quantity::MAX)).collect();
    shop.inventory().receive_many(&berlin(), &delivery).await.unwrap();
    (ids, skus)
}

async fn read(meter: &mut Meter, shop: &Shop) {
    let (ids, skus) = assortment(shop).await;
    meter
        .count("products.get of one", async |_| {
            shop.products().require(ids[0]).await.unwrap()
        })
        .await;
    let many = meter.count("products.get_many of 100", async |_| {
        shop.products().get_many(&ids).await.unwrap()
    });
    assert!(many.await.iter().all(Option::is_some));
    meter
        .count("products.find_by_sku", async |_| {
            shop.products().find_by_sku("MUG-1").await.unwrap()
        })
        .await;
    let many = meter.count("products.find_by_skus of 100", async |_| {
        shop.products().find_by_skus(&skus).await.unwrap()
    });
    assert!(many.await.iter().all(Option::is_some));
    let page = PageRequest::new(100).unwrap();
    let query = ProductQuery::default();
    meter
        .count("products.list of 100", async |_| {
            shop.products().list(&query, page.clone()).await.unwrap()
        })
        .await;
    let many = meter.count("inventory.levels of 100", async |_| {
        shop.inventory().levels_many(&skus).await.unwrap()
    });
    assert_eq!(many.await.len(), 100);
    let cart = shop.cart(&[("MUG-1", 1), ("MUG-2", 1)]).await;
    meter
        .count("carts.get of one", async |_| {
            shop.carts().require(cart).await.unwrap()
        })
        .await;
    let mut carts = Vec::new();
    let mut orders = Vec::new();
    for number in 0..100 {
        let cart = shop.cart(&[("MUG-1", 1), ("MUG-2", 1)]).await;
        let placed = shop
            .checkout()
            .place(Place::cart(cart).key(key(format!("read-{number}"))))
            .await
            .unwrap();
        orders.push(placed.order.id);
        carts.push(cart);
    }
    let many = meter.count("carts.get_many of 100", async |_| {
        shop.carts().get_many(&carts).await.unwrap()
    });
    assert!(many.await.iter().all(Option::is_some));
    meter
        .count("orders.get of one", async |_| {
            shop.orders().require(orders[0]).await.unwrap()
        })
        .await;
    let many = meter.count("orders.get_many of 100", async |_| {
        shop.orders().get_many(&orders).await.unwrap()
    });
    assert!(many.await.iter().all(Option::is_some));
    let query = OrderQuery::default();
    meter
        .count("orders.list of 100", async |_| {
            shop.orders().list(&query, page.clone()).await.unwrap()
        })
        .await;
}

async fn write(meter: &mut Meter, shop: &Shop) {
    let mut mug = shop
        .products()
        .create(NewProduct::new("Mug").variant("MUG", usd(9_00)))
        .await
        .unwrap();
    meter
        .count("products.create", async |number| {
            let new = NewProduct::new("Cup").variant(sku(&format!("CUP-{number}")), usd(9_00));
            shop.products().create(new).await.unwrap()
        })
        .await;
    meter
        .count("products.update", async |number| {
            let patch = ProductPatch::new().title(format!("Mug {number}"));
            mug = shop.products().update(&mug, patch).await.unwrap();
        })
        .await;
    meter
        .count("inventory.receive", async |_| {
            shop.inventory().receive("MUG", &berlin(), 1_000).await.unwrap()
        })
        .await;
    let cart = meter
        .count("carts.create", async |_| {
            shop.carts().create(Owner::Guest).await.unwrap()
        })
        .await;
    meter
        .count("carts.add", async |_| {
            shop.carts().add(cart.id, "MUG", 1).await.unwrap()
        })
        .await;
    meter
        .count("checkout.quote", async |_| {
            shop.checkout().quote(cart.id).await.unwrap()
        })
        .await;
}

async fn check_out(meter: &mut Meter, shop: &Shop) {
    let mut quotes = Vec::new();
    for _ in 0..5 {
        let cart = shop.cart(&[("MUG", 1), ("MUG-1", 1)]).await;
        quotes.push(shop.checkout().quote(cart).await.unwrap());
    }
    meter
        .count("checkout.place of a quote", async |number| {
            let place = Place::quote(quotes.pop().unwrap()).key(key(format!("quote-{number}")));
            shop.checkout().place(place).await.unwrap()
        })
        .await;
    let mut carts = Vec::new();
    for _ in 0..10 {
        carts.push(shop.cart(&[("MUG", 1), ("MUG-1", 1)]).await);
    }
    meter
        .count("checkout.place of a cart", async |number| {
            let place = Place::cart(carts.pop().unwrap()).key(key(format!("cart-{number}")));
            shop.checkout().place(place).await.unwrap()
        })
        .await;
    let charge = |due: Due| async { Ok::<_, Error>(Charge::captured(reference(due.provider_key))) };
    let paid = meter
        .count("checkout.pay", async |number| {
            let pay = Pay::cart(carts.pop().unwrap()).key(key(format!("pay-{number}")));
            shop.checkout().pay(pay, charge).await.unwrap()
        })
        .await;
    let payment = shop.payments().for_order(paid.order().id).await.unwrap()[0].id;
    meter
        .count("payments.for_order", async |_| {
            shop.payments().for_order(paid.order().id).await.unwrap()
        })
        .await;
    meter
        .count("payments.record", async |number| {
            let event = reference(format!("event-{number}"));
            let fact = PaymentFact::refunded(Provider::new("acme").unwrap(), event, usd(1));
            shop.payments().record(payment, fact).await.unwrap()
        })
        .await;
    let mut orders = Vec::new();
    for number in 0..5 {
        let cart = shop.cart(&[("MUG", 1), ("MUG-1", 1)]).await;
        let place = Place::cart(cart).key(key(format!("cancel-{number}")));
        orders.push(shop.checkout().place(place).await.unwrap().order.id);
    }
    meter
        .count("checkout.cancel", async |_| {
            let order = orders.pop().unwrap();
            shop.checkout()
                .cancel(order, CancelReason::Customer)
                .await
                .unwrap()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_cost_the_round_trips_that_they_promise() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    // One reading connection: each statement is prepared once, and side by side counts as one after the other.
    let shop = ground.open_with(1).await;
    let mut meter = Meter {
        proxy,
        counted: BTreeMap::new(),
    };
    read(&mut meter, &shop).await;
    write(&mut meter, &shop).await;
    check_out(&mut meter, &shop).await;
    let mut table = Table::new();
    table.set_header(["call", "round trips"]);
    for (call, round_trips) in &meter.counted {
        table.add_row([(*call).to_owned(), round_trips.to_string()]);
    }
    println!("{table}");
    for call in meter
        .counted
        .keys()
        .filter(|call| call.contains(" of one") || call.contains(" of 100"))
    {
        assert_eq!(meter.of(call), 1, "{call}");
    }
    for call in [
        "products.create",
        "products.update",
        "carts.create",
        "carts.add",
        "inventory.receive",
    ] {
        assert_eq!(meter.of(call), 1, "{call}");
    }
    assert_eq!(meter.of("checkout.place of a quote"), 1);
}
