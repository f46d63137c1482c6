//! One load for all who want the same key at once, within this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::watch;
use uuid::Uuid;

use crate::error::Result;

/// What a load gave; `None` while it is under way.
type Landed<T> = Option<Result<Option<Arc<T>>>>;

/// The loads under way.
#[derive(Debug)]
pub(super) struct Flights<T>(Mutex<HashMap<Uuid, Flight<T>>>);

#[derive(Debug)]
struct Flight<T> {
    /// Of the key when the load began: whoever comes after an invalidation must not be given what was loaded before it.
    generation: u32,
    landed: watch::Receiver<Landed<T>>,
}

/// A load that somebody waits for.
pub(super) enum Joined<T> {
    /// Another caller's.
    Passenger(watch::Receiver<Landed<T>>),
    /// This caller's own: it is to be flown.
    Pilot(Seat<T>, watch::Receiver<Landed<T>>),
}

/// The duty to load; given up when dropped, by a panic too.
#[derive(Debug)]
pub(super) struct Seat<T> {
    flights: Arc<Flights<T>>,
    id: Uuid,
    landing: watch::Sender<Landed<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Flights<T> {
    /// Whether a load of this generation is under way.
    pub(super) fn is_under_way(&self, id: Uuid, generation: u32) -> bool {
        let flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights
            .get(&id)
            .is_some_and(|flight| flight.generation == generation)
    }

    /// Joins the load of this generation, or becomes the one who loads.
    pub(super) fn join(self: &Arc<Self>, id: Uuid, generation: u32) -> Joined<T> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&id)
            && flight.generation == generation
        {
            return Joined::Passenger(flight.landed.clone());
        }
        let (landing, landed) = watch::channel(None);
        let flight = Flight {
            generation,
            landed: landed.clone(),
        };
        flights.insert(id, flight);
        let seat = Seat {
            flights: Arc::clone(self),
            id,
            landing,
        };
        Joined::Pilot(seat, landed)
    }
}

impl<T> Seat<T> {
    /// Tells all who wait.
    pub(super) fn land(self, outcome: Result<Option<Arc<T>>>) {
        self.landing.send_replace(Some(outcome));
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A later load of the key may have taken its place.
        let is_mine = |flight: &Flight<T>| self.landing.same_channel_as(&flight.landed);
        if flights.get(&self.id).is_some_and(is_mine) {
            flights.remove(&self.id);
        }
    }
}

/// What became of a load; `None` when whoever loaded is gone without an answer.
pub(super) async fn landed<T: Send + Sync>(mut flight: watch::Receiver<Landed<T>>) -> Landed<T> {
    let outcome = flight.wait_for(Option::is_some).await.ok()?;
    outcome.clone()
}

trait SameChannel<T> {
    fn same_channel_as(&self, receiver: &watch::Receiver<T>) -> bool;
}

impl<T> SameChannel<T> for watch::Sender<T> {
    fn same_channel_as(&self, receiver: &watch::Receiver<T>) -> bool {
        self.subscribe().same_channel(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_after_an_invalidation_does_not_join_a_load_of_before() {
        let (flights, id) = (Arc::new(Flights::<u8>::default()), Uuid::now_v7());
        let Joined::Pilot(seat, _) = flights.join(id, 1) else {
            panic!("the first one loads");
        };
        assert!(matches!(flights.join(id, 1), Joined::Passenger(_)));
        let Joined::Pilot(later, _) = flights.join(id, 2) else {
            panic!("the load of before is no use");
        };
        // The earlier one ends, and takes the later one's place from nobody.
        seat.land(Ok(None));
        assert!(flights.is_under_way(id, 2));
        drop(later);
        assert!(!flights.is_under_way(id, 2));
    }

    #[tokio::test]
    async fn those_who_wait_for_a_load_that_vanished_are_told() {
        let (flights, id) = (Arc::new(Flights::<u8>::default()), Uuid::now_v7());
        let Joined::Pilot(seat, own) = flights.join(id, 1) else {
            panic!("the first one loads");
        };
        let Joined::Passenger(other) = flights.join(id, 1) else {
            panic!("the second one waits");
        };
        drop(seat);
        assert!(landed(own).await.is_none());
        assert!(landed(other).await.is_none());
        assert!(
            matches!(flights.join(id, 1), Joined::Pilot(..)),
            "the next one loads"
        );
    }
}
