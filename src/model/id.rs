//! Identities: UUIDs of version 7, one type each, so that a cart is never taken for an order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Error, Result};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $field:literal) => {
        $(#[$meta])*
        ///
        /// - It sorts by the time of its making and is never a secret: whoever knows one can guess its neighbours.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one.
            #[expect(clippy::new_without_default, reason = "two defaults of one type must be equal")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl AsRef<Uuid> for $name {
            #[inline]
            fn as_ref(&self) -> &Uuid {
                &self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// # Errors
            /// `InvalidInput` when it is not a UUID.
            fn from_str(text: &str) -> Result<Self> {
                Uuid::parse_str(text).map(Self).map_err(|_| Error::invalid($field, "must be a UUID"))
            }
        }
    };
}

id!(
    /// Names a product.
    ProductId,
    "product_id"
);
id!(
    /// Names a cart.
    CartId,
    "cart_id"
);
id!(
    /// Names an order.
    OrderId,
    "order_id"
);
id!(
    /// Names a payment.
    PaymentId,
    "payment_id"
);
id!(
    /// Names a hold of stock.
    HoldId,
    "hold_id"
);
id!(
    /// Names a user.
    UserId,
    "user_id"
);

impl CartId {
    /// The cart in which goes on what was added to this one too late to be ordered with it.
    ///
    /// - Derived, so that whoever knows a cart finds the one after it, and a cart has one successor at most.
    #[must_use]
    pub fn successor(self) -> Self {
        let digest = Sha256::new()
            .chain_update("stockroom.cart.successor")
            .chain_update(self.0.as_bytes())
            .finalize();
        let mut bytes = *self.0.as_bytes();
        // The time stays: as any other identity it sorts by when its row of carts began.
        for (byte, drawn) in bytes[6..].iter_mut().zip(digest) {
            *byte = drawn;
        }
        Self(
            uuid::Builder::from_bytes(bytes)
                .with_version(uuid::Version::SortRand)
                .with_variant(uuid::Variant::RFC4122)
                .into_uuid(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_json() {
        let id = OrderId::new();
        assert_eq!(id.to_string().parse::<OrderId>().unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<OrderId>(&json).unwrap(), id);
    }

    #[test]
    fn other_text_is_refused_by_field() {
        assert_eq!(
            "x".parse::<CartId>().unwrap_err().invalid_field(),
            Some("cart_id")
        );
    }

    #[test]
    fn every_cart_has_a_successor_of_its_own() {
        let (one, other) = (CartId::new(), CartId::new());
        assert_eq!(one.successor(), one.successor());
        assert_ne!(one.successor(), other.successor());
        assert_ne!(one.successor(), one.successor().successor());
        assert_eq!(one.successor().uuid().get_version_num(), 7);
        assert_eq!(one.successor().uuid().as_bytes()[..6], one.uuid().as_bytes()[..6]);
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<_> = (0..100).map(|_| ProductId::new()).collect();
        assert!(ids.is_sorted());
    }
}
