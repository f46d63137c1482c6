//! Faults in what readers answer: the parts that are the same for every aggregate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::Fault;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Page;
use crate::model::PageRequest;
use crate::spi::store::Readers;

/// A reader with a fault in front.
#[derive(Debug)]
pub(super) struct Wrong<R: ?Sized, T = ()> {
    pub(super) inner: Arc<R>,
    pub(super) fault: Fault,
    /// What was found first, for the fault that never looks again.
    seen: Mutex<BTreeMap<String, T>>,
}

impl<R: ?Sized, T> Wrong<R, T> {
    fn new(inner: &Arc<R>, fault: Fault) -> Self {
        Self {
            inner: Arc::clone(inner),
            fault,
            seen: Mutex::new(BTreeMap::new()),
        }
    }
}

/// Plants the fault in front of every reader.
pub(super) fn wrap(right: &Readers, fault: Fault) -> Readers {
    let mut wrong = right.clone();
    if let Some(inner) = &right.product {
        wrong.product = Some(Arc::new(Wrong::new(inner, fault)));
    }
    if let Some(inner) = &right.cart {
        wrong.cart = Some(Arc::new(Wrong::new(inner, fault)));
    }
    if let Some(inner) = &right.order {
        wrong.order = Some(Arc::new(Wrong::new(inner, fault)));
    }
    if let Some(inner) = &right.payment {
        wrong.payment = Some(Arc::new(Wrong::new(inner, fault)));
    }
    if let Some(inner) = &right.inventory {
        wrong.inventory = Some(Arc::new(Wrong::new(inner, fault)));
    }
    if let Some(inner) = &right.claim {
        wrong.claim = Some(Arc::new(Wrong::new(inner, fault)));
    }
    if let Some(inner) = &right.history {
        wrong.history = Some(Arc::new(Wrong::new(inner, fault)));
    }
    wrong
}

impl<R: ?Sized + Send + Sync, T: Clone + Send> Wrong<R, T> {
    /// What was found first for this key, if the fault never looks again; else what is there now.
    pub(super) fn stale(&self, key: impl ToString, now: Option<T>) -> Option<T> {
        if self.fault != Fault::ReadsStale {
            return now;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (seen.get(&key.to_string()), now) {
            (Some(first), _) => Some(first.clone()),
            (None, Some(now)) => {
                seen.insert(key.to_string(), now.clone());
                Some(now)
            }
            (None, None) => None,
        }
    }

    /// The answer of a batch read, which has one entry per key in the order asked.
    pub(super) fn batch<U>(&self, mut right: Vec<Option<U>>) -> Vec<Option<U>> {
        match self.fault {
            Fault::ReversesAnswers => right.reverse(),
            Fault::LeavesNoGaps => right.retain(Option::is_some),
            _ => {}
        }
        right
    }

    /// What a search by something else than the id finds.
    pub(super) fn found<U>(&self, right: Option<U>) -> Option<U> {
        right.filter(|_| self.fault != Fault::FindsNothing)
    }

    /// The page that is asked for.
    pub(super) fn request(&self, page: &PageRequest) -> PageRequest {
        let mut page = page.clone();
        if self.fault == Fault::IgnoresCursors {
            page.after = None;
        }
        page
    }

    /// The page that is answered; `first` reads the first page.
    pub(super) async fn page<U, F>(
        &self,
        right: Result<Page<U>>,
        first: impl FnOnce() -> F + Send,
    ) -> Result<Page<U>>
    where
        U: Send,
        F: Future<Output = Result<Page<U>>> + Send,
    {
        let mut page = match right {
            Err(error) if self.fault == Fault::ForgivesCursors && error.is(ErrorKind::InvalidInput) => {
                first().await?
            }
            right => right?,
        };
        match self.fault {
            Fault::ReversesLists => page.items.reverse(),
            Fault::SkipsBetweenPages if page.next.is_some() => {
                page.items.pop();
            }
            _ => {}
        }
        Ok(page)
    }
}
