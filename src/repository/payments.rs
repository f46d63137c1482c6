//! Payments: what providers were asked for, and what they told.

use std::sync::Arc;

use uuid::Uuid;

use super::single;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::ClaimKey;
use crate::model::FactKind;
use crate::model::OrderId;
use crate::model::Payment;
use crate::model::PaymentFact;
use crate::model::PaymentId;
use crate::model::Provider;
use crate::model::Reference;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::transaction::Context;

/// What recording a fact did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It was new, and was added to the counters.
    New,
    /// It was known: nothing was added.
    Repeated,
}

/// Payments, and the facts that providers tell about them.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use stockroom::{Charge, Currency, Due, Error, IdempotencyKey, LocationId, Money, NewProduct, Owner, Pay, Stockroom};
/// use stockroom::{PaymentFact, Provider, Recorded, Reference};
///
/// # let shop = Stockroom::open("sqlite::memory:").await?;
/// # shop.products().create(NewProduct::new("Mug").variant("MUG", Money::new(9_00, Currency::USD))).await?;
/// # shop.inventory().receive("MUG", &LocationId::new("berlin")?, 10).await?;
/// # let cart = shop.carts().create(Owner::Guest).await?;
/// # shop.carts().add(cart.id, "MUG", 1).await?;
/// # let key = IdempotencyKey::new("k1")?;
/// # let charge = |_: Due| async { Ok::<_, Error>(Charge::captured(Reference::new("ch_1")?)) };
/// # let paid = shop.checkout().pay(Pay::cart(cart.id).key(key), charge).await?;
/// # let order = paid.order();
/// let payment = &shop.payments().for_order(order.id).await?[0];
/// let event = Reference::new("evt_7")?;
/// let refund = PaymentFact::refunded(Provider::new("acme")?, event, Money::new(2_00, Currency::USD));
/// assert_eq!(shop.payments().record(payment.id, refund.clone()).await?, Recorded::New);
/// assert_eq!(shop.payments().record(payment.id, refund).await?, Recorded::Repeated);
/// assert_eq!(shop.orders().require(order.id).await?.paid.refunded, 2_00);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Payments {
    context: Context,
}

impl Payments {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }

    /// The payment of this id.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: PaymentId) -> Result<Option<Arc<Payment>>> {
        let reader = self.context.shown(Aggregate::Payment).payment()?;
        let found = reader.get_many(&[id], self.context.deadline()).await;
        found.map(single).map_err(|error| error.operation("payments.get"))
    }

    /// The payment of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: PaymentId) -> Result<Arc<Payment>> {
        let found = self.get(id).await?;
        found.ok_or_else(|| Error::not_found(format!("payment {id}")).operation("payments.require"))
    }

    /// The payments of an order, oldest first.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn for_order(&self, order: OrderId) -> Result<Vec<Arc<Payment>>> {
        let found = self
            .context
            .shown(Aggregate::Payment)
            .payment()?
            .for_order(order, self.context.deadline())
            .await;
        found.map_err(|error| error.operation("payments.for_order"))
    }

    /// The payment that a provider calls so.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn find_by_reference(
        &self,
        provider: &Provider,
        name: &Reference,
    ) -> Result<Option<Arc<Payment>>> {
        let found = self
            .context
            .shown(Aggregate::Payment)
            .payment()?
            .find_by_reference(provider, name, self.context.deadline())
            .await;
        found.map_err(|error| error.operation("payments.find_by_reference"))
    }

    /// Records what a provider told about a payment, as from a webhook.
    ///
    /// - It is never refused for what state payment and order are in: money that moved has moved. Captured
    ///   after a cancel means that a refund is due.
    /// - The same event counts once, in whatever order and however often it comes.
    /// - Taking (or promising) the whole amount of a payment happens once: what
    ///   [`pay`](crate::Checkout::pay) was told by its callback and what a webhook tells are the same fact.
    ///
    /// # Errors
    /// - `NotFound` without such a payment.
    /// - `InvalidInput`: field `amount` unless it is positive, `currency` when it is not the payment's.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`: repeat the call with the same event.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the fact recorded on payment and order, or on neither.
    pub async fn record(&self, payment: PaymentId, fact: PaymentFact) -> Result<Recorded> {
        let record = async {
            fact.validate()?;
            let deadline = self.context.deadline();
            let found = self.find(payment, deadline).await?;
            let found = found.ok_or_else(|| Error::not_found(format!("payment {payment}")))?;
            self.record_on(&found, &fact, deadline).await
        };
        record
            .await
            .map_err(|error: Error| error.operation("payments.record"))
    }

    /// Records what a provider told about an order.
    ///
    /// - It counts for the payment that has the fact's reference, else for the only payment of the order;
    ///   without one, for the order alone.
    /// - As [`record`](Self::record) in every other way.
    ///
    /// # Errors
    /// Those of [`record`](Self::record), `NotFound` without such an order.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the fact recorded, or not at all.
    pub async fn record_for_order(&self, order: OrderId, fact: PaymentFact) -> Result<Recorded> {
        let record = async {
            fact.validate()?;
            let deadline = self.context.deadline();
            let payments = self.context.payments()?.for_order(order, deadline).await?;
            if let Some(payment) = payment_of(&payments, &fact) {
                return self.record_on(payment, &fact, deadline).await;
            }
            let found = single(self.context.orders()?.get_many(&[order], deadline).await?);
            let found = found.ok_or_else(|| Error::not_found(format!("order {order}")))?;
            fact.amount.checked_add(found.total)?;
            let mut set = self.context.write_set();
            set.delta(Delta::Order {
                order,
                settled: fact.change(),
            })
            .event(format!("payment.{}", fact.kind));
            set.claim(fact.claim(), Uuid::now_v7());
            match self.context.commit(set, deadline).await {
                Err(error) if error.is(ErrorKind::AlreadyExists) => Ok(Recorded::Repeated),
                outcome => outcome.map(|_| Recorded::New),
            }
        };
        record
            .await
            .map_err(|error: Error| error.operation("payments.record_for_order"))
    }

    async fn find(&self, id: PaymentId, deadline: Deadline) -> Result<Option<Arc<Payment>>> {
        Ok(single(self.context.payments()?.get_many(&[id], deadline).await?))
    }

    async fn record_on(&self, payment: &Payment, fact: &PaymentFact, deadline: Deadline) -> Result<Recorded> {
        fact.amount.checked_add(payment.amount)?;
        let charge = whole_charge(payment, fact);
        let settled = fact.change();
        let mut set = self.context.write_set();
        set.delta(Delta::Payment {
            payment: payment.id,
            settled,
        });
        set.delta(Delta::Order {
            order: payment.order,
            settled,
        });
        set.event(format!("payment.{}", fact.kind));
        // The owners are new each time: an owner may claim its own key again, and a fact must not count
        // again.
        set.claim(fact.claim(), Uuid::now_v7());
        if let Some(charge) = &charge {
            set.claim(charge.clone(), Uuid::now_v7());
        }
        match self.context.commit(set, deadline).await {
            Err(error) if error.is(ErrorKind::AlreadyExists) => {
                if charge.is_some() {
                    self.note_event(fact, deadline).await?;
                }
                Ok(Recorded::Repeated)
            }
            outcome => outcome.map(|_| Recorded::New),
        }
    }

    /// Keeps the event of a charge that was counted already, so that the history of events is whole.
    async fn note_event(&self, fact: &PaymentFact, deadline: Deadline) -> Result<()> {
        let mut set = self.context.write_set();
        set.claim(fact.claim(), Uuid::now_v7());
        match self.context.commit(set, deadline).await {
            Err(error) if !error.is(ErrorKind::AlreadyExists) => Err(error),
            _ => Ok(()),
        }
    }
}

/// The key that makes the charge of a payment's whole amount count once, whoever tells of it first.
pub(crate) fn charge_claim(payment: PaymentId, kind: FactKind) -> ClaimKey {
    ClaimKey::new("payment.charge", format!("{payment}:{kind}"))
}

fn whole_charge(payment: &Payment, fact: &PaymentFact) -> Option<ClaimKey> {
    let charges = matches!(fact.kind, FactKind::Authorized | FactKind::Captured);
    (charges && fact.amount == payment.amount).then(|| charge_claim(payment.id, fact.kind))
}

fn payment_of<'a>(payments: &'a [Arc<Payment>], fact: &PaymentFact) -> Option<&'a Payment> {
    let named = fact.reference.as_ref().and_then(|name| {
        payments
            .iter()
            .find(|payment| payment.provider == fact.provider && payment.reference.as_ref() == Some(name))
    });
    match (named, payments) {
        (Some(payment), _) => Some(payment),
        (None, [only]) => Some(only),
        _ => None,
    }
}
