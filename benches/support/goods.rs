//! What is sold: SKUs on stock, and carts quoted before the clock runs.

use std::time::Duration;

use stockroom::Actor;
use stockroom::Cart;
use stockroom::CartId;
use stockroom::CartLine;
use stockroom::CartStatus;
use stockroom::Clock as _;
use stockroom::Currency;
use stockroom::Expiry;
use stockroom::LineKey;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Options;
use stockroom::Owner;
use stockroom::Quantity;
use stockroom::Quote;
use stockroom::Sku;
use stockroom::Stockroom;
use stockroom::SystemClock;
use stockroom::Version;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Put;
use stockroom::spi::store::WriteSet;
use tokio::task::JoinSet;

use crate::support::Result;

/// Carts that one commit of the preparation writes, and levels.
const CHUNK: usize = 500;
/// Tasks that ask for quotes.
const QUOTERS: usize = 8;

/// Fills a shop with so many SKUs, so many of them to a product, and each with the most stock that one receipt can have.
pub(crate) async fn stock(shop: &Stockroom, count: usize, variants: usize) -> Result<Vec<Sku>> {
    let skus = (0..count)
        .map(|number| Sku::new(format!("SKU-{number:05}")))
        .collect::<stockroom::Result<Vec<_>>>()?;
    let products = skus.chunks(variants).enumerate().map(|(number, skus)| {
        let product = NewProduct::new(format!("Product {number}"));
        skus.iter().fold(product, |product, sku| {
            product.variant(sku.clone(), Money::new(19_00, Currency::USD))
        })
    });
    for imported in shop.products().import(products.collect()).await {
        imported?;
    }
    for skus in skus.chunks(CHUNK) {
        let receipts: Vec<_> = skus.iter().map(|sku| (sku.clone(), Quantity::MAX)).collect();
        shop.inventory().receive_many(&location()?, &receipts).await?;
    }
    Ok(skus)
}

/// Where everything lies.
pub(crate) fn location() -> Result<LocationId> {
    Ok(LocationId::new("main")?)
}

/// Carts of guests, one for each basket of different SKUs.
pub(crate) async fn carts(shop: &Stockroom, baskets: impl Iterator<Item = Vec<Sku>>) -> Result<Vec<CartId>> {
    let carts: Vec<Cart> = baskets.map(cart).collect();
    for carts in carts.chunks(CHUNK) {
        let mut set = WriteSet::new(Actor::system());
        for cart in carts {
            set.put(Put::create(cart.clone()));
        }
        shop.store()
            .commit(set.plan()?, Deadline::within(Duration::from_secs(60)))
            .await?;
    }
    Ok(carts.iter().map(|cart| cart.id).collect())
}

/// Carts of guests, quoted.
pub(crate) async fn quotes(
    shop: &Stockroom,
    baskets: impl ExactSizeIterator<Item = Vec<Sku>>,
) -> Result<Vec<Quote>> {
    let count = baskets.len();
    let ids = carts(shop, baskets).await?;
    let mut quoters: JoinSet<stockroom::Result<Vec<Quote>>> = JoinSet::new();
    for ids in ids.chunks(count.div_ceil(QUOTERS).max(1)) {
        let (shop, ids) = (shop.clone(), ids.to_vec());
        quoters.spawn(async move {
            let mut quotes = Vec::with_capacity(ids.len());
            for id in ids {
                quotes.push(shop.checkout().quote(id).await?);
            }
            Ok(quotes)
        });
    }
    let mut quotes = Vec::with_capacity(count);
    while let Some(quoted) = quoters.join_next().await {
        quotes.extend(quoted??);
    }
    Ok(quotes)
}

fn cart(basket: Vec<Sku>) -> Cart {
    let now = SystemClock.now();
    let line = |sku: Sku| CartLine {
        key: LineKey::of(&sku, &Options::new()),
        sku,
        options: Options::new(),
        quantity: Quantity::ONE,
        added_at: now,
    };
    Cart {
        id: CartId::new(),
        version: Version::FIRST,
        owner: Owner::Guest,
        currency: Currency::USD,
        status: CartStatus::Open,
        lines: basket.into_iter().map(line).collect(),
        expires_at: Expiry::In(Duration::from_secs(24 * 60 * 60)),
        created_at: now,
        updated_at: now,
    }
}
