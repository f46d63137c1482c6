//! An order with a payment: what is asked for, what the provider says, what comes of it.

use std::sync::Arc;
use std::time::Duration;

use sha2::Digest;
use sha2::Sha256;
use uuid::Uuid;

use super::closing;
use super::fingerprint::Fingerprint;
use super::once::Goods;
use super::once::Once;
use super::once::Request;
use super::quote::Quote;
use super::settle::Attempt;
use super::terms::Terms;
use super::terms::terms_methods;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::CartId;
use crate::model::HoldId;
use crate::model::IdempotencyKey;
use crate::model::Lease;
use crate::model::OrderId;
use crate::model::OrderStatus;
use crate::model::Payment;
use crate::model::PaymentId;
use crate::model::PaymentState;
use crate::model::Provider;
use crate::model::Settlement;
use crate::model::Version;
use crate::repository::written;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::Put;
use crate::spi::store::ReadCheck;
use crate::spi::store::WriteSet;
use crate::transaction::Context;
use crate::transaction::stock;

/// How long a call to the provider may take before another caller takes over.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// How long the stock is held for a payment: longer than a customer takes to confirm it with the bank.
const HOLD: Duration = Duration::from_secs(15 * 60);

/// The longest lease: a caller that is gone must not block a payment for ever.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 60 * 60);

/// What to order and pay; it needs a [`key`](Pay::key) before it can be paid.
///
/// ```
/// use std::time::Duration;
/// use stockroom::{CartId, IdempotencyKey, Pay};
///
/// let pay = Pay::cart(CartId::new()).lease(Duration::from_secs(30)).key(IdempotencyKey::new("pay-4711")?);
/// # let _ = pay;
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Pay<K = IdempotencyKey> {
    cart: CartId,
    provider: Option<Provider>,
    pub(super) lease: Duration,
    hold_for: Duration,
    terms: Terms,
    pub(super) key: K,
}

impl Pay<()> {
    /// What is in the cart when the payment starts, at the prices of then.
    pub fn cart(cart: CartId) -> Self {
        Self {
            cart,
            provider: None,
            lease: LEASE,
            hold_for: HOLD,
            terms: Terms::default(),
            key: (),
        }
    }

    /// The key of this intent: one order and one charge come of it, however often it is paid.
    pub fn key(self, key: IdempotencyKey) -> Pay {
        let Self {
            cart,
            provider,
            lease,
            hold_for,
            terms,
            key: (),
        } = self;
        Pay {
            cart,
            provider,
            lease,
            hold_for,
            terms,
            key,
        }
    }
}

impl<K> Pay<K> {
    /// The provider that is called; `default` unless told otherwise.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// How long the call to the provider may take before another caller takes over; a minute unless told
    /// otherwise, a day at most.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long the stock is held for the payment; a quarter of an hour unless told otherwise, 30 days at
    /// most.
    pub fn hold_for(mut self, ttl: Duration) -> Self {
        self.hold_for = ttl;
        self
    }

    terms_methods!();
}

/// The scope of the keys of payments: the same key of another actor is another key.
pub(super) fn scope(context: &Context) -> String {
    format!("checkout.pay/{}", context.actor())
}

/// The key that the provider is given: derived, so that every attempt of every process gives the same.
pub(super) fn provider_key(scope: &str, key: &IdempotencyKey) -> String {
    let mut digest = Sha256::new();
    for part in ["stockroom.pay", scope, key.as_str()] {
        digest.update(part);
        // Neither part can contain U+0000.
        digest.update([0]);
    }
    digest
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Opens order, payment and hold under the key, in one write set.
pub(super) async fn begin(context: &Context, pay: &Pay, deadline: Deadline) -> Result<Once<Attempt>> {
    if pay.lease.is_zero() || pay.lease > LONGEST_LEASE {
        return Err(Error::invalid(
            "lease",
            "must be more than nothing and at most a day",
        ));
    }
    let provider = pay
        .provider
        .clone()
        .map_or_else(|| Provider::new("default"), Ok)?;
    let idempotency = Idempotency {
        scope: scope(context),
        key: pay.key.clone(),
        fingerprint: Fingerprint::new("pay")
            .with(pay.cart)
            .with(&provider)
            .with_terms(&pay.terms)
            .finish(),
        owner: OrderId::new().uuid(),
    };
    let goods = Goods::Cart(pay.cart);
    let request = Request {
        context,
        goods: &goods,
        terms: &pay.terms,
        idempotency,
        deadline,
    };
    match request
        .once(|quote, set| stage(&request, pay, &provider, quote, set))
        .await?
    {
        Once::Known(order) => Ok(Once::Known(order)),
        Once::Done(attempt, committed) => {
            let order = written(&committed, Arc::unwrap_or_clone(attempt.order)).map(Arc::new)?;
            let payment = written(&committed, attempt.payment)?;
            Ok(Once::Done(
                Attempt {
                    order,
                    payment,
                    cart: attempt.cart,
                },
                committed,
            ))
        }
    }
}

/// Everything that the start of a payment writes. The cart stays open, as the payment may be declined.
fn stage(
    request: &Request<'_>,
    pay: &Pay,
    provider: &Provider,
    quote: &Quote,
    set: &mut WriteSet,
) -> Result<Attempt> {
    request.use_up_hold(set);
    let order = request.order(quote, OrderStatus::Pending)?;
    let hold = HoldId::new();
    let payment = Payment {
        id: PaymentId::new(),
        version: Version::FIRST,
        order: order.id,
        provider: provider.clone(),
        provider_key: provider_key(&request.idempotency.scope, &request.idempotency.key),
        reference: None,
        amount: order.total,
        state: PaymentState::Started,
        settled: Settlement::ZERO,
        lease: Lease::lasting(Uuid::now_v7(), pay.lease),
        lease_alive: true,
        hold: Some(hold),
        decline_reason: None,
        created_at: order.placed_at,
        updated_at: order.updated_at,
    };
    let cart = &quote.cart;
    if !closing::is_apart(request.context) {
        set.read(ReadCheck {
            aggregate: Aggregate::Cart,
            key: cart.key(),
            version: Some(cart.version),
        });
    }
    set.put(Put::create(order.clone()));
    set.put(Put::create(payment.clone()));
    for step in stock::hold(&quote.hold_lines(), hold, pay.hold_for)? {
        set.delta(Delta::Stock(step));
    }
    set.event("payment.started");
    Ok(Attempt {
        order: Arc::new(order),
        payment,
        cart: Some(Arc::clone(cart)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_is_given_the_same_key_in_every_attempt() {
        let key = IdempotencyKey::new("k").unwrap();
        let one = provider_key("checkout.pay/system", &key);
        assert_eq!(one.len(), 32);
        assert_eq!(one, provider_key("checkout.pay/system", &key));
        assert_ne!(one, provider_key("checkout.pay/staff:anna", &key));
    }
}
