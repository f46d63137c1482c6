//! A payment that someone began: wait for it, take it over, or call the provider for it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::charge::Charge;
use super::charge::Due;
use super::charge::Paid;
use super::place::load;
use super::settle::Attempt;
use super::settle::outcome;
use super::settle::reload;
use super::settle::settle;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Retry;
use crate::model::Lease;
use crate::model::OrderId;
use crate::model::Payment;
use crate::model::PaymentState;
use crate::repository::written;
use crate::resilience::Backoff;
use crate::resilience::Deadline;
use crate::spi::store::Put;
use crate::transaction::Attempts;
use crate::transaction::Context;

/// Pauses between looks at a payment that another caller works on.
const LOOKS: Backoff = Backoff::new(Duration::from_millis(40), Duration::from_millis(500));

/// The shortest pause between looks: many callers may wait for one payment.
const SHORTEST_LOOK: Duration = Duration::from_millis(20);

/// A payment that was begun under a key.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    pub(super) context: &'a Context,
    pub(super) order: OrderId,
    pub(super) provider_key: String,
    pub(super) lease: Duration,
}

impl Begun<'_> {
    /// Waits until the payment is settled, or its lease has ended and this caller has it.
    ///
    /// # Errors
    /// `InFlight` when the deadline ends first.
    pub(super) async fn follow<F, Fut, E>(&self, charge: &F, deadline: Deadline) -> Result<Paid>
    where
        F: Fn(Due) -> Fut + Send + Sync,
        Fut: Future<Output = Result<Charge, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        for look in 0.. {
            let looks = tokio::join!(load(self.context, self.order, deadline), self.payment(deadline));
            let (order, payment) = match looks {
                (Ok(order), Ok(payment)) => (order, payment),
                // The payment was begun: who cannot wait for it has to come again, with the same key.
                (Err(error), _) | (_, Err(error)) if error.is(ErrorKind::Timeout) => break,
                (Err(error), _) | (_, Err(error)) => return Err(error),
            };
            if payment.state != PaymentState::Started {
                return Ok(outcome(order, &payment, None, true));
            }
            if !payment.lease_alive {
                match self.take_over(&payment, deadline).await {
                    Ok(payment) => {
                        let known = Attempt {
                            order,
                            payment,
                            cart: None,
                        };
                        let known = reload(self.context, &known, deadline).await?;
                        return call(self.context, known, charge).await;
                    }
                    Err(error) if error.is(ErrorKind::Conflict) => {}
                    Err(error) => return Err(error),
                }
            }
            let pause = SHORTEST_LOOK.max(LOOKS.next(look));
            if deadline.remaining() <= pause {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let message = "another caller is paying this order: ask again later with the same key";
        Err(Error::new(ErrorKind::InFlight, message)
            .concerning(format!("order {}", self.order))
            .existing(self.order.uuid())
            .retry(Retry::SameKey))
    }

    /// The payment under this key.
    async fn payment(&self, deadline: Deadline) -> Result<Payment> {
        let payments = self.context.payments()?.for_order(self.order, deadline).await?;
        let found = payments
            .into_iter()
            .find(|payment| payment.provider_key == self.provider_key);
        let found = found.ok_or_else(|| Error::not_found(format!("payment of order {}", self.order)))?;
        Ok(Arc::unwrap_or_clone(found))
    }

    async fn take_over(&self, payment: &Payment, deadline: Deadline) -> Result<Payment> {
        let mut leased = payment.leased(Lease::lasting(Uuid::now_v7(), self.lease));
        leased.updated_at = self.context.now();
        let mut set = self.context.write_set();
        set.put(Put::root(payment, leased.clone()))
            .event("payment.resumed");
        let committed = self.context.commit(set, deadline).await?;
        written(&committed, leased)
    }
}

/// Asks the provider, outside of any transaction, and settles what it answered.
///
/// - The deadline counts anew for what follows the answer: money that moved must be recorded, however long it
///   took.
pub(super) async fn call<F, Fut, E>(context: &Context, known: Attempt, charge: &F) -> Result<Paid>
where
    F: Fn(Due) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Charge, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let due = Due {
        order: Arc::clone(&known.order),
        amount: known.payment.amount,
        provider_key: known.payment.provider_key.clone(),
        attempt: known.payment.version.get(),
    };
    let order = known.order.id;
    let concerning = |error: Error| error.concerning(format!("order {order}")).existing(order.uuid());
    match charge(due).await {
        Ok(answer) => {
            let settled = settle(context, known, answer, context.deadline()).await;
            settled.map_err(|error| concerning(unsettled(error)))
        }
        Err(source) => {
            let source = source.into();
            give_up_lease(context, known).await;
            let message =
                "the call to the provider failed and may have moved money: resume with the same key";
            Err(concerning(
                Error::new(ErrorKind::Unavailable, message)
                    .retry(Retry::SameKey)
                    .caused_by(source),
            ))
        }
    }
}

/// The provider has answered: whatever kept the answer from being recorded, only the same key can finish it.
fn unsettled(error: Error) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::Internal | ErrorKind::Corrupt => error,
        _ => error.retry(Retry::SameKey),
    }
}

/// Ends the lease at once, so that nobody waits for a call that has failed; if that fails too, it ends by
/// itself.
async fn give_up_lease(context: &Context, known: Attempt) {
    let deadline = context.deadline();
    let mut attempts = Attempts::few(deadline);
    let mut known = known;
    while known.payment.state == PaymentState::Started {
        let ended = known
            .payment
            .leased(Lease::lasting(known.payment.lease.holder, Duration::ZERO));
        let mut set = context.write_set();
        set.put(Put::root(&known.payment, ended))
            .event("payment.interrupted");
        let Err(error) = context.commit(set, deadline).await else {
            return;
        };
        let holder = known.payment.lease.holder;
        if attempts.after_conflict(error).await.is_err() {
            return;
        }
        match reload(context, &known, deadline).await {
            Ok(found) if found.payment.lease.holder == holder => known = found,
            _ => return,
        }
    }
}
