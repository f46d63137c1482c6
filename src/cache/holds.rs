//! The holds of this process's writes: which key is held by whom and until when, and longer while its write is under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::watch;

use super::observer::HOLDOFF;
use super::remote::Remote;
use super::stats::add;
use crate::resilience::Deadline;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::NOTHING_WRITTEN;
use crate::spi::cache::Renewed;
use crate::spi::cache::Writer;

/// The holds whose writes are under way, by key.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<CacheKey, Vec<Held>>>);

/// A hold of one of this process's writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) writer: Writer,
    pub(super) until: Instant,
}

/// Which of a key's holds.
pub(super) enum Which {
    First,
    Last,
}

impl Holds {
    fn kept(&self) -> MutexGuard<'_, HashMap<CacheKey, Vec<Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, keys: &[CacheKey], held: Held) {
        let mut holds = self.kept();
        for key in keys {
            holds.entry(key.clone()).or_default().push(held);
        }
    }

    /// Takes one of this process's holds of a key off its list.
    ///
    /// - A commit does not tell which hold was its own. The one that ends first is taken where a hold is given up: whatever
    ///   write is still under way is then covered by one that lasts longer than its own.
    pub(super) fn take(&self, key: &CacheKey, which: Which) -> Option<Writer> {
        let mut holds = self.kept();
        let held = holds.get_mut(key)?;
        let order = held.iter().enumerate();
        let (index, _) = match which {
            Which::First => order.min_by_key(|(_, held)| held.until)?,
            Which::Last => order.max_by_key(|(_, held)| held.until)?,
        };
        let writer = held.swap_remove(index).writer;
        if held.is_empty() {
            holds.remove(key);
        }
        Some(writer)
    }

    /// The holds that end before this instant, by writer.
    fn ending(&self, before: Instant) -> Vec<(Writer, Vec<CacheKey>)> {
        let mut ending: HashMap<Writer, Vec<CacheKey>> = HashMap::new();
        for (key, held) in &*self.kept() {
            for held in held.iter().filter(|held| held.until < before) {
                ending.entry(held.writer).or_default().push(key.clone());
            }
        }
        ending.into_iter().collect()
    }

    /// Notes how long a writer's holds last now; the keys that it holds no more, for its write has ended meanwhile.
    fn lengthen(&self, keys: Vec<CacheKey>, writer: Writer, until: Instant) -> Vec<CacheKey> {
        let mut holds = self.kept();
        keys.into_iter()
            .filter(|key| {
                let held = holds.get_mut(key).into_iter().flatten();
                let mut own = held.filter(|held| held.writer == writer).peekable();
                let is_over = own.peek().is_none();
                own.for_each(|held| held.until = until);
                is_over
            })
            .collect()
    }
}

/// Lengthens the holds of writes that are still under way, each time by the margin, until told to stop.
///
/// - A write may take longer than its deadline: a transaction of the application's own that it was joined into, or a commit
///   that the database is slow to answer. Without this its hold would be over, and a reader would keep what is about to change.
pub(super) async fn renew(
    holds: Arc<Holds>,
    remote: Arc<Remote>,
    margin: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut looks = tokio::time::interval((margin / 4).max(Duration::from_millis(1)));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = looks.tick() => {}
        }
        for (writer, keys) in holds.ending(Instant::now() + margin / 2) {
            let (until, deadline) = (Instant::now() + margin, Deadline::within(remote.write));
            match remote.renew(&keys, (writer, margin), deadline).await {
                Ok(Renewed::Lapsed) => add(&remote.counters.holds_lapsed),
                Ok(Renewed::Renewed) => {}
                // Looked at again next time, while there is some of it left.
                Err(_) => continue,
            }
            add(&remote.counters.holds_renewed);
            let over = holds.lengthen(keys, writer, until);
            let what = over.into_iter().map(|key| Invalidation {
                key,
                version: NOTHING_WRITTEN,
            });
            let what: Vec<_> = what.collect();
            if !what.is_empty() {
                let how = Invalidate {
                    writer: Some(writer),
                    holdoff: HOLDOFF,
                    stale_for: Duration::ZERO,
                };
                // Where it cannot be ended it ends by itself.
                drop(remote.invalidate(&what, how, deadline).await);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_lengthened_while_its_write_is_under_way_and_not_after() {
        let (holds, now) = (Holds::default(), Instant::now());
        let (one, other) = (CacheKey::new("n", "k", "1"), CacheKey::new("n", "k", "2"));
        let (writer, later) = (Writer::random().unwrap(), Writer::random().unwrap());
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        holds.note(&[one.clone(), other.clone()], Held { writer, until: soon });
        holds.note(
            std::slice::from_ref(&one),
            Held {
                writer: later,
                until: late,
            },
        );
        let ending = holds.ending(now + Duration::from_secs(5));
        assert_eq!(ending.len(), 1);
        assert_eq!(ending[0].0, writer);
        // One of its keys was given up meanwhile.
        assert_eq!(holds.take(&other, Which::First), Some(writer));
        assert_eq!(holds.lengthen(ending[0].1.clone(), writer, late), [other]);
        assert!(holds.ending(now + Duration::from_secs(5)).is_empty());
        assert!(holds.take(&one, Which::First).is_some());
        assert!(holds.take(&one, Which::Last).is_some());
        assert_eq!(holds.take(&one, Which::Last), None);
    }
}
