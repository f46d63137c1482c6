//! Money that a payment provider moves for an order.

use std::time::Duration;

use uuid::Uuid;

use super::stored::stored_enum;
use super::text::cut_line;
use super::{
    ClaimKey, Expiry, HoldId, Money, OrderId, PaymentId, Provider, Reference, Settlement, Timestamp, Version,
};
use crate::{Error, ErrorKind, Result};

/// How much of a provider's reason is kept.
const REASON_LENGTH: usize = 255;

stored_enum! {
    /// Where a payment stands.
    PaymentState in "state" {
        /// The call to the provider may be running, or its answer was lost.
        Started = "started",
        /// The provider has promised the money.
        Authorized = "authorized",
        /// The provider has taken the money.
        Captured = "captured",
        /// The provider has refused.
        Declined = "declined",
        /// The promise was given up.
        Voided = "voided",
    }
}

impl PaymentState {
    /// Whether it may change to this state.
    const fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (
                Self::Started,
                Self::Authorized | Self::Captured | Self::Declined | Self::Voided
            ) | (Self::Authorized, Self::Captured | Self::Voided)
        )
    }

    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Captured | Self::Declined | Self::Voided)
    }
}

/// Who may call the provider about a payment, and until when.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Who has it.
    pub holder: Uuid,
    /// When another may take it.
    pub until: Expiry,
}

impl Lease {
    /// A lease of this length, from the commit on by the store's clock.
    pub const fn lasting(holder: Uuid, length: Duration) -> Self {
        Self {
            holder,
            until: Expiry::In(length),
        }
    }
}

/// Money that a payment provider moves for an order.
///
/// - Its methods return the changed payment at the version and times that it had: the write path raises and stamps them.
/// - Its state says how the conversation with the provider went; what money moved, `settled` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    /// Its identity.
    pub id: PaymentId,
    /// How often it has changed.
    pub version: Version,
    /// The order that it pays.
    pub order: OrderId,
    /// The provider.
    pub provider: Provider,
    /// The idempotency key that the provider is given.
    pub provider_key: String,
    /// What the provider calls it.
    pub reference: Option<Reference>,
    /// What is to be paid.
    pub amount: Money,
    /// Where it stands.
    pub state: PaymentState,
    /// What money moved.
    pub settled: Settlement,
    /// Who may call the provider about it.
    pub lease: Lease,
    /// Whether the lease had not ended when the payment was read, by the store's clock; a write does not look at it.
    pub lease_alive: bool,
    /// The stock that is held for it.
    pub hold: Option<HoldId>,
    /// Why the provider refused.
    pub decline_reason: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Payment {
    /// The payment once the provider has promised the money.
    ///
    /// # Errors
    /// `Conflict` when it is not started.
    pub fn authorized(&self, reference: Reference) -> Result<Self> {
        Ok(Self {
            reference: Some(reference),
            ..self.moved_to(PaymentState::Authorized)?
        })
    }

    /// The payment once the provider has taken the money.
    ///
    /// # Errors
    /// `Conflict` when it is neither started nor authorized.
    pub fn captured(&self, reference: Reference) -> Result<Self> {
        Ok(Self {
            reference: Some(reference),
            ..self.moved_to(PaymentState::Captured)?
        })
    }

    /// The payment once the provider has refused.
    ///
    /// - The reason is the provider's text: it is cut to 255 characters, and control characters become spaces.
    ///
    /// # Errors
    /// `Conflict` when it is not started.
    pub fn declined(&self, reason: &str) -> Result<Self> {
        let reason = Some(cut_line(reason, REASON_LENGTH));
        Ok(Self {
            decline_reason: reason,
            ..self.moved_to(PaymentState::Declined)?
        })
    }

    /// The payment once the promise was given up.
    ///
    /// # Errors
    /// `Conflict` when it is neither started nor authorized.
    pub fn voided(&self) -> Result<Self> {
        self.moved_to(PaymentState::Voided)
    }

    /// The payment with another lease.
    #[must_use]
    pub fn leased(&self, lease: Lease) -> Self {
        Self {
            lease,
            ..self.clone()
        }
    }

    fn moved_to(&self, state: PaymentState) -> Result<Self> {
        if self.state.leads_to(state) {
            return Ok(Self {
                state,
                ..self.clone()
            });
        }
        let name = format!("payment {}", self.id);
        let message = format!("{name} is {} and cannot become {state}", self.state);
        Err(Error::new(ErrorKind::Conflict, message)
            .concerning(name)
            .found(self.version.get()))
    }
}

stored_enum! {
    /// What a provider tells.
    FactKind in "fact" {
        /// It has promised money.
        Authorized = "authorized",
        /// It has taken money.
        Captured = "captured",
        /// It has given money back.
        Refunded = "refunded",
        /// It has given up a promise.
        Voided = "voided",
    }
}

/// Something that a provider tells about money, once or many times, in any order.
///
/// ```
/// use stockroom::{Currency, Money, PaymentFact, Provider, Reference};
///
/// let amount = Money::new(12_00, Currency::EUR);
/// let fact = PaymentFact::captured(Provider::new("acme")?, Reference::new("evt_1")?, amount);
/// assert_eq!(fact.change().captured, 12_00);
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentFact {
    /// Who tells.
    pub provider: Provider,
    /// What the provider calls the event: the same event counts once.
    pub event: Reference,
    /// What it tells.
    pub kind: FactKind,
    /// How much.
    pub amount: Money,
    /// What the provider calls the payment.
    pub reference: Option<Reference>,
}

impl PaymentFact {
    /// The provider has promised this much.
    pub fn authorized(provider: Provider, event: Reference, amount: Money) -> Self {
        Self {
            provider,
            event,
            kind: FactKind::Authorized,
            amount,
            reference: None,
        }
    }

    /// The provider has taken this much.
    pub fn captured(provider: Provider, event: Reference, amount: Money) -> Self {
        Self {
            kind: FactKind::Captured,
            ..Self::authorized(provider, event, amount)
        }
    }

    /// The provider has given this much back.
    pub fn refunded(provider: Provider, event: Reference, amount: Money) -> Self {
        Self {
            kind: FactKind::Refunded,
            ..Self::authorized(provider, event, amount)
        }
    }

    /// The provider has given up a promise of this much.
    pub fn voided(provider: Provider, event: Reference, amount: Money) -> Self {
        Self {
            kind: FactKind::Voided,
            ..Self::authorized(provider, event, amount)
        }
    }

    /// The same about the payment of this reference.
    #[must_use]
    pub fn reference(mut self, reference: Reference) -> Self {
        self.reference = Some(reference);
        self
    }

    /// What it adds to the counters of the payment and of its order.
    pub const fn change(&self) -> Settlement {
        let minor = self.amount.minor();
        match self.kind {
            FactKind::Authorized => Settlement {
                authorized: minor,
                ..Settlement::ZERO
            },
            FactKind::Captured => Settlement {
                captured: minor,
                ..Settlement::ZERO
            },
            FactKind::Refunded => Settlement {
                refunded: minor,
                ..Settlement::ZERO
            },
            FactKind::Voided => Settlement {
                authorized: minor.saturating_neg(),
                ..Settlement::ZERO
            },
        }
    }

    /// The unique key that makes the same event count once.
    pub fn claim(&self) -> ClaimKey {
        ClaimKey::new(
            ClaimKey::PAYMENT_EVENT,
            format!("{}:{}", self.provider, self.event),
        )
    }

    /// Checks that the amount is more than nothing.
    ///
    /// # Errors
    /// `InvalidInput`, field `amount`.
    pub fn validate(&self) -> Result<()> {
        if self.amount.minor() > 0 {
            return Ok(());
        }
        Err(Error::invalid("amount", "must be more than nothing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Currency, from_micros};

    fn payment(state: PaymentState) -> Payment {
        let now = from_micros(0).unwrap();
        Payment {
            id: PaymentId::new(),
            version: Version::FIRST,
            order: OrderId::new(),
            provider: Provider::new("acme").unwrap(),
            provider_key: "key".into(),
            reference: None,
            amount: Money::new(5, Currency::EUR),
            state,
            settled: Settlement::ZERO,
            lease: Lease::lasting(Uuid::nil(), Duration::from_secs(1)),
            lease_alive: true,
            hold: None,
            decline_reason: None,
            created_at: now,
            updated_at: now,
        }
    }

    fn reference() -> Reference {
        Reference::new("pay_1").unwrap()
    }

    #[test]
    fn each_transition_starts_from_its_own_states() {
        use PaymentState::{Authorized, Captured, Declined, Started, Voided};
        for (state, [authorized, captured, declined, voided]) in [
            (Started, [true; 4]),
            (Authorized, [false, true, false, true]),
            (Captured, [false; 4]),
            (Declined, [false; 4]),
            (Voided, [false; 4]),
        ] {
            let payment = payment(state);
            assert_eq!(payment.authorized(reference()).is_ok(), authorized, "{state}");
            assert_eq!(payment.captured(reference()).is_ok(), captured, "{state}");
            assert_eq!(payment.declined("no").is_ok(), declined, "{state}");
            assert_eq!(payment.voided().is_ok(), voided, "{state}");
            assert_eq!(state.is_final(), !voided, "{state}");
        }
    }

    #[test]
    fn a_refused_transition_is_a_conflict() {
        assert!(
            payment(PaymentState::Captured)
                .voided()
                .unwrap_err()
                .is(ErrorKind::Conflict)
        );
    }

    #[test]
    fn any_reason_of_a_provider_can_be_kept() {
        let declined = payment(PaymentState::Started)
            .declined(&"no\0".repeat(200))
            .unwrap();
        let reason = declined.decline_reason.unwrap();
        assert!(reason.chars().count() == REASON_LENGTH && !reason.contains('\0'));
    }

    #[test]
    fn facts_add_to_their_own_counter() {
        let fact = |kind| PaymentFact {
            kind,
            ..PaymentFact::captured(
                Provider::new("acme").unwrap(),
                reference(),
                Money::new(7, Currency::EUR),
            )
        };
        let counters = |kind| {
            let Settlement {
                authorized,
                captured,
                refunded,
            } = fact(kind).change();
            (authorized, captured, refunded)
        };
        assert_eq!(counters(FactKind::Authorized), (7, 0, 0));
        assert_eq!(counters(FactKind::Captured), (0, 7, 0));
        assert_eq!(counters(FactKind::Refunded), (0, 0, 7));
        assert_eq!(counters(FactKind::Voided), (-7, 0, 0));
        assert_eq!(fact(FactKind::Captured).claim().key, "acme:pay_1");
    }
}
