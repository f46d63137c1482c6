//! The list of all aggregates, and what the write path has to know about each of them.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::stored::stored_enum;
use super::{Cart, CartStatus, Level, LocationId, Order, OrderStatus, Payment, Product, Sku, Version};

/// Names a row of an aggregate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[non_exhaustive]
pub enum RowKey {
    /// What has an identity of its own.
    Id(Uuid),
    /// A level of stock.
    Level(Sku, LocationId),
}

impl RowKey {
    /// The identity, where there is one.
    pub const fn id(&self) -> Option<Uuid> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Level(..) => None,
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Level(sku, location) => write!(f, "{sku}@{location}"),
        }
    }
}

/// A key that at most one owner can have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ClaimKey {
    /// What kind of key it is.
    pub space: &'static str,
    /// The key.
    pub key: String,
}

impl ClaimKey {
    /// The space of products' slugs.
    pub const PRODUCT_SLUG: &'static str = "product.slug";
    /// The space of SKUs.
    pub const PRODUCT_SKU: &'static str = "product.sku";
    /// The space of users who have an open cart.
    pub const CART_OWNER: &'static str = "cart.owner";
    /// The space of carts that became an order.
    pub const ORDER_CART: &'static str = "order.cart";
    /// The space of payments' references, by provider.
    pub const PAYMENT_REFERENCE: &'static str = "payment.reference";
    /// The space of providers' events.
    pub const PAYMENT_EVENT: &'static str = "payment.event";

    /// A key in a space.
    pub fn new(space: &'static str, key: impl fmt::Display) -> Self {
        Self {
            space,
            key: key.to_string(),
        }
    }

    /// Whether it is claimed for a part of an aggregate (a variant), not for its root.
    pub(crate) fn is_of_a_part(&self) -> bool {
        self.space == Self::PRODUCT_SKU
    }

    /// The aggregate with which the key is kept: the first word of its space, as in `order.cart`.
    pub fn aggregate(&self) -> Option<Aggregate> {
        let (first, _) = self.space.split_once('.')?;
        Aggregate::parse(first).ok()
    }
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.space, self.key)
    }
}

/// What is written and versioned as a whole.
pub trait AggregateRoot: Clone + fmt::Debug + Into<Record> + Send + Sync + 'static {
    /// Which aggregate it is.
    const KIND: Aggregate;

    /// Which row it is.
    fn key(&self) -> RowKey;

    /// How often it has changed.
    fn version(&self) -> Version;

    /// The same at this version.
    #[must_use]
    fn at_version(self, version: Version) -> Self;

    /// The unique keys that it has, as it is.
    fn claims(&self) -> Vec<ClaimKey>;
}

/// One line an aggregate: its type, its stored name, the way out of a record.
macro_rules! aggregates {
    ($($(#[$meta:meta])* $name:ident = $text:literal, $accessor:ident;)+) => {
        stored_enum! {
            /// The kinds of things that are written and versioned as a whole.
            Aggregate in "aggregate" {
                $($(#[$meta])* $name = $text,)+
            }
        }

        /// An aggregate of any kind; clones share it.
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum Record {
            $($(#[$meta])* $name(Arc<$name>),)+
        }

        impl Record {
            /// Which aggregate it is.
            pub const fn aggregate(&self) -> Aggregate {
                match self {
                    $(Self::$name(_) => Aggregate::$name,)+
                }
            }

            /// Which row it is.
            pub fn key(&self) -> RowKey {
                match self {
                    $(Self::$name(root) => root.key(),)+
                }
            }

            /// How often it has changed.
            pub fn version(&self) -> Version {
                match self {
                    $(Self::$name(root) => AggregateRoot::version(&**root),)+
                }
            }

            /// The same at this version; what is shared is copied first.
            #[must_use]
            pub fn at_version(self, version: Version) -> Self {
                match self {
                    $(Self::$name(root) => Arc::unwrap_or_clone(root).at_version(version).into(),)+
                }
            }

            /// The unique keys that it has, as it is.
            pub fn claims(&self) -> Vec<ClaimKey> {
                match self {
                    $(Self::$name(root) => root.claims(),)+
                }
            }

            $(
                #[doc = concat!("The ", $text, ", if it is one.")]
                pub const fn $accessor(&self) -> Option<&Arc<$name>> {
                    match self {
                        Self::$name(root) => Some(root),
                        _ => None,
                    }
                }
            )+
        }

        $(
            impl From<$name> for Record {
                fn from(root: $name) -> Self {
                    Self::$name(Arc::new(root))
                }
            }

            impl From<Arc<$name>> for Record {
                fn from(root: Arc<$name>) -> Self {
                    Self::$name(root)
                }
            }
        )+
    };
}

aggregates! {
    /// What the shop offers.
    Product = "product", as_product;
    /// What a customer means to buy.
    Cart = "cart", as_cart;
    /// What a customer has bought.
    Order = "order", as_order;
    /// Money that a provider moves.
    Payment = "payment", as_payment;
    /// What there is of one SKU at one location.
    Level = "level", as_level;
}

impl Aggregate {
    /// The name of one of this kind for an error, such as `"order 018f…"`.
    pub fn name(self, key: &RowKey) -> String {
        format!("{self} {key}")
    }
}

impl Record {
    /// Who has its unique keys: its identity. A level has none, and claims nothing.
    pub fn owner(&self) -> Uuid {
        self.key().id().unwrap_or(Uuid::nil())
    }
}

impl AggregateRoot for Product {
    const KIND: Aggregate = Aggregate::Product;

    fn key(&self) -> RowKey {
        RowKey::Id(self.id.uuid())
    }

    fn version(&self) -> Version {
        self.version
    }

    fn at_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    fn claims(&self) -> Vec<ClaimKey> {
        let skus = self
            .variants
            .iter()
            .map(|variant| ClaimKey::new(ClaimKey::PRODUCT_SKU, &variant.sku));
        std::iter::once(ClaimKey::new(ClaimKey::PRODUCT_SLUG, &self.slug))
            .chain(skus)
            .collect()
    }
}

impl AggregateRoot for Cart {
    const KIND: Aggregate = Aggregate::Cart;

    fn key(&self) -> RowKey {
        RowKey::Id(self.id.uuid())
    }

    fn version(&self) -> Version {
        self.version
    }

    fn at_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    fn claims(&self) -> Vec<ClaimKey> {
        let owner = self.owner.user().filter(|_| self.status == CartStatus::Open);
        owner
            .map(|user| ClaimKey::new(ClaimKey::CART_OWNER, user))
            .into_iter()
            .collect()
    }
}

impl AggregateRoot for Order {
    const KIND: Aggregate = Aggregate::Order;

    fn key(&self) -> RowKey {
        RowKey::Id(self.id.uuid())
    }

    fn version(&self) -> Version {
        self.version
    }

    fn at_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// A cancelled order sets its cart free, so that another order can be made of it.
    fn claims(&self) -> Vec<ClaimKey> {
        let cart = self.cart.filter(|_| self.status != OrderStatus::Cancelled);
        cart.map(|cart| ClaimKey::new(ClaimKey::ORDER_CART, cart))
            .into_iter()
            .collect()
    }
}

impl AggregateRoot for Payment {
    const KIND: Aggregate = Aggregate::Payment;

    fn key(&self) -> RowKey {
        RowKey::Id(self.id.uuid())
    }

    fn version(&self) -> Version {
        self.version
    }

    fn at_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    fn claims(&self) -> Vec<ClaimKey> {
        let reference = self.reference.as_ref();
        let key = reference.map(|reference| format!("{}:{reference}", self.provider));
        key.map(|key| ClaimKey::new(ClaimKey::PAYMENT_REFERENCE, key))
            .into_iter()
            .collect()
    }
}

impl AggregateRoot for Level {
    const KIND: Aggregate = Aggregate::Level;

    fn key(&self) -> RowKey {
        RowKey::Level(self.sku.clone(), self.location.clone())
    }

    fn version(&self) -> Version {
        self.version
    }

    fn at_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    fn claims(&self) -> Vec<ClaimKey> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{CartId, Currency, Money, NewProduct, Owner, ProductId, UserId, from_micros};

    fn product() -> Product {
        let price = Money::new(1, Currency::EUR);
        let new = NewProduct::new("Mug")
            .slug("mug")
            .variant("MUG-1", price)
            .variant("MUG-2", price);
        new.build(ProductId::new(), from_micros(0).unwrap()).unwrap()
    }

    #[test]
    fn a_product_claims_its_slug_and_every_sku() {
        let claims: Vec<_> = product().claims().iter().map(ToString::to_string).collect();
        assert_eq!(
            claims,
            ["product.slug mug", "product.sku MUG-1", "product.sku MUG-2"]
        );
    }

    #[test]
    fn only_the_open_cart_of_a_user_is_claimed() {
        let open = |owner| {
            let now = from_micros(0).unwrap();
            Cart::open(CartId::new(), owner, Currency::EUR, Duration::from_secs(1), now)
        };
        let user = UserId::new();
        let cart = open(Owner::User(user));
        assert_eq!(cart.claims(), [ClaimKey::new(ClaimKey::CART_OWNER, user)]);
        assert!(cart.ordered().unwrap().claims().is_empty());
        assert!(open(Owner::Guest).claims().is_empty());
    }

    #[test]
    fn a_record_says_what_it_is() {
        let product = product();
        let record = Record::from(product.clone());
        assert_eq!(record.aggregate(), Aggregate::Product);
        assert_eq!(record.key(), RowKey::Id(product.id.uuid()));
        assert_eq!(record.owner(), product.id.uuid());
        assert_eq!(record.as_product().map(|product| &**product), Some(&product));
        assert!(record.as_cart().is_none());
        let next = record.clone().at_version(Version::from(2));
        assert_eq!((record.version().get(), next.version().get()), (1, 2));
    }

    #[test]
    fn a_key_is_kept_with_the_aggregate_that_its_space_begins_with() {
        let kept_with = |space| ClaimKey::new(space, "").aggregate();
        assert_eq!(kept_with(ClaimKey::PRODUCT_SKU), Some(Aggregate::Product));
        assert_eq!(kept_with(ClaimKey::CART_OWNER), Some(Aggregate::Cart));
        assert_eq!(kept_with(ClaimKey::ORDER_CART), Some(Aggregate::Order));
        assert_eq!(kept_with(ClaimKey::PAYMENT_EVENT), Some(Aggregate::Payment));
        assert_eq!(kept_with("vouchers"), None);
    }

    #[test]
    fn stored_kinds_are_known_again() {
        for kind in Aggregate::ALL {
            assert_eq!(Aggregate::parse(kind.as_str()).unwrap(), *kind);
        }
    }
}
