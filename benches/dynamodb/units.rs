//! What each operation costs, as a table for docs/dynamodb.md.
//!
//! Read units are those that DynamoDB Local reports. What it reports for a transaction are the units of one item for each
//! table, so the items are counted where they are sent: two units each, as long as they have less than a KB.

use std::future::Future;
use std::time::Duration;

use stockroom::HoldLine;
use stockroom::IdempotencyKey;
use stockroom::OrderQuery;
use stockroom::OrderStatus;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::Place;
use stockroom::ProductPatch;
use stockroom::ProductQuery;
use stockroom::Quantity;
use stockroom::Sku;
use stockroom::testkit::dynamodb::DynamoFaults;

use crate::Result;
use crate::ground::Ground;
use crate::ground::berlin;

/// Products that lists find.
const PRODUCTS: usize = 20;

pub(crate) async fn measure(url: &str) -> Result<()> {
    let faults = DynamoFaults::new(1);
    let ground = &Priced {
        ground: Ground::open(url, "units-", &faults).await?,
        faults,
    };
    let mut products = Vec::new();
    for number in 0..PRODUCTS {
        products.push(ground.ground.stock(&format!("MUG-{number}"), 1_000).await?);
    }
    let (shop, mug) = (&ground.ground.shop, &products[0]);
    let page = PageRequest::new(20)?;
    println!("| operation | calls | read units | items written | write units |\n|---|---|---:|---:|---:|");
    ground.row("product by id", shop.products().get(mug.id)).await?;
    ground
        .row("product by SKU", shop.products().find_by_sku("MUG-0"))
        .await?;
    ground
        .row(
            "20 products by id",
            shop.products()
                .get_many(&products.iter().map(|product| product.id).collect::<Vec<_>>()),
        )
        .await?;
    let all = ProductQuery::new();
    ground
        .row("page of 20 products", shop.products().list(&all, page.clone()))
        .await?;
    let in_stock = ProductQuery::new().in_stock();
    ground
        .row(
            "page of 20 products in stock",
            shop.products().list(&in_stock, page.clone()),
        )
        .await?;
    ground
        .row(
            "change of a product",
            shop.products().update(mug, ProductPatch::new().title("Cup")),
        )
        .await?;
    ground.row("new cart", shop.carts().create(Owner::Guest)).await?;
    let cart = ground.ground.cart(&["MUG-1"]).await?;
    ground.row("cart by id", shop.carts().get(cart)).await?;
    ground
        .row("one more in a cart", shop.carts().add(cart, "MUG-1", 1))
        .await?;
    ground
        .row("level of a SKU", shop.inventory().level("MUG-1", &berlin()?))
        .await?;
    ground
        .row(
            "units that come in",
            shop.inventory().receive("MUG-1", &berlin()?, 1),
        )
        .await?;
    let line = HoldLine {
        sku: Sku::new("MUG-1")?,
        location: berlin()?,
        quantity: Quantity::ONE,
    };
    let hold = [line];
    ground
        .row(
            "hold of one line",
            shop.inventory().hold(&hold, Duration::from_secs(600)),
        )
        .await?;
    ground
        .row("quote of a cart of one line", shop.checkout().quote(cart))
        .await?;
    for (name, skus) in [
        ("order of one line", ["MUG-2"].as_slice()),
        ("order of three lines", ["MUG-3", "MUG-4", "MUG-5"].as_slice()),
    ] {
        let quote = shop.checkout().quote(ground.ground.cart(skus).await?).await?;
        let place = Place::quote(quote).key(IdempotencyKey::new(name.replace(' ', "-"))?);
        ground.row(name, shop.checkout().place(place.clone())).await?;
        ground
            .row(&format!("{name}, asked for again"), shop.checkout().place(place))
            .await?;
    }
    let placed = OrderQuery::new().status(OrderStatus::Placed);
    let orders = shop.orders().list(&placed, page.clone()).await?;
    ground
        .row("order by id", shop.orders().get(orders.items[0].id))
        .await?;
    ground
        .row("page of 2 orders by status", shop.orders().list(&placed, page))
        .await?;
    shop.close().await;
    Ok(())
}

/// A shop, and the layer that its calls pass.
struct Priced {
    ground: Ground,
    faults: DynamoFaults,
}

impl Priced {
    /// Does something, and prints what the store's calls have cost meanwhile.
    async fn row<T>(&self, name: &str, work: impl Future<Output = stockroom::Result<T>>) -> Result<()> {
        let (before, items) = (self.ground.store.usage(), self.faults.counts().items());
        work.await?;
        let usage = self.ground.store.usage().since(&before);
        let items = self.faults.counts().items() - items;
        let calls: Vec<_> = usage
            .operations()
            .map(|(operation, usage)| match usage.calls {
                1 => operation.to_owned(),
                calls => format!("{calls} {operation}"),
            })
            .collect();
        let reads = usage.total().read_units;
        println!(
            "| {name} | {} | {reads} | {items} | {} |",
            calls.join(", "),
            2 * items
        );
        Ok(())
    }
}
