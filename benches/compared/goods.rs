//! What is sold: SKUs on stock, and carts quoted before the clock runs.

use std::collections::HashMap;
use std::sync::Arc;
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
use stockroom::QuoteLine;
use stockroom::Sku;
use stockroom::Stockroom;
use stockroom::SystemClock;
use stockroom::Version;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Put;
use stockroom::spi::store::WriteSet;

use crate::support::Result;

/// Carts that one commit of the preparation writes, levels, and the most lines of a cart.
const CHUNK: usize = 500;

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

/// What the shop quotes for one unit of each SKU: quotes of carts are put together from it, since asking for each would take
/// longer than the orders that are measured.
#[derive(Debug)]
pub(crate) struct Prices {
    quote: Quote,
    pub(crate) lines: HashMap<Sku, QuoteLine>,
}

impl Prices {
    pub(crate) async fn ask(shop: &Stockroom, skus: &[Sku]) -> Result<Self> {
        let mut lines = HashMap::new();
        let mut last = None;
        for cart in carts(shop, skus.chunks(CHUNK).map(<[Sku]>::to_vec)).await? {
            let quote = shop.checkout().quote(cart).await?;
            lines.extend(quote.lines.iter().map(|line| (line.sku.clone(), line.clone())));
            last = Some(quote);
        }
        Ok(Self {
            quote: last.ok_or("a shop without goods")?,
            lines,
        })
    }

    /// Carts of guests, one for each basket, as the shop would quote them.
    pub(crate) async fn quotes(&self, shop: &Stockroom, baskets: Vec<Vec<Sku>>) -> Result<Vec<Quote>> {
        let ids = carts(shop, baskets.into_iter()).await?;
        let mut quotes = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            for cart in shop.carts().get_many(ids).await?.into_iter().flatten() {
                quotes.push(self.quote(cart)?);
            }
        }
        Ok(quotes)
    }

    fn quote(&self, cart: Arc<Cart>) -> Result<Quote> {
        let lines = cart.lines.iter().map(|line| self.lines.get(&line.sku).cloned());
        let lines = lines.collect::<Option<Vec<_>>>().ok_or("a SKU without a price")?;
        let mut quote = self.quote.clone();
        // Nothing here is taxed.
        let total = lines.iter().map(|line| line.total.minor()).sum();
        quote.total = Money::new(total, cart.currency);
        quote.subtotal = quote.total;
        quote.lines = lines;
        quote.cart = cart;
        Ok(quote)
    }
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
