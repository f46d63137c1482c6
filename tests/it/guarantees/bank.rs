//! A payment provider that honours idempotency keys, as real ones do.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use stockroom::Charge;
use stockroom::Due;
use tokio::sync::Semaphore;

use crate::support::reference;
use crate::support::until;

/// Longer than anyone keeps the door closed: who is called and should not have been must not wait for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was charged by provider key, and how often it was called.
#[derive(Clone, Debug)]
pub(super) struct Bank(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: Mutex<Vec<Due>>,
    /// Closed while the provider shall not answer.
    door: Semaphore,
}

impl Bank {
    /// It answers at once.
    pub(super) fn open() -> Self {
        Self(Arc::new(Inner {
            calls: Mutex::default(),
            door: Semaphore::new(Semaphore::MAX_PERMITS / 2),
        }))
    }

    /// It answers nobody until told to.
    pub(super) fn closed() -> Self {
        Self(Arc::new(Inner {
            calls: Mutex::default(),
            door: Semaphore::new(0),
        }))
    }

    /// From now on it answers all who wait and who will come.
    pub(super) fn answer(&self) {
        self.0.door.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Charges, once a provider key.
    pub(super) async fn charge(&self, due: Due) -> Result<Charge, Infallible> {
        let name = reference(due.provider_key.clone());
        self.0.calls.lock().unwrap().push(due);
        let entered = tokio::time::timeout(PATIENCE, self.0.door.acquire()).await;
        drop(entered.expect("the provider was never told to answer").unwrap());
        Ok(Charge::captured(name))
    }

    pub(super) fn calls(&self) -> Vec<Due> {
        self.0.calls.lock().unwrap().clone()
    }

    /// How often each provider key was asked for.
    pub(super) fn keys(&self) -> BTreeMap<String, usize> {
        let mut keys = BTreeMap::new();
        for due in self.calls() {
            *keys.entry(due.provider_key).or_default() += 1;
        }
        keys
    }

    /// Waits until it was called so often.
    pub(super) async fn called(&self, times: usize) {
        until("the provider is called", async || self.calls().len() >= times).await;
    }
}
