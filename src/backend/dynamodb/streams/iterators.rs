//! Iterators of the service that are known, by the position that they stand at. They spare a question for each page.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::spi::changes::Position;

/// How long an iterator is used; it ends after 15 minutes.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// Iterators at or behind a place, with nothing between.
#[derive(Debug, Default)]
pub(super) struct Iterators(Mutex<HashMap<Vec<u8>, (String, Instant)>>);

impl Iterators {
    pub(super) fn at(&self, position: &Position, now: Instant) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (iterator, since) = known.get(position.as_bytes())?;
        (now.duration_since(*since) < FRESH).then(|| iterator.clone())
    }

    /// Keeps the iterator of a position, or forgets what was kept of it; those that have ended are forgotten too.
    pub(super) fn keep(&self, position: &Position, iterator: Option<&str>, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, since)| now.duration_since(*since) < FRESH);
        match iterator {
            Some(iterator) => known.insert(position.as_bytes().to_vec(), (iterator.to_owned(), now)),
            None => known.remove(position.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterators_are_used_while_they_are_fresh() {
        let (iterators, begun) = (Iterators::default(), Instant::now());
        let position = Position::new("here");
        iterators.keep(&position, Some("i"), begun);
        assert_eq!(iterators.at(&position, begun), Some("i".to_owned()));
        assert_eq!(iterators.at(&position, begun + FRESH), None);
        iterators.keep(&position, None, begun);
        assert_eq!(iterators.at(&position, begun), None);
    }
}
