//! A product that does not exist yet.

use uuid::Uuid;

use super::{
    Attributes, Money, Product, ProductId, ProductStatus, Sku, Slug, Timestamp, Variant, Version, truncate,
};
use crate::{Error, Result};

/// How much of a title a derived slug keeps: room for the suffix within a slug's 128 characters.
const SLUG_TITLE: usize = 100;

/// What a product is to be; checked as a whole when it is built, so that a chain needs no `?`.
///
/// ```
/// use stockroom::{Currency, Money, NewProduct};
///
/// let mug = NewProduct::new("Mug").slug("mug").variant("MUG-BLUE", Money::new(9_50, Currency::EUR));
/// # let _ = mug;
/// ```
#[derive(Clone, Debug)]
pub struct NewProduct {
    title: String,
    slug: Option<Slug>,
    description: String,
    category: Option<Slug>,
    attributes: Attributes,
    status: Option<ProductStatus>,
    variants: Vec<Variant>,
    refused: Option<Error>,
}

impl NewProduct {
    /// A product of this name: 1 to 200 characters on one line.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            slug: None,
            description: String::new(),
            category: None,
            attributes: Attributes::new(),
            status: None,
            variants: Vec::new(),
            refused: None,
        }
    }

    /// Its name in the addresses of pages; derived from title and id when it is not given.
    #[must_use]
    pub fn slug(mut self, slug: impl TryInto<Slug, Error: Into<Error>>) -> Self {
        self.slug = self.accept(slug.try_into());
        self
    }

    /// What there is to say about it: at most 20,000 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Where it belongs.
    #[must_use]
    pub fn category(mut self, category: impl TryInto<Slug, Error: Into<Error>>) -> Self {
        self.category = self.accept(category.try_into());
        self
    }

    /// What else to keep with it.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Whether it is on offer; when it is not given, a product with variants is, and one without is a draft.
    #[must_use]
    pub fn status(mut self, status: ProductStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// One more thing that it is sold as, at this price, untaxed.
    #[must_use]
    pub fn variant(mut self, sku: impl TryInto<Sku, Error: Into<Error>>, price: Money) -> Self {
        match self.accept(sku.try_into()) {
            Some(sku) => self.variant_with(Variant::new(sku, price)),
            None => self,
        }
    }

    /// One more thing that it is sold as.
    #[must_use]
    pub fn variant_with(mut self, variant: Variant) -> Self {
        self.variants.push(variant);
        self
    }

    /// The product, at its first version.
    ///
    /// # Errors
    /// `InvalidInput` naming the first field that is wrong.
    pub fn build(self, id: ProductId, now: Timestamp) -> Result<Product> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        let slug = match self.slug {
            Some(slug) => slug,
            None => derived_slug(&self.title, id.uuid())?,
        };
        let offered = if self.variants.is_empty() {
            ProductStatus::Draft
        } else {
            ProductStatus::Active
        };
        let now = truncate(now);
        let product = Product {
            id,
            version: Version::FIRST,
            slug,
            title: self.title,
            description: self.description,
            category: self.category,
            attributes: self.attributes,
            status: self.status.unwrap_or(offered),
            variants: self.variants,
            created_at: now,
            updated_at: now,
        };
        product.validate()?;
        Ok(product)
    }

    /// Keeps the first error for the end of the chain.
    fn accept<T, E: Into<Error>>(&mut self, value: Result<T, E>) -> Option<T> {
        value
            .map_err(|error| self.refused.get_or_insert_with(|| error.into()))
            .ok()
    }
}

/// The title's ASCII letters and digits, words joined by hyphens, and the end of the id, which tells equal titles apart.
fn derived_slug(title: &str, id: Uuid) -> Result<Slug> {
    let mut text = String::new();
    for c in title.chars() {
        if text.len() >= SLUG_TITLE {
            break;
        }
        if c.is_ascii_alphanumeric() {
            text.push(c.to_ascii_lowercase());
        } else if !text.is_empty() && !text.ends_with('-') {
            text.push('-');
        }
    }
    // The last bytes of a UUIDv7 are random, its first ones the time.
    let suffix = id.simple().to_string().split_off(24);
    Slug::new(format!(
        "{}{}{suffix}",
        text.trim_end_matches('-'),
        if text.is_empty() { "" } else { "-" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Currency, from_micros};

    fn build(new: NewProduct) -> Result<Product> {
        new.build(ProductId::new(), from_micros(0).unwrap())
    }

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    #[test]
    fn a_slug_is_derived_from_the_title_and_tells_equal_titles_apart() {
        let one = build(NewProduct::new("  Große Mug, 0.3 l! ")).unwrap();
        let other = build(NewProduct::new("  Große Mug, 0.3 l! ")).unwrap();
        assert!(one.slug.as_str().starts_with("gro-e-mug-0-3-l-"), "{}", one.slug);
        assert_ne!(one.slug, other.slug);
        assert_eq!(build(NewProduct::new("杯")).unwrap().slug.as_str().len(), 8);
        assert!(build(NewProduct::new("x ".repeat(100))).is_ok());
    }

    #[test]
    fn the_first_wrong_field_is_named() {
        let field = |new| build(new).unwrap_err().invalid_field();
        assert_eq!(field(NewProduct::new("")), Some("title"));
        assert_eq!(field(NewProduct::new("a\0")), Some("title"));
        assert_eq!(field(NewProduct::new("x".repeat(201))), Some("title"));
        assert_eq!(field(NewProduct::new("a").description("\0")), Some("description"));
        assert_eq!(
            field(NewProduct::new("a").slug("B").variant("a b", eur(1))),
            Some("slug")
        );
        assert_eq!(field(NewProduct::new("a").variant("a b", eur(1))), Some("sku"));
        assert_eq!(field(NewProduct::new("a").variant("a", eur(-1))), Some("prices"));
    }

    #[test]
    fn a_product_without_variants_is_a_draft_and_cannot_be_active() {
        assert_eq!(build(NewProduct::new("a")).unwrap().status, ProductStatus::Draft);
        assert_eq!(
            build(NewProduct::new("a").variant("A", eur(1))).unwrap().status,
            ProductStatus::Active
        );
        assert!(build(NewProduct::new("a").status(ProductStatus::Active)).is_err());
    }
}
