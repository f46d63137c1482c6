//! Where products, carts and orders are written: through the shop, or by hand.

use std::sync::Arc;

use stockroom::CartId;
use stockroom::ErrorKind;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::Sku;

use crate::by_hand;
use crate::compared::till::How;
use crate::compared::till::Till;
use crate::support::Result;

/// A product as a caller has it at hand.
#[derive(Debug)]
pub(crate) struct Held {
    /// As it was before everything.
    first: Arc<Product>,
    /// As the shop gave it last.
    last: Arc<Product>,
    /// The version that it has now.
    version: i64,
}

impl Held {
    pub(crate) fn new(product: Arc<Product>) -> Result<Self> {
        Ok(Self {
            version: version(&product)?,
            first: Arc::clone(&product),
            last: product,
        })
    }

    /// Whether what the caller had at first is past.
    pub(crate) fn was_changed(&self) -> Result<bool> {
        Ok(self.version > version(&self.first)?)
    }
}

/// From which state a product is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Now,
    /// Before somebody else changed it.
    TooEarly,
}

/// Gives a product another title.
pub(crate) async fn rename(till: &Till, held: &mut Held, read: Read, title: String) -> Result<()> {
    let id = held.first.id;
    let expected = match read {
        Read::Now => held.version,
        Read::TooEarly => version(&held.first)?,
    };
    let done = match till {
        Till::Shop(shop) => {
            let product = match read {
                Read::Now => &held.last,
                Read::TooEarly => &held.first,
            };
            match shop
                .products()
                .update(product, ProductPatch::new().title(title))
                .await
            {
                Ok(product) => {
                    held.last = product;
                    true
                }
                Err(error) if error.is(ErrorKind::Conflict) => false,
                Err(error) => return Err(error.into()),
            }
        }
        Till::Postgres(connections, how) => {
            let mut connection = connections.take().await?;
            let done = match how {
                How::Transaction => {
                    by_hand::update_in_transaction(&mut connection, id, expected, &title).await?
                }
                How::Statement => by_hand::update_in_statement(&mut connection, id, expected, &title).await?,
            };
            connections.give(connection);
            done
        }
        Till::Sqlite(connections) => {
            let mut connection = connections.take().await?;
            let done = by_hand::update_on_sqlite(&mut connection, id, expected, &title).await?;
            connections.give(connection);
            done
        }
    };
    match (read, done) {
        (Read::Now, true) => held.version += 1,
        (Read::TooEarly, false) => {}
        (Read::Now, false) => return Err("a product was changed by nobody".into()),
        (Read::TooEarly, true) => return Err("an update was lost".into()),
    }
    Ok(())
}

/// Adds one unit to a cart.
pub(crate) async fn add(till: &Till, cart: CartId, sku: &Sku) -> Result<()> {
    match till {
        Till::Shop(shop) => {
            shop.carts().add(cart, sku.clone(), 1).await?;
            Ok(())
        }
        Till::Postgres(connections, how) => {
            let mut connection = connections.take().await?;
            let added = match how {
                How::Transaction => by_hand::add_in_transaction(&mut connection, cart, sku).await,
                How::Statement => by_hand::add_in_statement(&mut connection, cart, sku).await,
            };
            connections.give(connection);
            added
        }
        Till::Sqlite(connections) => {
            let mut connection = connections.take().await?;
            let added = by_hand::add_on_sqlite(&mut connection, cart, sku).await;
            connections.give(connection);
            added
        }
    }
}

fn version(product: &Product) -> Result<i64> {
    Ok(i64::try_from(product.version.get())?)
}
