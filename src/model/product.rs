//! What the shop offers.

use std::collections::BTreeSet;

use super::stored::stored_enum;
use super::text::{check_line, check_text};
use super::{
    Attributes, Currency, Money, Options, Price, ProductId, Quantity, Sku, Slug, TaxRate, Timestamp, Version,
};
use crate::{Error, Result};

/// How many variants one product may have.
const MAX_VARIANTS: usize = 100;
/// How many prices one variant may have.
const MAX_PRICES: usize = 100;

stored_enum! {
    /// Whether a product is on offer.
    ProductStatus in "status" {
        /// On offer.
        Active = "active",
        /// Not yet on offer.
        Draft = "draft",
        /// No longer on offer.
        Archived = "archived",
    }
}

/// What the shop offers, with everything it is sold as.
///
/// - Made by [`NewProduct`](super::NewProduct), changed by [`ProductPatch`](super::ProductPatch).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Product {
    /// Its identity.
    pub id: ProductId,
    /// How often it has changed.
    pub version: Version,
    /// Its name in the addresses of pages; no two products share one.
    pub slug: Slug,
    /// Its name for people.
    pub title: String,
    /// What there is to say about it.
    pub description: String,
    /// Where it belongs.
    pub category: Option<Slug>,
    /// What else the shop keeps with it.
    pub attributes: Attributes,
    /// Whether it is on offer.
    pub status: ProductStatus,
    /// What it is sold as, in the shop's order; no two variants of any products share a SKU.
    pub variants: Vec<Variant>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Product {
    /// The variant of this SKU.
    pub fn variant(&self, sku: &Sku) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.sku == *sku)
    }

    /// The price that lists show and sort by: the lowest for a single one, in the currency of the first variant's first
    /// price.
    ///
    /// - It is stored when the product is written, so prices that start or end are left out while there are others.
    pub fn from_price(&self) -> Option<Money> {
        let currency = self.variants.first()?.prices.first()?.amount.currency();
        let single = || {
            let prices = self.variants.iter().flat_map(|variant| &variant.prices);
            prices.filter(move |price| price.min_quantity == 1 && price.amount.currency() == currency)
        };
        let standing = single()
            .filter(|price| price.is_standing())
            .map(|price| price.amount.minor())
            .min();
        let lowest = standing.or_else(|| single().map(|price| price.amount.minor()).min())?;
        Some(Money::new(lowest, currency))
    }

    /// Checks every rule that a product keeps.
    ///
    /// # Errors
    /// `InvalidInput` naming the field: `title`, `description`, `variants`, `prices`.
    pub fn validate(&self) -> Result<()> {
        check_line("title", &self.title, 1..=200)?;
        check_text("description", &self.description, 0..=20_000)?;
        if self.variants.len() > MAX_VARIANTS {
            return Err(Error::invalid(
                "variants",
                format!("must be at most {MAX_VARIANTS}"),
            ));
        }
        if self.variants.is_empty() && self.status == ProductStatus::Active {
            return Err(Error::invalid(
                "variants",
                "must not be empty while the product is active",
            ));
        }
        let mut seen = BTreeSet::new();
        for variant in &self.variants {
            if !seen.insert(&variant.sku) {
                return Err(Error::invalid(
                    "variants",
                    format!("have the SKU {} twice", variant.sku),
                ));
            }
            variant.validate()?;
        }
        Ok(())
    }
}

/// One thing that a product is sold as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// Its identity, for carts and for stock.
    pub sku: Sku,
    /// Its name for people, where it differs from the product's.
    pub title: Option<String>,
    /// What tells it from the other variants.
    pub options: Options,
    /// What it costs; without prices it cannot be bought.
    pub prices: Vec<Price>,
    /// The tax on it.
    pub tax: TaxRate,
}

impl Variant {
    /// A variant at this price, untaxed.
    pub fn new(sku: Sku, price: Money) -> Self {
        Self {
            sku,
            title: None,
            options: Options::new(),
            prices: vec![Price::new(price)],
            tax: TaxRate::ZERO,
        }
    }

    /// The same with a name of its own.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The same with these options.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The same with one more price.
    #[must_use]
    pub fn price(mut self, price: Price) -> Self {
        self.prices.push(price);
        self
    }

    /// The same with this tax.
    #[must_use]
    pub fn tax(mut self, tax: TaxRate) -> Self {
        self.tax = tax;
        self
    }

    /// What one unit costs when so many are bought.
    ///
    /// - Of the prices that apply, the one for the greatest quantity; of several for that quantity, the lowest.
    pub fn price_for(&self, quantity: Quantity, currency: Currency, at: Timestamp) -> Option<Money> {
        self.prices
            .iter()
            .filter(|price| price.applies(quantity, currency, at))
            .max_by_key(|price| (price.min_quantity, std::cmp::Reverse(price.amount.minor())))
            .map(|price| price.amount)
    }

    fn validate(&self) -> Result<()> {
        if let Some(title) = &self.title {
            check_line("variants", title, 1..=200)?;
        }
        if self.prices.len() > MAX_PRICES {
            return Err(Error::invalid(
                "prices",
                format!("must be at most {MAX_PRICES} for each variant"),
            ));
        }
        self.prices.iter().try_for_each(Price::validate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NewProduct, from_micros};

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn at(micros: i64) -> Timestamp {
        from_micros(micros).unwrap()
    }

    fn mug() -> Variant {
        Variant::new(Sku::new("MUG").unwrap(), eur(10))
    }

    #[test]
    fn larger_quantities_get_the_price_of_their_tier() {
        let mug = mug()
            .price(Price::new(eur(8)).at_least(10))
            .price(Price::new(eur(9)).at_least(5));
        let price = |quantity| mug.price_for(Quantity::new(quantity).unwrap(), Currency::EUR, at(0));
        assert_eq!(
            [1, 4, 5, 9, 10, 99].map(price),
            [10, 10, 9, 9, 8, 8].map(|minor| Some(eur(minor)))
        );
        assert_eq!(mug.price_for(Quantity::ONE, Currency::USD, at(0)), None);
    }

    #[test]
    fn of_overlapping_prices_the_lowest_counts_while_it_is_valid() {
        let mug = mug().price(Price::new(eur(7)).starting(at(10)).ending(at(20)));
        let price = |micros| mug.price_for(Quantity::ONE, Currency::EUR, at(micros));
        assert_eq!(
            [9, 10, 20].map(price),
            [Some(eur(10)), Some(eur(7)), Some(eur(10))]
        );
    }

    fn product(variants: Vec<Variant>) -> NewProduct {
        variants
            .into_iter()
            .fold(NewProduct::new("Mug"), NewProduct::variant_with)
    }

    #[test]
    fn lists_show_the_lowest_standing_price() {
        let other = Variant::new(Sku::new("MUG-2").unwrap(), eur(6))
            .price(Price::new(eur(1)).ending(at(1)))
            .price(Price::new(eur(2)).at_least(2))
            .price(Price::new(Money::new(3, Currency::USD)));
        let product = product(vec![mug(), other])
            .build(ProductId::new(), at(0))
            .unwrap();
        assert_eq!(product.from_price(), Some(eur(6)));
    }

    #[test]
    fn lists_fall_back_to_a_price_that_ends() {
        let mut variant = mug();
        variant.prices = vec![Price::new(eur(5)).ending(at(1))];
        let product = product(vec![variant]).build(ProductId::new(), at(0)).unwrap();
        assert_eq!(product.from_price(), Some(eur(5)));
    }

    #[test]
    fn a_sku_twice_is_refused() {
        let error = product(vec![mug(), mug()])
            .build(ProductId::new(), at(0))
            .unwrap_err();
        assert_eq!(error.invalid_field(), Some("variants"));
    }
}
