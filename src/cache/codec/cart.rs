//! A cart as it is kept: what is in it and whose it is, by ids alone.

use serde::Deserialize;
use serde::Serialize;

use super::Cacheable;
use super::product::options;
use crate::error::Error;
use crate::error::Result;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::CartStatus;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::LineKey;
use crate::model::Owner;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::UserId;
use crate::model::Version;
use crate::model::from_micros;
use crate::model::micros;

/// What a cart and a line take in memory.
const WEIGHT: usize = 256;
const LINE_WEIGHT: usize = 256;

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredCart {
    id: [u8; 16],
    version: u64,
    owner: Option<[u8; 16]>,
    currency: String,
    status: String,
    lines: Vec<StoredLine>,
    /// A cart that was read from a store has a point in time; another is not kept.
    expires_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredLine {
    key: String,
    sku: String,
    options: Vec<(String, String)>,
    quantity: i64,
    added_at: i64,
}

impl Cacheable for Cart {
    const SHAPE: &'static str =
        "cart 1: id version owner currency status [key sku options quantity added] expires created updated";

    type Stored = StoredCart;

    fn to_stored(&self) -> StoredCart {
        let line = |line: &CartLine| StoredLine {
            key: line.key.to_string(),
            sku: line.sku.to_string(),
            options: line
                .options
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            quantity: line.quantity.get(),
            added_at: micros(line.added_at),
        };
        StoredCart {
            id: *self.id.uuid().as_bytes(),
            version: self.version.get(),
            owner: self.owner.user().map(|user| *user.uuid().as_bytes()),
            currency: self.currency.code().to_owned(),
            status: self.status.to_string(),
            lines: self.lines.iter().map(line).collect(),
            expires_at: self.expires_at.at().map(micros),
            created_at: micros(self.created_at),
            updated_at: micros(self.updated_at),
        }
    }

    fn from_stored(stored: StoredCart) -> Result<Self> {
        let line = |line: StoredLine| -> Result<CartLine> {
            Ok(CartLine {
                key: LineKey::new(line.key)?,
                sku: Sku::new(line.sku)?,
                options: options(line.options)?,
                quantity: Quantity::new(line.quantity)?,
                added_at: from_micros(line.added_at)?,
            })
        };
        let user = |bytes: [u8; 16]| UserId::from(uuid::Uuid::from_bytes(bytes));
        let expires_at = stored
            .expires_at
            .ok_or_else(|| Error::invalid("expires_at", "is no point in time").corrupted())?;
        Ok(Self {
            id: CartId::from(uuid::Uuid::from_bytes(stored.id)),
            version: Version::from(stored.version),
            owner: Owner::from(stored.owner.map(user)),
            currency: Currency::parse(&stored.currency)?,
            status: CartStatus::parse(&stored.status)?,
            lines: stored.lines.into_iter().map(line).collect::<Result<_>>()?,
            expires_at: Expiry::At(from_micros(expires_at)?),
            created_at: from_micros(stored.created_at)?,
            updated_at: from_micros(stored.updated_at)?,
        })
    }

    fn weight(&self) -> usize {
        WEIGHT + self.lines.len() * LINE_WEIGHT
    }
}
