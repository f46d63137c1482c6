//! Carts: what a customer means to buy.

use std::sync::Arc;

use super::parsed;
use super::single;
use super::version_of;
use super::written;
use crate::cache::Cached;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::ClaimKey;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::LineKey;
use crate::model::Options;
use crate::model::Owner;
use crate::model::Quantity;
use crate::model::RowKey;
use crate::model::Sku;
use crate::model::UserId;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::store::CartLineStep;
use crate::spi::store::Delta;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::transaction::Attempts;
use crate::transaction::Context;

/// A line to be added to a cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCartLine {
    sku: Sku,
    options: Options,
    quantity: Quantity,
}

impl NewCartLine {
    /// So many of a SKU, without options.
    pub fn new(sku: Sku, quantity: Quantity) -> Self {
        Self {
            sku,
            options: Options::new(),
            quantity,
        }
    }

    /// The same with what the customer chose, such as an engraving; other options make another line.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }
}

/// Carts, their lines and their end.
///
/// - A cart expires by the store's clock, by default 30 days after the last change of its lines (set by
///   [`Builder::cart_expiry`](crate::Builder::cart_expiry)); from then on it reads as absent.
/// - A user has at most one open cart, a guest's cart is whoever's knows its id.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use stockroom::{Owner, Stockroom};
///
/// let shop = Stockroom::open("sqlite::memory:").await?;
/// let cart = shop.carts().create(Owner::Guest).await?;
/// shop.carts().add(cart.id, "MUG-BLUE", 2).await?;
/// shop.carts().add(cart.id, "MUG-BLUE", 1).await?;
/// assert_eq!(shop.carts().require(cart.id).await?.lines[0].quantity.get(), 3);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Carts {
    context: Context,
    cache: Option<Cached<Cart>>,
}

impl Carts {
    pub(crate) fn new(context: Context, cache: Option<Cached<Cart>>) -> Self {
        // Who may see what was so a while ago is served by replicas.
        let cache = cache.filter(|_| !context.is_tolerant());
        Self { context, cache }
    }

    /// Creates an empty cart in the shop's currency.
    ///
    /// # Errors
    /// - `AlreadyExists` when the user has an open cart; the existing id is that cart.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the cart created or absent.
    pub async fn create(&self, owner: Owner) -> Result<Arc<Cart>> {
        self.create_in(owner, self.context.currency()).await
    }

    /// Creates an empty cart that is priced in this currency.
    ///
    /// - An expired cart of the user does not stand in the way.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    ///
    /// # Cancel safety
    /// Dropping the future leaves the cart created or absent.
    pub async fn create_in(&self, owner: Owner, currency: Currency) -> Result<Arc<Cart>> {
        let deadline = self.context.deadline();
        let create = async {
            let taken = match self.put_new(owner, currency, None, deadline).await {
                Err(error) if error.is(ErrorKind::AlreadyExists) => error,
                outcome => return outcome,
            };
            match (owner, taken.existing_id()) {
                (Owner::User(user), Some(holder)) if self.has_expired(user, deadline).await? => {
                    self.put_new(owner, currency, Some(holder), deadline).await
                }
                _ => Err(taken),
            }
        };
        create
            .await
            .map_err(|error: Error| error.operation("carts.create"))
    }

    /// Whether the cart that holds a user's key is past its time: it can never be used again, so its key may
    /// go.
    async fn has_expired(&self, user: UserId, deadline: Deadline) -> Result<bool> {
        Ok(self.context.carts()?.find_active(user, deadline).await?.is_none())
    }

    async fn put_new(
        &self,
        owner: Owner,
        currency: Currency,
        instead_of: Option<uuid::Uuid>,
        deadline: Deadline,
    ) -> Result<Arc<Cart>> {
        let ttl = self.context.cart_expiry();
        let cart = Cart::open(CartId::new(), owner, currency, ttl, self.context.now());
        let mut set = self.context.write_set();
        if let (Some(holder), Owner::User(user)) = (instead_of, owner) {
            set.release(ClaimKey::new(ClaimKey::CART_OWNER, user), holder);
        }
        set.put(Put::create(cart.clone()));
        let committed = self.context.commit(set, deadline).await?;
        let expires_at = Expiry::At(cart.expires_at.resolved(committed.at));
        written(&committed, Cart { expires_at, ..cart }).map(Arc::new)
    }

    /// The cart of this id; an expired one reads as absent.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: CartId) -> Result<Option<Arc<Cart>>> {
        let found = match &self.cache {
            Some(cache) => match cache.hit(id.as_ref()) {
                Some(hit) => Ok(hit),
                None => cache.get(id.uuid(), self.context.deadline_length()).await,
            }
            .map(|cart| cart.filter(|cart| self.lives(cart))),
            None => self.get_many(&[id]).await.map(single),
        };
        found.map_err(|error| error.operation("carts.get"))
    }

    /// Whether a cart that was kept for a while has not expired since, by the shop's clock.
    fn lives(&self, cart: &Cart) -> bool {
        cart.expires_at.at().is_none_or(|end| self.context.now() < end)
    }

    /// The cart of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: CartId) -> Result<Arc<Cart>> {
        let found = self.get(id).await?;
        found.ok_or_else(|| Error::not_found(format!("cart {id}")).operation("carts.require"))
    }

    /// Carts by id, in one round trip.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get_many(&self, ids: &[CartId]) -> Result<Vec<Option<Arc<Cart>>>> {
        if let Some(cache) = &self.cache {
            let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
            let found = cache.get_many(&ids, self.context.deadline_length()).await;
            let found = found.map_err(|error| error.operation("carts.get_many"))?;
            let lives = |cart: Option<Arc<Cart>>| cart.filter(|cart| self.lives(cart));
            return Ok(found.into_iter().map(lives).collect());
        }
        let reader = self.context.shown(Aggregate::Cart).cart()?;
        let found = reader.get_many(ids, self.context.deadline()).await;
        found.map_err(|error| error.operation("carts.get_many"))
    }

    /// The cart to go on with: this one while it is open, else the one that took over what was added to it too late to be
    /// ordered. `None` once there is nothing to go on with.
    ///
    /// - Lines move to another cart when they are added during a payment, and where carts lie in another store than orders: see
    ///   [`Builder::place`](crate::Builder::place). Asking costs one round trip for each time that this happened.
    /// - Such a cart reads as open until it is closed, which is a moment after its order was placed.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn current(&self, id: CartId) -> Result<Option<Arc<Cart>>> {
        let (mut here, deadline) = (id, self.context.deadline());
        let reader = self.context.shown(Aggregate::Cart).cart()?;
        while !deadline.is_over() {
            let next = here.successor();
            let found = reader.get_many(&[here, next], deadline).await;
            let mut found = found.map_err(|error| error.operation("carts.current"))?;
            let (successor, cart) = (found.pop().flatten(), found.pop().flatten());
            match (cart, successor) {
                (Some(cart), _) if cart.is_open() => return Ok(Some(cart)),
                (_, Some(successor)) if successor.is_open() => return Ok(Some(successor)),
                (_, Some(_)) => here = next,
                (_, None) => return Ok(None),
            }
        }
        let message = "the carts after this one could not be looked through in time";
        Err(Error::new(ErrorKind::Timeout, message).operation("carts.current"))
    }

    /// The open cart of a user.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn active(&self, user: UserId) -> Result<Option<Arc<Cart>>> {
        let found = self
            .context
            .shown(Aggregate::Cart)
            .cart()?
            .find_active(user, self.context.deadline())
            .await;
        found.map_err(|error| error.operation("carts.active"))
    }

    /// Adds so many of a SKU, without options, and gives the cart's new version.
    ///
    /// - A delta: one round trip, nothing is read, and ten at once all count.
    /// - Whether the SKU exists is not asked: the quote refuses what the shop does not offer.
    /// - The cart lives its whole expiry again.
    ///
    /// # Errors
    /// - `InvalidInput`: field `sku`, or `quantity` when it is no quantity or the line is past its limit.
    /// - `NotFound` without such a cart, `Conflict` when it is closed or expired.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the units added or not.
    pub async fn add(
        &self,
        cart: CartId,
        sku: impl TryInto<Sku, Error: Into<Error>> + Send,
        quantity: impl TryInto<Quantity, Error: Into<Error>> + Send,
    ) -> Result<Version> {
        let named = |error: Error| error.operation("carts.add");
        let (sku, quantity) = (parsed(sku).map_err(named)?, parsed(quantity).map_err(named)?);
        self.add_step(cart, NewCartLine::new(sku, quantity))
            .await
            .map_err(named)
    }

    /// Adds a line, or to the line of the same SKU and options, and gives the cart's new version.
    ///
    /// - As [`add`](Self::add) in every other way.
    ///
    /// # Errors
    /// Those of [`add`](Self::add).
    ///
    /// # Cancel safety
    /// Dropping the future leaves the units added or not.
    pub async fn add_line(&self, cart: CartId, line: NewCartLine) -> Result<Version> {
        self.add_step(cart, line)
            .await
            .map_err(|error| error.operation("carts.add_line"))
    }

    async fn add_step(&self, cart: CartId, line: NewCartLine) -> Result<Version> {
        let line = CartLine::new(line.sku, line.options, line.quantity, self.context.now())?;
        let mut set = self.context.write_set();
        set.delta(Delta::CartLine(CartLineStep {
            cart,
            line,
            ttl: self.context.cart_expiry(),
        }));
        let committed = self.context.commit(set, self.context.deadline()).await?;
        version_of(&committed, Aggregate::Cart, &RowKey::Id(cart.uuid()))
    }

    /// Sets the quantity of a line, whatever it was.
    ///
    /// - When something else changed the cart meanwhile it is tried again; the cart lives its whole expiry
    ///   again.
    ///
    /// # Errors
    /// - `InvalidInput` on `quantity`; removing a line is [`remove`](Self::remove).
    /// - `NotFound` without such a cart or line, `Conflict` when the cart is closed.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the quantity set or as it was.
    pub async fn set_quantity(
        &self,
        cart: CartId,
        line: &LineKey,
        quantity: impl TryInto<Quantity, Error: Into<Error>> + Send,
    ) -> Result<Arc<Cart>> {
        let named = |error: Error| error.operation("carts.set_quantity");
        let quantity = parsed(quantity).map_err(named)?;
        self.change(cart, Parts::Whole, |cart| {
            cart.with_quantity(line, Some(quantity))
        })
        .await
        .map_err(named)
    }

    /// Removes a line.
    ///
    /// # Errors
    /// Those of [`set_quantity`](Self::set_quantity).
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line removed or as it was.
    pub async fn remove(&self, cart: CartId, line: &LineKey) -> Result<Arc<Cart>> {
        let removed = self
            .change(cart, Parts::Whole, |cart| cart.with_quantity(line, None))
            .await;
        removed.map_err(|error| error.operation("carts.remove"))
    }

    /// Closes a cart without an order.
    ///
    /// # Errors
    /// - `NotFound` without such a cart, `Conflict` when it is closed.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the cart abandoned or as it was.
    pub async fn abandon(&self, cart: CartId) -> Result<Arc<Cart>> {
        let abandoned = self.change(cart, Parts::Root, Cart::abandoned).await;
        abandoned.map_err(|error| error.operation("carts.abandon"))
    }

    /// Reads, changes and writes a cart, again when something else came between.
    async fn change(
        &self,
        id: CartId,
        parts: Parts,
        change: impl Fn(&Cart) -> Result<Cart> + Send + Sync,
    ) -> Result<Arc<Cart>> {
        let deadline = self.context.deadline();
        let mut attempts = Attempts::few(deadline);
        loop {
            let found = single(self.context.carts()?.get_many(&[id], deadline).await?);
            let old = found.ok_or_else(|| Error::not_found(format!("cart {id}")))?;
            let ttl = self.context.cart_expiry();
            let new = Cart {
                updated_at: self.context.now(),
                expires_at: Expiry::In(ttl),
                ..change(&old)?
            };
            let mut set = self.context.write_set();
            set.put(
                Put {
                    parts,
                    ..Put::update(&*old, new.clone())
                }
                .live(),
            );
            match self.context.commit(set, deadline).await {
                Ok(committed) => {
                    let expires_at = Expiry::At(new.expires_at.resolved(committed.at));
                    return written(&committed, Cart { expires_at, ..new }).map(Arc::new);
                }
                Err(error) => attempts.after_conflict(error).await?,
            }
        }
    }
}
