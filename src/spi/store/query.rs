//! What lists can be asked for.

use std::sync::Arc;

use crate::model::Currency;
use crate::model::Cursor;
use crate::model::Money;
use crate::model::OrderStatus;
use crate::model::Product;
use crate::model::ProductStatus;
use crate::model::Slug;
use crate::model::UserId;

/// Order of a list of products; ties are broken by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProductOrder {
    /// Latest created first.
    #[default]
    Newest,
    /// Lowest `from` price first; products without a price are left out.
    PriceAscending,
    /// Highest `from` price first; products without a price are left out.
    PriceDescending,
}

/// Which products to list, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProductQuery {
    /// Only this category.
    pub category: Option<Slug>,
    /// Only this status.
    pub status: Option<ProductStatus>,
    /// Only products whose `from` price is in this currency.
    pub currency: Option<Currency>,
    /// Only products whose `from` price is at least this, in minor units.
    pub price_min: Option<i64>,
    /// Only products whose `from` price is at most this, in minor units.
    pub price_max: Option<i64>,
    /// Only products of which at least one unit is available somewhere.
    pub in_stock: bool,
    /// Order of the list.
    pub order: ProductOrder,
}

impl Default for ProductQuery {
    fn default() -> Self {
        Self {
            category: None,
            status: Some(ProductStatus::Active),
            currency: None,
            price_min: None,
            price_max: None,
            in_stock: false,
            order: ProductOrder::Newest,
        }
    }
}

impl ProductQuery {
    /// Every active product, newest first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this category.
    #[must_use]
    pub fn category(mut self, category: Slug) -> Self {
        self.category = Some(category);
        self
    }

    /// Only this status; `None` lists every status.
    #[must_use]
    pub fn status(mut self, status: Option<ProductStatus>) -> Self {
        self.status = status;
        self
    }

    /// Only products whose `from` price lies between `min` and `max` (minor units, both included).
    #[must_use]
    pub fn price(mut self, currency: Currency, min: Option<i64>, max: Option<i64>) -> Self {
        self.currency = Some(currency);
        self.price_min = min;
        self.price_max = max;
        self
    }

    /// Only products of which at least one unit is available.
    #[must_use]
    pub fn in_stock(mut self) -> Self {
        self.in_stock = true;
        self
    }

    /// Order of the list.
    #[must_use]
    pub fn order(mut self, order: ProductOrder) -> Self {
        self.order = order;
        self
    }

    /// Whether these products, as they are, may follow each other in this list. Stock is not looked at.
    #[must_use]
    pub(crate) fn is_list(&self, products: &[Arc<Product>]) -> bool {
        products.iter().all(|product| self.is_listed(product))
            && products.is_sorted_by(|one, next| self.is_before(one, next))
    }

    fn is_listed(&self, product: &Product) -> bool {
        let price = product.from_price();
        let minor = price.map(Money::minor);
        self.category
            .as_ref()
            .is_none_or(|category| product.category.as_ref() == Some(category))
            && self.status.is_none_or(|status| product.status == status)
            && self
                .currency
                .is_none_or(|currency| price.is_some_and(|price| price.currency() == currency))
            && self
                .price_min
                .is_none_or(|least| minor.is_some_and(|minor| minor >= least))
            && self
                .price_max
                .is_none_or(|most| minor.is_some_and(|minor| minor <= most))
            && (self.order == ProductOrder::Newest || minor.is_some())
    }

    fn is_before(&self, one: &Product, next: &Product) -> bool {
        let place = |product: &Product| (product.from_price().map(Money::minor), product.id);
        match self.order {
            ProductOrder::Newest => one.id > next.id,
            ProductOrder::PriceAscending => place(one) < place(next),
            ProductOrder::PriceDescending => place(one) > place(next),
        }
    }

    /// Tells this query from any other, for cursors.
    #[must_use]
    pub fn digest(&self) -> [u8; 8] {
        digest("products", self)
    }
}

/// Which orders to list, latest placed first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OrderQuery {
    /// Only orders of this customer.
    pub customer: Option<UserId>,
    /// Only orders in this status.
    pub status: Option<OrderStatus>,
}

impl OrderQuery {
    /// Every order.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only orders of this customer.
    #[must_use]
    pub fn customer(mut self, customer: UserId) -> Self {
        self.customer = Some(customer);
        self
    }

    /// Only orders in this status.
    #[must_use]
    pub fn status(mut self, status: OrderStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Tells this query from any other, for cursors.
    #[must_use]
    pub fn digest(&self) -> [u8; 8] {
        digest("orders", self)
    }
}

fn digest(list: &str, query: &dyn std::fmt::Debug) -> [u8; 8] {
    Cursor::digest(&format!("{list}:{query:?}"))
}
