//! What a cart costs now, and where its units would come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::PricedLine;
use super::source::priced;
use super::source::source;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::Hold;
use crate::model::HoldLine;
use crate::model::LocationId;
use crate::model::Money;
use crate::model::Options;
use crate::model::OrderLine;
use crate::model::OrderTotals;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::ProductStatus;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::TaxRate;
use crate::model::Timestamp;
use crate::model::text::cut_line;
use crate::repository::single;
use crate::resilience::Deadline;
use crate::transaction::Context;

/// Characters of a line's title that an order keeps.
const TITLE_LENGTH: usize = 200;

/// What a cart costs now, and where its units would come from; it reserves nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Quote {
    /// The cart, as it was read.
    pub cart: Arc<Cart>,
    /// The lines of the order that it would become: a cart line that no location can serve alone is split.
    pub lines: Vec<QuoteLine>,
    /// All lines without tax.
    pub subtotal: Money,
    /// The tax of all lines.
    pub tax: Money,
    /// What would be owed.
    pub total: Money,
}

/// A line of the order that a cart would become.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuoteLine {
    /// What is bought.
    pub sku: Sku,
    /// The product that it is a variant of.
    pub product: ProductId,
    /// Its name: the product's, and the variant's where it has one.
    pub title: String,
    /// What the customer chose.
    pub options: Options,
    /// How many.
    pub quantity: Quantity,
    /// What one costs when so many of the SKU are bought, without tax.
    pub unit_price: Money,
    /// The tax on it.
    pub tax_rate: TaxRate,
    /// The tax of the line.
    pub tax: Money,
    /// The price of the line, with tax.
    pub total: Money,
    /// Where it would be sent from.
    pub location: LocationId,
}

impl Quote {
    /// The quote of these lines.
    fn of(cart: Arc<Cart>, lines: Vec<OrderLine>) -> Result<Self> {
        let OrderTotals { subtotal, tax, total } = OrderTotals::of(cart.currency, &lines)?;
        Ok(Self {
            cart,
            lines: lines.into_iter().map(QuoteLine::of).collect(),
            subtotal,
            tax,
            total,
        })
    }

    /// The lines of the order that the quote would become.
    pub(super) fn order_lines(&self) -> Vec<OrderLine> {
        self.lines
            .iter()
            .zip(1..)
            .map(|(line, number)| line.order_line(number))
            .collect()
    }

    /// The lines of a hold for the quote.
    pub(super) fn hold_lines(&self) -> Vec<HoldLine> {
        let line = |line: &QuoteLine| HoldLine {
            sku: line.sku.clone(),
            location: line.location.clone(),
            quantity: line.quantity,
        };
        self.lines.iter().map(line).collect()
    }
}

impl QuoteLine {
    fn of(line: OrderLine) -> Self {
        Self {
            sku: line.sku,
            product: line.product,
            title: line.title,
            options: line.options,
            quantity: line.quantity,
            unit_price: line.unit_price,
            tax_rate: line.tax_rate,
            tax: line.tax,
            total: line.total,
            location: line.location,
        }
    }

    fn order_line(&self, number: u32) -> OrderLine {
        OrderLine {
            number,
            sku: self.sku.clone(),
            product: self.product,
            title: self.title.clone(),
            options: self.options.clone(),
            quantity: self.quantity,
            unit_price: self.unit_price,
            tax_rate: self.tax_rate,
            tax: self.tax,
            total: self.total,
            location: self.location.clone(),
            shipped: 0,
        }
    }
}

/// Reads a cart, then products and levels side by side, and prices and sources its lines.
pub(super) async fn quote(
    context: &Context,
    id: CartId,
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<Quote> {
    let cart = single(context.carts()?.get_many(&[id], deadline).await?);
    let cart = cart.ok_or_else(|| Error::not_found(format!("cart {id}")))?;
    check_cart(&cart)?;
    let skus = skus_of(cart.lines.iter().map(|line| &line.sku));
    let (products, inventory) = (context.products()?, context.inventory()?);
    let (products, levels) = tokio::join!(
        products.find_by_skus(&skus, deadline),
        inventory.levels(&skus, deadline)
    );
    let products = skus
        .iter()
        .zip(products?)
        .filter_map(|(sku, product)| Some((sku, product?)))
        .collect();
    let lines = price(&cart, &products, context.now())?;
    let lines = source(&lines, &levels?, hold)?;
    Quote::of(cart, lines)
}

/// The same quote with fresh locations: prices stay what the customer saw.
pub(super) async fn resource(
    context: &Context,
    quote: &Quote,
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<Quote> {
    let lines = resourced(context, &quote.order_lines(), hold, deadline).await?;
    Quote::of(Arc::clone(&quote.cart), lines)
}

/// Order lines with fresh locations; they cost what they did.
pub(super) async fn resourced(
    context: &Context,
    lines: &[OrderLine],
    hold: Option<&Hold>,
    deadline: Deadline,
) -> Result<Vec<OrderLine>> {
    let skus = skus_of(lines.iter().map(|line| &line.sku));
    let inventory = context.inventory()?;
    let held = async {
        match hold {
            // It may have ended since: only the store's clock tells.
            Some(hold) => inventory.hold(hold.id, deadline).await,
            None => Ok(None),
        }
    };
    let (levels, held) = tokio::join!(inventory.levels(&skus, deadline), held);
    source(&priced(lines)?, &levels?, held?.as_ref())
}

fn check_cart(cart: &Cart) -> Result<()> {
    let name = format!("cart {}", cart.id);
    if !cart.is_open() {
        let message = format!("{name} is {} and cannot be ordered", cart.status);
        return Err(Error::new(ErrorKind::Conflict, message)
            .concerning(name)
            .found(cart.version.get()));
    }
    if cart.lines.is_empty() {
        return Err(Error::invalid("cart", "must not be empty").concerning(name));
    }
    Ok(())
}

fn skus_of<'a>(skus: impl Iterator<Item = &'a Sku>) -> Vec<Sku> {
    let mut skus: Vec<Sku> = skus.cloned().collect();
    skus.sort();
    skus.dedup();
    skus
}

/// Prices the lines of a cart; lines of the same SKU count together for the price of a quantity.
fn price(cart: &Cart, products: &BTreeMap<&Sku, Arc<Product>>, at: Timestamp) -> Result<Vec<PricedLine>> {
    let mut bought: BTreeMap<&Sku, i64> = BTreeMap::new();
    for line in &cart.lines {
        *bought.entry(&line.sku).or_default() += line.quantity.get();
    }
    let price = |line: &CartLine| {
        let product = products
            .get(&line.sku)
            .ok_or_else(|| Error::not_found(format!("SKU {}", line.sku)))?;
        let together = Quantity::new(bought.get(&line.sku).copied().unwrap_or_default())?;
        price_line(cart, line, product, together, at)
    };
    cart.lines.iter().map(price).collect()
}

fn price_line(
    cart: &Cart,
    line: &CartLine,
    product: &Product,
    together: Quantity,
    at: Timestamp,
) -> Result<PricedLine> {
    let subject = || format!("SKU {}", line.sku);
    let variant = product
        .variant(&line.sku)
        .ok_or_else(|| Error::not_found(subject()))?;
    if product.status != ProductStatus::Active {
        return Err(Error::invalid(
            "sku",
            format!("is not on offer: its product is {}", product.status),
        )
        .concerning(subject()));
    }
    let unit_price = variant.price_for(together, cart.currency, at).ok_or_else(|| {
        Error::invalid(
            "currency",
            format!("has no price in {} for {together}", cart.currency),
        )
        .concerning(subject())
    })?;
    let title = match &variant.title {
        Some(variant) => format!("{}, {variant}", product.title),
        None => product.title.clone(),
    };
    Ok(PricedLine {
        sku: line.sku.clone(),
        product: product.id,
        title: cut_line(&title, TITLE_LENGTH),
        options: line.options.clone(),
        quantity: line.quantity,
        unit_price,
        tax_rate: variant.tax,
    })
}
