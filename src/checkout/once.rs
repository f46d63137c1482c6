//! The loop that place and pay share: quote, make one write set under an idempotency key, commit; look again where
//! something moved.

use uuid::Uuid;

use super::quote::Quote;
use super::quote::quote;
use super::quote::resource;
use super::terms::Terms;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::CartId;
use crate::model::Currency;
use crate::model::IdempotencyKey;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::FulfilmentStatus;
use crate::model::Settlement;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::store::Committed;
use crate::spi::store::Idempotency;
use crate::spi::store::WriteSet;
use crate::transaction::Attempts;
use crate::transaction::Context;
use crate::transaction::stock;

/// Times that other locations are looked for when the quoted ones ran short.
pub(super) const MOST_SOURCINGS: u32 = 3;

/// What is ordered.
#[derive(Clone, Debug)]
pub(super) enum Goods {
    /// What was quoted before: prices are those that the customer saw.
    Quote(Box<Quote>),
    /// What is in the cart when the order is made.
    Cart(CartId),
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
    /// - One commit when nothing moved. When the quoted locations ran short, others are looked for; when the cart moved
    ///   and was not quoted before by the caller, it is quoted again.
    pub(super) async fn once<T>(
        &self,
        stage: impl Fn(&Quote, &mut WriteSet) -> Result<T> + Send + Sync,
    ) -> Result<Once<T>>
    where
        T: Send,
    {
        let mut attempts = Attempts::few(self.deadline);
        let mut sourcings = 0;
        let mut quote = match self.quote().await? {
            Once::Done(quote, ()) => quote,
            Once::Known(order) => return Ok(Once::Known(order)),
        };
        loop {
            let mut set = self.context.write_set();
            set.idempotent(self.idempotency.clone());
            let staged = stage(&quote, &mut set)?;
            if let Some(hold) = &self.terms.hold {
                set.delta(stock::unhold(hold.id, &hold.lines));
            }
            let error = match self.context.commit(set, self.deadline).await {
                Ok(Committed { replay: Some(owner), .. }) => return Ok(Once::Known(owner.into())),
                Ok(committed) => return Ok(Once::Done(staged, committed)),
                Err(error) => error,
            };
            if error.is(ErrorKind::InsufficientStock) && sourcings < MOST_SOURCINGS {
                sourcings += 1;
                quote = resource(self.context, &quote, self.terms.hold.as_ref(), self.deadline).await?;
                continue;
            }
            if matches!(self.goods, Goods::Quote(_)) {
                return Err(error);
            }
            attempts.after_conflict(error).await?;
            quote = match self.quote().await? {
                Quoted::Fresh(quote) => quote,
                Quoted::Known(order) => return Ok(Once::Known(order)),
            };
        }
    }
}
