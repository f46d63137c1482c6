//! A payment provider that takes no money. It keeps the one promise that a checkout needs of a real one: a charge that is
//! repeated with the same idempotency key is made once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::Money;
use stockroom::Provider;
use stockroom::Reference;

/// How the customer pays.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Card {
    /// It has no money left.
    Empty,
    /// It pays.
    Good,
}

/// A provider called `acme`.
#[derive(Debug, Default)]
pub(crate) struct Acme {
    /// What was charged, by the idempotency key that the provider was given.
    charges: Mutex<BTreeMap<String, Money>>,
    calls: AtomicU64,
}

impl Acme {
    /// Its name in the shop.
    pub(crate) fn name() -> Result<Provider, Error> {
        Provider::new("acme")
    }

    /// Charges a card. A real provider is called over the network here, under a timeout of the application's own.
    pub(crate) async fn charge(&self, card: Card, due: Due) -> Result<Charge, Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match card {
            Card::Empty => Ok(Charge::declined("the card has no money left")),
            Card::Good => {
                let reference = Reference::new(format!("ch-{}", due.provider_key))?;
                let mut charges = self.charges.lock().unwrap_or_else(PoisonError::into_inner);
                charges.insert(due.provider_key, due.amount);
                Ok(Charge::captured(reference))
            }
        }
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many charges it made.
    pub(crate) fn charges(&self) -> usize {
        self.charges.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
