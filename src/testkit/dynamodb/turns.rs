//! Items that are busy: who writes one of them has it to itself.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The items that somebody has or waits for.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Lock>>);

/// Items that are had by one request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    had: Vec<(String, OwnedMutexGuard<()>)>,
}

impl Turns {
    /// Waits for each of these items. In one order for all, so that no two wait for each other.
    pub(super) async fn wait(self: &Arc<Self>, items: BTreeSet<String>) -> Turn {
        let mut turn = self.turn();
        for item in items {
            let lock = self.lock(&item);
            turn.had.push((item, lock.lock_owned().await));
        }
        turn
    }

    /// All of these items at once, or the first that another has.
    pub(super) fn take(self: &Arc<Self>, items: BTreeSet<String>) -> Result<Turn, String> {
        let mut turn = self.turn();
        for item in items {
            match self.lock(&item).try_lock_owned() {
                Ok(had) => turn.had.push((item, had)),
                Err(_) => return Err(item),
            }
        }
        Ok(turn)
    }

    fn turn(self: &Arc<Self>) -> Turn {
        Turn {
            turns: self.clone(),
            had: Vec::new(),
        }
    }

    fn lock(&self, item: &str) -> Lock {
        self.locks().entry(item.to_owned()).or_default().clone()
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<String, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut locks = self.turns.locks();
        for (item, had) in self.had.drain(..) {
            drop(had);
            // Whoever waits has a share of it.
            if locks.get(&item).is_some_and(|lock| Arc::strong_count(lock) == 1) {
                locks.remove(&item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn an_item_is_had_by_one_and_forgotten_after_the_last() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(items(&["a", "b"])).unwrap();
        assert_eq!(turns.take(items(&["b", "c"])).unwrap_err(), "b");
        let next = {
            let turns = turns.clone();
            tokio::spawn(async move { turns.wait(items(&["a", "c"])).await })
        };
        drop(first);
        let next = next.await.unwrap();
        assert_eq!(turns.take(items(&["a"])).unwrap_err(), "a");
        drop(next);
        assert!(turns.locks().is_empty());
    }
}
