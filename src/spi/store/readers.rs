//! The ways out of a store, one trait an aggregate; batch reads keep order, absent is `None`.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::OrderQuery;
use super::ProductQuery;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::Hold;
use crate::model::HoldId;
use crate::model::LedgerReport;
use crate::model::Level;
use crate::model::LocationId;
use crate::model::Movement;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Payment;
use crate::model::PaymentId;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::Provider;
use crate::model::Reference;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::Slug;
use crate::model::UserId;
use crate::resilience::Deadline;
use crate::spi::changes::Change;

macro_rules! readers {
    ($($slot:ident: $reader:ident, $what:literal;)*) => {
        /// The readers that a store offers; a store leaves out what it does not hold.
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct Readers {
            $(#[doc = concat!("Reads ", $what, ".")] pub $slot: Option<Arc<dyn $reader>>,)*
        }

        impl Readers {
            $(
                #[doc = concat!("The reader of ", $what, ".\n\n# Errors\n`Unsupported` when the store has none.")]
                pub fn $slot(&self) -> Result<&Arc<dyn $reader>> {
                    self.$slot.as_ref().ok_or_else(|| {
                        Error::new(ErrorKind::Unsupported, concat!("this store does not hold ", $what))
                    })
                }
            )*
        }
    };
}

readers! {
    product: ProductReader, "products";
    cart: CartReader, "carts";
    order: OrderReader, "orders";
    payment: PaymentReader, "payments";
    inventory: InventoryReader, "inventory";
    claim: ClaimReader, "unique keys";
    history: HistoryReader, "history";
}

/// Reads products.
///
/// # Behaviour
/// - `product.get_many`: the answer has one entry per id, in the order asked, `None` for an absent one.
/// - `product.round_trip`: a product comes back equal to what was put.
/// - `product.find_by_slug`: finds by the claimed slug.
/// - `product.find_by_skus`: finds by the SKU of any variant, one entry per SKU in the order asked.
/// - `product.list_filters`: category, status, price and availability filters combine.
/// - `product.list_order`: newest, price ascending and price descending, ties by id.
/// - `product.list_pages`: pages follow each other without gap or repetition while products are added.
/// - `product.list_cursor`: a cursor of another query, or a damaged one, is `InvalidInput` on `after`.
#[async_trait]
pub trait ProductReader: Debug + Send + Sync {
    /// Products by id.
    async fn get_many(&self, ids: &[ProductId], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>>;
    /// The product with this slug.
    async fn find_by_slug(&self, slug: &Slug, deadline: Deadline) -> Result<Option<Arc<Product>>>;
    /// The products of these SKUs.
    async fn find_by_skus(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>>;
    /// A page of products.
    async fn list(
        &self,
        query: &ProductQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Product>>>;
}

/// Reads carts.
///
/// # Behaviour
/// - `cart.get_many`: the answer has one entry per id, in the order asked, `None` for an absent one.
/// - `cart.round_trip`: a cart comes back equal to what was put, its lines sorted by when they were added, then by key.
/// - `cart.expired`: a cart past its expiry by the store's clock reads as absent.
/// - `cart.find_active`: finds the open cart of a user, `None` when it is closed or expired.
#[async_trait]
pub trait CartReader: Debug + Send + Sync {
    /// Carts by id.
    async fn get_many(&self, ids: &[CartId], deadline: Deadline) -> Result<Vec<Option<Arc<Cart>>>>;
    /// The open cart of a user.
    async fn find_active(&self, user: UserId, deadline: Deadline) -> Result<Option<Arc<Cart>>>;
}

/// Reads orders.
///
/// # Behaviour
/// - `order.get_many`: the answer has one entry per id, in the order asked, `None` for an absent one.
/// - `order.round_trip`: an order comes back equal to what was put.
/// - `order.list`: by customer and status, latest first, in pages without gap or repetition.
/// - `order.list_cursor`: a cursor of another query, or a damaged one, is `InvalidInput` on `after`.
#[async_trait]
pub trait OrderReader: Debug + Send + Sync {
    /// Orders by id.
    async fn get_many(&self, ids: &[OrderId], deadline: Deadline) -> Result<Vec<Option<Arc<Order>>>>;
    /// A page of orders, latest first.
    async fn list(
        &self,
        query: &OrderQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Order>>>;
}

/// Reads payments.
///
/// # Behaviour
/// - `payment.get_many`: the answer has one entry per id, in the order asked, `None` for an absent one.
/// - `payment.round_trip`: a payment comes back equal to what was put.
/// - `payment.for_order`: every payment of an order, oldest first.
/// - `payment.find_by_reference`: finds by provider and reference.
/// - `payment.lease`: `lease_alive` is told by the store's clock.
#[async_trait]
pub trait PaymentReader: Debug + Send + Sync {
    /// Payments by id.
    async fn get_many(&self, ids: &[PaymentId], deadline: Deadline) -> Result<Vec<Option<Arc<Payment>>>>;
    /// The payments of an order, oldest first.
    async fn for_order(&self, order: OrderId, deadline: Deadline) -> Result<Vec<Arc<Payment>>>;
    /// The payment with this reference of the provider.
    async fn find_by_reference(
        &self,
        provider: &Provider,
        reference: &Reference,
        deadline: Deadline,
    ) -> Result<Option<Arc<Payment>>>;
}

/// Reads stock.
///
/// # Behaviour
/// - `inventory.levels`: every level of the SKUs asked, by SKU and location; expired holds do not count.
/// - `inventory.hold`: a hold with its lines; `alive` by the store's clock; `None` once released or consumed.
/// - `inventory.expired`: the holds that are past their time by the store's clock and still on the books, oldest first, whole.
/// - `inventory.movements`: the movements of a level, latest first, in pages.
/// - `inventory.verify`: reports each counter that differs from the sum of its movements.
#[async_trait]
pub trait InventoryReader: Debug + Send + Sync {
    /// The levels of these SKUs at all locations, sorted by SKU and location.
    async fn levels(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Level>>;
    /// A hold.
    async fn hold(&self, hold: HoldId, deadline: Deadline) -> Result<Option<Hold>>;
    /// Holds past their time that were not swept yet, those that ended first at first; at most so many.
    async fn expired(&self, most: u32, deadline: Deadline) -> Result<Vec<Hold>>;
    /// The movements of a level, latest first.
    async fn movements(
        &self,
        sku: &Sku,
        location: &LocationId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Movement>>;
    /// Compares every level with the sum of its movements.
    async fn verify(&self, deadline: Deadline) -> Result<LedgerReport>;
}

/// Who holds a unique key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimFound {
    /// The aggregate, or what a replay returns.
    pub owner: Uuid,
    /// Fingerprint of the request, for idempotency keys.
    pub fingerprint: Option<[u8; 32]>,
}

/// Reads unique keys.
///
/// # Behaviour
/// - `claim.find`: one entry per key asked, in order; `None` for a free one.
#[async_trait]
pub trait ClaimReader: Debug + Send + Sync {
    /// Who holds these `(space, key)` pairs.
    async fn find(&self, keys: &[(String, String)], deadline: Deadline) -> Result<Vec<Option<ClaimFound>>>;
}

/// Reads the append-only history.
///
/// # Behaviour
/// - `history.list`: the changes of one aggregate, latest first, in pages.
#[async_trait]
pub trait HistoryReader: Debug + Send + Sync {
    /// The changes of an aggregate, latest first.
    async fn list(
        &self,
        aggregate: Aggregate,
        key: &RowKey,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Change>>;
}
