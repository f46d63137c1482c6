//! What a customer means to buy.

use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::key::text_traits;
use super::stored::stored_enum;
use super::{CartId, Currency, Expiry, Options, Quantity, Sku, Timestamp, UserId, Version, truncate};
use crate::{Error, ErrorKind, Result};

/// The greatest quantity of one line.
pub const MAX_LINE_QUANTITY: i64 = 10_000;
/// The most lines of one cart.
pub const MAX_LINES: usize = 500;

/// How many bytes of the options' digest a line key shows.
const DIGEST_BYTES: usize = 16;

/// Whose cart it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub enum Owner {
    /// Whoever knows its id.
    Guest,
    /// A user, who has at most one open cart.
    User(UserId),
}

impl Owner {
    /// The user.
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::Guest => None,
            Self::User(id) => Some(id),
        }
    }
}

impl From<Option<UserId>> for Owner {
    fn from(user: Option<UserId>) -> Self {
        user.map_or(Self::Guest, Self::User)
    }
}

stored_enum! {
    /// What became of a cart.
    CartStatus in "status" {
        /// It can be changed.
        Open = "open",
        /// It became an order.
        Ordered = "ordered",
        /// It was given up.
        Abandoned = "abandoned",
    }
}

/// What a customer means to buy.
///
/// - Its methods return the changed cart at the version and times that it had: the write path raises and stamps them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cart {
    /// Its identity.
    pub id: CartId,
    /// How often it has changed.
    pub version: Version,
    /// Whose it is.
    pub owner: Owner,
    /// The currency that it is priced in.
    pub currency: Currency,
    /// What became of it.
    pub status: CartStatus,
    /// What is in it, one line for every line key.
    pub lines: Vec<CartLine>,
    /// When it stops being open by itself.
    pub expires_at: Expiry,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Cart {
    /// A new, empty cart that lives this long.
    pub fn open(id: CartId, owner: Owner, currency: Currency, ttl: Duration, now: Timestamp) -> Self {
        let now = truncate(now);
        Self {
            id,
            version: Version::FIRST,
            owner,
            currency,
            status: CartStatus::Open,
            lines: Vec::new(),
            expires_at: Expiry::In(ttl),
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether it can be changed, as far as its status says; whether it has expired, the store's clock decides.
    pub fn is_open(&self) -> bool {
        self.status == CartStatus::Open
    }

    /// The line of this key.
    pub fn line(&self, key: &LineKey) -> Option<&CartLine> {
        self.lines.iter().find(|line| line.key == *key)
    }

    /// The cart with this quantity on a line; `None` removes the line.
    ///
    /// # Errors
    /// - `NotFound` when there is no such line.
    /// - `Conflict` when the cart is not open.
    /// - `InvalidInput`, field `quantity`, past [`MAX_LINE_QUANTITY`].
    pub fn with_quantity(&self, key: &LineKey, quantity: Option<Quantity>) -> Result<Self> {
        let mut cart = self.changeable()?;
        let found = cart.lines.iter().position(|line| line.key == *key);
        let index = found.ok_or_else(|| Error::not_found(format!("line {key} of cart {}", self.id)))?;
        match quantity {
            Some(quantity) => cart.lines[index].quantity = line_quantity(quantity)?,
            None => {
                cart.lines.remove(index);
            }
        }
        Ok(cart)
    }

    /// The cart once it has become an order.
    ///
    /// # Errors
    /// `Conflict` when it is not open.
    pub fn ordered(&self) -> Result<Self> {
        Ok(Self {
            status: CartStatus::Ordered,
            ..self.changeable()?
        })
    }

    /// The cart once it was given up.
    ///
    /// # Errors
    /// `Conflict` when it is not open.
    pub fn abandoned(&self) -> Result<Self> {
        Ok(Self {
            status: CartStatus::Abandoned,
            ..self.changeable()?
        })
    }

    fn changeable(&self) -> Result<Self> {
        if self.is_open() {
            return Ok(self.clone());
        }
        let cart = format!("cart {}", self.id);
        let error = Error::new(
            ErrorKind::Conflict,
            format!("{cart} is {} and cannot be changed", self.status),
        );
        Err(error.concerning(cart).found(self.version.get()))
    }
}

/// One line of a cart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CartLine {
    /// What tells it from the other lines: SKU and options.
    pub key: LineKey,
    /// What is to be bought.
    pub sku: Sku,
    /// What the customer chose.
    pub options: Options,
    /// How many.
    pub quantity: Quantity,
    /// When it was added.
    pub added_at: Timestamp,
}

impl CartLine {
    /// A line, with the key that belongs to it.
    ///
    /// # Errors
    /// `InvalidInput`, field `quantity`, past [`MAX_LINE_QUANTITY`].
    pub fn new(sku: Sku, options: Options, quantity: Quantity, added_at: Timestamp) -> Result<Self> {
        let quantity = line_quantity(quantity)?;
        Ok(Self {
            key: LineKey::of(&sku, &options),
            sku,
            options,
            quantity,
            added_at: truncate(added_at),
        })
    }
}

fn line_quantity(quantity: Quantity) -> Result<Quantity> {
    if quantity.get() > MAX_LINE_QUANTITY {
        return Err(Error::invalid(
            "quantity",
            format!("must be at most {MAX_LINE_QUANTITY} on one line"),
        ));
    }
    Ok(quantity)
}

/// What tells the lines of a cart apart: the SKU and a digest of the options.
///
/// - Equal options give equal keys, in whatever order they were chosen; without options it is the SKU.
///
/// ```
/// use stockroom::{LineKey, Options, Sku};
///
/// let sku = Sku::new("MUG")?;
/// assert_eq!(LineKey::of(&sku, &Options::new()).as_str(), "MUG");
/// assert!(LineKey::of(&sku, &Options::new().with("text", "Ada")?).as_str().starts_with("MUG:"));
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineKey(String);

impl LineKey {
    /// The key of a line.
    pub fn of(sku: &Sku, options: &Options) -> Self {
        if options.is_empty() {
            return Self(sku.to_string());
        }
        let mut digest = Sha256::new();
        for (name, value) in options.iter() {
            // U+0000 ends each part: options cannot contain it, so no two lists run together.
            digest.update(name);
            digest.update([0]);
            digest.update(value);
            digest.update([0]);
        }
        let hex: String = digest
            .finalize()
            .iter()
            .take(DIGEST_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(format!("{sku}:{hex}"))
    }

    /// Checks a key that was given out before.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `line`.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let (sku, digest) = text
            .split_once(':')
            .map_or((text.as_str(), None), |(sku, hex)| (sku, Some(hex)));
        let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let whole = digest.is_none_or(|digest| digest.len() == 2 * DIGEST_BYTES && digest.bytes().all(hex));
        if !whole || Sku::new(sku).is_err() {
            return Err(Error::invalid("line", "is not the key of a cart line"));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_traits!(LineKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::from_micros;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().fold(Options::new(), |options, (name, value)| {
            options.with(*name, *value).unwrap()
        })
    }

    fn mug() -> Sku {
        Sku::new("MUG").unwrap()
    }

    fn cart() -> Cart {
        let now = from_micros(0).unwrap();
        let mut cart = Cart::open(
            CartId::new(),
            Owner::Guest,
            Currency::EUR,
            Duration::from_secs(60),
            now,
        );
        cart.lines
            .push(CartLine::new(mug(), Options::new(), Quantity::ONE, now).unwrap());
        cart
    }

    #[test]
    fn equal_options_give_equal_keys_in_any_order() {
        let one = LineKey::of(&mug(), &options(&[("a", "1"), ("b", "2")]));
        assert_eq!(one, LineKey::of(&mug(), &options(&[("b", "2"), ("a", "1")])));
        assert_ne!(one, LineKey::of(&mug(), &options(&[("a", "1b"), ("b", "2")])));
        assert_ne!(one, LineKey::of(&mug(), &Options::new()));
        assert_ne!(
            LineKey::of(&mug(), &options(&[("a", "bc")])),
            LineKey::of(&mug(), &options(&[("ab", "c")])),
        );
    }

    #[test]
    fn keys_that_were_given_out_are_known_again() {
        for key in [
            LineKey::of(&mug(), &Options::new()),
            LineKey::of(&mug(), &options(&[("a", "1")])),
        ] {
            assert_eq!(LineKey::new(key.as_str()).unwrap(), key);
        }
        for bad in ["", "a b", "MUG:", "MUG:xyz", "MUG\0"] {
            assert_eq!(
                LineKey::new(bad).unwrap_err().invalid_field(),
                Some("line"),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn quantities_are_set_and_lines_removed() {
        let cart = cart();
        let key = cart.lines[0].key.clone();
        let three = Quantity::new(3).unwrap();
        assert_eq!(
            cart.with_quantity(&key, Some(three)).unwrap().lines[0].quantity,
            three
        );
        let empty = cart.with_quantity(&key, None).unwrap();
        assert!(empty.lines.is_empty());
        assert!(
            empty
                .with_quantity(&key, None)
                .unwrap_err()
                .is(ErrorKind::NotFound)
        );
    }

    #[test]
    fn a_line_past_its_limit_is_refused() {
        let cart = cart();
        let many = Quantity::new(MAX_LINE_QUANTITY + 1).unwrap();
        let error = cart.with_quantity(&cart.lines[0].key, Some(many)).unwrap_err();
        assert_eq!(error.invalid_field(), Some("quantity"));
        assert!(CartLine::new(mug(), Options::new(), many, cart.created_at).is_err());
    }

    #[test]
    fn a_cart_ends_once() {
        let ordered = cart().ordered().unwrap();
        assert_eq!(ordered.status, CartStatus::Ordered);
        for result in [
            ordered.ordered(),
            ordered.abandoned(),
            ordered.with_quantity(&ordered.lines[0].key, None),
        ] {
            let error = result.unwrap_err();
            assert!(error.is(ErrorKind::Conflict));
            assert_eq!(error.found_version(), Some(1));
        }
        assert_eq!(cart().abandoned().unwrap().status, CartStatus::Abandoned);
    }

    #[test]
    fn stored_statuses_are_known_again() {
        for status in CartStatus::ALL {
            assert_eq!(CartStatus::parse(status.as_str()).unwrap(), *status);
        }
        assert!(CartStatus::parse("Open").unwrap_err().is(ErrorKind::Corrupt));
    }
}
