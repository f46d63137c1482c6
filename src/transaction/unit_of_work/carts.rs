//! Carts in a unit of work.

use std::sync::Arc;

use super::Tx;
use super::single;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::LineKey;
use crate::model::Options;
use crate::model::Owner;
use crate::model::Quantity;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::UserId;
use crate::spi::store::CartLineStep;
use crate::spi::store::Delta;
use crate::spi::store::Parts;

/// Carts in a unit of work.
#[derive(Clone, Debug)]
pub struct TxCarts(pub(super) Tx);

impl TxCarts {
    /// The cart of this id; absence is remembered as well.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: CartId) -> Result<Option<Arc<Cart>>> {
        let (tx, reader) = (&self.0, self.0.context.carts()?);
        let ids = [id];
        let fetch = async { Ok(single(reader.get_many(&ids, tx.deadline).await?)) };
        tx.read(row(id), fetch).await
    }

    /// The cart of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: CartId) -> Result<Arc<Cart>> {
        self.get(id)
            .await?
            .ok_or_else(|| Error::not_found(format!("cart {id}")))
    }

    /// The open cart of a user.
    ///
    /// - That there is none is not remembered: only creating one asserts that.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn active(&self, user: UserId) -> Result<Option<Arc<Cart>>> {
        let tx = &self.0;
        let is_active = |cart: &Cart| cart.is_open() && cart.owner.user() == Some(user);
        if let Some(staged) = tx.open()?.staged::<Cart>().find(|cart| is_active(cart)) {
            return Ok(Some(Arc::clone(staged)));
        }
        let Some(found) = tx.context.carts()?.find_active(user, tx.deadline).await? else {
            return Ok(None);
        };
        Ok(tx
            .remember(row(found.id), Some(found))?
            .filter(|cart| is_active(cart)))
    }

    /// Stages a new cart in the shop's currency.
    ///
    /// # Errors
    /// `InvalidInput` once the unit of work has ended.
    pub fn create(&self, owner: Owner) -> Result<Arc<Cart>> {
        self.create_in(owner, self.0.context.currency())
    }

    /// Stages a new cart in a currency.
    ///
    /// # Errors
    /// `InvalidInput` once the unit of work has ended.
    pub fn create_in(&self, owner: Owner, currency: Currency) -> Result<Arc<Cart>> {
        let context = &self.0.context;
        let cart = Cart::open(
            CartId::new(),
            owner,
            currency,
            context.cart_expiry(),
            context.now(),
        );
        self.0.open()?.create(cart)
    }

    /// Stages more of a SKU, without options, in a cart.
    ///
    /// # Errors
    /// `InvalidInput` on `quantity` past the limit of a line.
    pub fn add(&self, cart: CartId, sku: &Sku, quantity: Quantity) -> Result<()> {
        self.add_with(cart, sku, Options::new(), quantity)
    }

    /// Stages more of a SKU with options in a cart.
    ///
    /// # Errors
    /// `InvalidInput` on `quantity` past the limit of a line.
    pub fn add_with(&self, cart: CartId, sku: &Sku, options: Options, quantity: Quantity) -> Result<()> {
        let line = CartLine::new(sku.clone(), options, quantity, self.0.context.now())?;
        let ttl = self.0.context.cart_expiry();
        let step = CartLineStep {
            cart,
            line: line.clone(),
            ttl,
        };
        self.0
            .open()?
            .delta(row(cart), Delta::CartLine(step), |staged: &Cart| {
                with_line(staged, line)
            })
    }

    /// Stages another quantity on a line.
    ///
    /// # Errors
    /// `NotFound` without such a line, `Conflict` when the cart is closed, `InvalidInput` past the limit of a
    /// line.
    pub fn set_quantity(&self, cart: &Cart, line: &LineKey, quantity: Quantity) -> Result<Arc<Cart>> {
        self.change(cart, Parts::Whole, |cart| {
            cart.with_quantity(line, Some(quantity))
        })
    }

    /// Stages the end of a line.
    ///
    /// # Errors
    /// `NotFound` without such a line, `Conflict` when the cart is closed.
    pub fn remove(&self, cart: &Cart, line: &LineKey) -> Result<Arc<Cart>> {
        self.change(cart, Parts::Whole, |cart| cart.with_quantity(line, None))
    }

    /// Stages that the cart was given up.
    ///
    /// # Errors
    /// `Conflict` when the cart is closed.
    pub fn abandon(&self, cart: &Cart) -> Result<Arc<Cart>> {
        self.change(cart, Parts::Root, Cart::abandoned)
    }

    fn change(
        &self,
        cart: &Cart,
        parts: Parts,
        change: impl FnOnce(&Cart) -> Result<Cart>,
    ) -> Result<Arc<Cart>> {
        let context = &self.0.context;
        let (now, expires_at) = (context.now(), Expiry::In(context.cart_expiry()));
        let change = |base: &Cart| {
            change(base).map(|cart| Cart {
                updated_at: now,
                expires_at,
                ..cart
            })
        };
        self.0.open()?.replace(cart, parts, change)
    }
}

fn row(id: CartId) -> (Aggregate, RowKey) {
    (Aggregate::Cart, RowKey::Id(id.uuid()))
}

/// A cart that is replaced in this unit of work, with one line more.
fn with_line(cart: &Cart, line: CartLine) -> Result<Cart> {
    match cart.line(&line.key) {
        Some(there) => cart.with_quantity(&line.key, Some(there.quantity.checked_add(line.quantity)?)),
        None => {
            let mut cart = cart.clone();
            cart.lines.push(line);
            Ok(cart)
        }
    }
}
