//! What place and pay share: quote, make one write set under an idempotency key, commit; look again where
//! something moved.

use super::closing;
use super::place::load;
use super::quote::Quote;
use super::quote::quote;
use super::quote::resource;
use super::terms::Terms;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::CartId;
use crate::model::FulfilmentStatus;
use crate::model::IdempotencyKey;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::Settlement;
use crate::model::Version;
use crate::repository::single;
use crate::resilience::Deadline;
use crate::spi::store::ClaimFound;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::WriteSet;
use crate::transaction::Attempts;
use crate::transaction::Context;

/// Times that other locations are looked for when the chosen ones ran short.
pub(super) const MOST_SOURCINGS: u32 = 3;

/// What is ordered.
#[derive(Clone, Debug)]
pub(super) enum Goods {
    /// What was quoted before: prices are those that the customer saw.
    Quote(Box<Quote>),
    /// What is in the cart when the order is made.
    Cart(CartId),
}

impl Goods {
    fn cart(&self) -> CartId {
        match self {
            Self::Quote(quote) => quote.cart.id,
            Self::Cart(cart) => *cart,
        }
    }
}

/// A request that is carried out once.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) context: &'a Context,
    pub(super) goods: &'a Goods,
    pub(super) terms: &'a Terms,
    pub(super) idempotency: Idempotency,
    pub(super) deadline: Deadline,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Once<T> {
    /// It was carried out.
    Done(T, Committed),
    /// It was carried out before, for this order.
    Known(OrderId),
}

impl Request<'_> {
    /// Carries the request out, unless its key was used before.
    ///
    /// - One commit when nothing moved. When the quoted locations ran short, others are looked for; when the
    ///   cart moved, and the caller did not quote it before, it is quoted again.
    pub(super) async fn once<T: Send>(
        &self,
        stage: impl Fn(&Quote, &mut WriteSet) -> Result<T> + Send + Sync,
    ) -> Result<Once<T>> {
        let error = match self.carry_out(stage).await {
            Err(error) if depends_on_state(&error) => error,
            outcome => return outcome,
        };
        // A request that was carried out before closed its cart and took its stock: the key tells.
        let known = find_key(
            self.context,
            &self.idempotency.scope,
            &self.idempotency.key,
            self.deadline,
        )
        .await?;
        match known {
            Some(known) if known.fingerprint == Some(self.idempotency.fingerprint) => {
                Ok(Once::Known(known.owner.into()))
            }
            Some(known) => {
                let message =
                    "the idempotency key was used for another request: use a new key for a new request";
                Err(Error::new(ErrorKind::KeyReused, message).existing(known.owner))
            }
            None => Err(self.seen(error).await),
        }
    }

    /// An order that was made of the cart before is seen by its claim where the cart lies in another store and is still open:
    /// it is closed then, and the answer is that of a closed cart.
    async fn seen(&self, error: Error) -> Error {
        let owner = error.existing_id();
        let (Some(owner), ErrorKind::AlreadyExists, true) =
            (owner, error.kind(), closing::is_apart(self.context))
        else {
            return error;
        };
        match load(self.context, owner.into(), self.deadline).await {
            Ok(order) if closing::is_live(&order) && order.cart == Some(self.goods.cart()) => {
                closing::close_soon(self.context, &order).await;
                Error::new(
                    ErrorKind::Conflict,
                    "the cart was ordered and cannot be ordered again",
                )
                .concerning(format!("cart {}", self.goods.cart()))
                .existing(owner)
            }
            _ => error,
        }
    }

    async fn carry_out<T: Send>(
        &self,
        stage: impl Fn(&Quote, &mut WriteSet) -> Result<T> + Send + Sync,
    ) -> Result<Once<T>> {
        let mut attempts = Attempts::few(self.deadline);
        let mut sourcings = 0;
        let mut quote = self.quote().await?;
        loop {
            let mut set = self.context.write_set();
            set.idempotent(self.idempotency.clone());
            let staged = stage(&quote, &mut set)?;
            match self.context.commit(set, self.deadline).await {
                Ok(Committed {
                    replay: Some(owner), ..
                }) => return Ok(Once::Known(owner.into())),
                Ok(committed) => return Ok(Once::Done(staged, committed)),
                Err(error) if error.is(ErrorKind::InsufficientStock) && sourcings < MOST_SOURCINGS => {
                    sourcings += 1;
                    quote = resource(self.context, &quote, self.terms.hold.as_ref(), self.deadline).await?;
                }
                Err(error) if matches!(self.goods, Goods::Quote(_)) => return Err(error),
                Err(error) => {
                    attempts.after_conflict(error).await?;
                    quote = self.quote().await?;
                }
            }
        }
    }

    async fn quote(&self) -> Result<Quote> {
        match self.goods {
            Goods::Quote(quote) => {
                if closing::is_apart(self.context) {
                    self.check_cart(quote).await?;
                }
                Ok((**quote).clone())
            }
            Goods::Cart(cart) => quote(self.context, *cart, self.terms.hold.as_ref(), self.deadline).await,
        }
    }

    /// The commit cannot check a cart of another store: what was quoted must be so just before it.
    async fn check_cart(&self, quote: &Quote) -> Result<()> {
        let id = quote.cart.id;
        let found = single(self.context.carts()?.get_many(&[id], self.deadline).await?);
        let name = || format!("cart {id}");
        let cart = found.ok_or_else(|| Error::not_found(name()))?;
        if !cart.is_open() || cart.version != quote.cart.version {
            return Err(Error::conflict(name(), Some(cart.version.get())));
        }
        Ok(())
    }

    /// Stages that the hold of the request is used up, if it has one.
    pub(super) fn use_up_hold(&self, set: &mut WriteSet) {
        if let Some(hold) = &self.terms.hold {
            set.delta(Delta::unhold(hold.id, &hold.lines));
        }
    }

    /// The order that a quote becomes.
    pub(super) fn order(&self, quote: &Quote, status: OrderStatus) -> Result<Order> {
        let now = self.context.now();
        let terms = self.terms;
        let order = Order {
            id: self.idempotency.owner.into(),
            version: Version::FIRST,
            customer: terms.customer.or(quote.cart.owner.user()),
            cart: Some(quote.cart.id),
            status,
            fulfilment: FulfilmentStatus::Unfulfilled,
            currency: quote.cart.currency,
            subtotal: quote.subtotal,
            tax: quote.tax,
            total: quote.total,
            paid: Settlement::ZERO,
            ship_to: terms.ship_to.clone(),
            bill_to: terms.bill_to.clone(),
            email: terms.email.clone(),
            cancel_reason: None,
            lines: quote.order_lines(),
            placed_at: now,
            updated_at: now,
        };
        order.validate()?;
        Ok(order)
    }
}

/// What an idempotency key was used for.
pub(super) async fn find_key(
    context: &Context,
    scope: &str,
    key: &IdempotencyKey,
    deadline: Deadline,
) -> Result<Option<ClaimFound>> {
    find_claim(context, Idempotency::space(scope), key.to_string(), deadline).await
}

/// Who has a unique key.
pub(super) async fn find_claim(
    context: &Context,
    space: String,
    key: String,
    deadline: Deadline,
) -> Result<Option<ClaimFound>> {
    Ok(single(
        context
            .claims(Aggregate::Order)?
            .find(&[(space, key)], deadline)
            .await?,
    ))
}

/// Whether the error would be another one had the same request not been carried out before.
fn depends_on_state(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::Conflict
            | ErrorKind::InsufficientStock
            | ErrorKind::InvalidInput
            | ErrorKind::TooLarge
    )
}
