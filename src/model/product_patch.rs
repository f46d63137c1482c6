//! What shall change about a product.

use super::{Attributes, Product, ProductStatus, Slug, Timestamp, Variant, truncate};
use crate::{Error, Result};

/// What shall change about a product; the rest stays as it is.
///
/// ```
/// use stockroom::ProductPatch;
///
/// assert!(ProductPatch::new().is_empty());
/// assert!(!ProductPatch::new().title("Mug, large").is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProductPatch {
    title: Option<String>,
    slug: Option<Slug>,
    description: Option<String>,
    category: Option<Option<Slug>>,
    attributes: Option<Attributes>,
    status: Option<ProductStatus>,
    variants: Option<Vec<Variant>>,
    refused: Option<Error>,
}

impl ProductPatch {
    /// Changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Another name in the addresses of pages; the old one becomes free.
    #[must_use]
    pub fn slug(mut self, slug: impl TryInto<Slug, Error: Into<Error>>) -> Self {
        match slug.try_into() {
            Ok(slug) => self.slug = Some(slug),
            Err(error) => self.refused = self.refused.or_else(|| Some(error.into())),
        }
        self
    }

    /// Other things to say about it.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Another category, or none.
    #[must_use]
    pub fn category(mut self, category: Option<Slug>) -> Self {
        self.category = Some(category);
        self
    }

    /// Other attributes; they replace all that there were.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = Some(attributes);
        self
    }

    /// Whether it is on offer.
    #[must_use]
    pub fn status(mut self, status: ProductStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Other variants; they replace all that there were.
    #[must_use]
    pub fn variants(mut self, variants: Vec<Variant>) -> Self {
        self.variants = Some(variants);
        self
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.title.is_none()
            && self.slug.is_none()
            && self.description.is_none()
            && self.category.is_none()
            && self.attributes.is_none()
            && self.status.is_none()
            && self.variants.is_none()
            && self.refused.is_none()
    }

    /// Whether the variants stay, so that only the product's own row has to be written.
    pub fn keeps_variants(&self) -> bool {
        self.variants.is_none()
    }

    /// The product after the change, at the version that it had: the write path raises it.
    ///
    /// # Errors
    /// `InvalidInput` naming the first field that is wrong.
    pub fn apply(&self, product: &Product, now: Timestamp) -> Result<Product> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let mut changed = product.clone();
        set(&mut changed.title, self.title.as_ref());
        set(&mut changed.slug, self.slug.as_ref());
        set(&mut changed.description, self.description.as_ref());
        set(&mut changed.category, self.category.as_ref());
        set(&mut changed.attributes, self.attributes.as_ref());
        set(&mut changed.status, self.status.as_ref());
        set(&mut changed.variants, self.variants.as_ref());
        changed.updated_at = truncate(now);
        changed.validate()?;
        Ok(changed)
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Currency, Money, NewProduct, ProductId, from_micros};

    fn mug() -> Product {
        let new = NewProduct::new("Mug")
            .category("cups")
            .variant("MUG", Money::new(1, Currency::EUR));
        new.build(ProductId::new(), from_micros(0).unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_named_changes() {
        let mug = mug();
        let later = from_micros(7).unwrap();
        let changed = ProductPatch::new()
            .title("Cup")
            .category(None)
            .apply(&mug, later)
            .unwrap();
        let expected = Product {
            title: "Cup".into(),
            category: None,
            updated_at: later,
            ..mug
        };
        assert_eq!(changed, expected);
    }

    #[test]
    fn the_result_is_checked_as_a_whole() {
        let now = from_micros(0).unwrap();
        let field = |patch: ProductPatch| patch.apply(&mug(), now).unwrap_err().invalid_field();
        assert_eq!(field(ProductPatch::new().title("")), Some("title"));
        assert_eq!(field(ProductPatch::new().slug("A B").title("")), Some("slug"));
        assert_eq!(field(ProductPatch::new().variants(vec![])), Some("variants"));
    }
}
