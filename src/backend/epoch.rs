//! Which restore of a store writes are made after, as this process knows it.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Clock as _;
use crate::model::SystemClock;
use crate::spi::store::WriteSet;

/// The epoch, shared by all parts of a store. What is stored has the truth: every commit and every read of the feed
/// compares, so that a process learns at its next step that another one restored the shop.
///
/// - It is never lowered. Readers may come back in another order than they asked; and a backup of before an earlier restore has
///   a lower one, which holds only until its own restore is told: by [`next`] that is above every epoch of before.
#[derive(Clone, Debug)]
pub(in crate::backend) struct Epoch(Arc<AtomicI64>);

impl Epoch {
    pub(in crate::backend) fn new(known: i64) -> Self {
        Self(Arc::new(AtomicI64::new(known)))
    }

    pub(in crate::backend) fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Learns what is stored.
    pub(in crate::backend) fn saw(&self, found: i64) {
        self.0.fetch_max(found, Ordering::AcqRel);
    }

    /// A write set made before a restore must not be applied to what was restored.
    pub(in crate::backend) fn check(&self, set: &WriteSet) -> Result<()> {
        let known = self.get();
        if set.epoch == known {
            return Ok(());
        }
        Err(restored(set.epoch, known))
    }
}

/// The least epoch that a restore may be given now, in seconds since 1970; the one after the stored one where that is higher.
///
/// One more than the stored epoch would not do: two backups of one epoch, both restored, would be given the same.
pub(in crate::backend) fn next() -> i64 {
    SystemClock.now().unix_timestamp()
}

/// What was made in one epoch is used in another.
pub(in crate::backend) fn restored(made: i64, found: i64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("the store was restored since (epoch {made}, now {found}): read again what this rests on"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Actor;

    #[test]
    fn an_epoch_is_never_lowered() {
        let epoch = Epoch::new(3);
        epoch.saw(7);
        epoch.saw(5);
        assert_eq!(epoch.get(), 7);
        let made_in = |epoch| WriteSet {
            epoch,
            ..WriteSet::new(Actor::system())
        };
        assert!(epoch.check(&made_in(7)).is_ok());
        for other in [5, 8] {
            assert!(epoch.check(&made_in(other)).unwrap_err().is(ErrorKind::Conflict));
        }
    }
}
