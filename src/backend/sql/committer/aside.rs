//! The first lane's side of the second: what is blocked goes there, and whatever would have to wait for it.

use super::Engine;
use super::hand::Hand;
use super::job::Job;
use super::job::Place;
use super::job::lock;
use super::locked;
use super::second::Second;
use crate::backend::gauge::QUEUE;
use crate::backend::gauge::Ticket;
use crate::backend::sql::plan::Footprint;
use crate::backend::sql::plan::Occupied;
use crate::error::Error;
use crate::error::ErrorKind;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The way to the second lane.
pub(super) struct Aside {
    queue: mpsc::Sender<Job>,
    task: JoinHandle<()>,
    occupied: Arc<Mutex<Occupied>>,
    arrived: u64,
}

impl Aside {
    /// Starts the lane.
    pub(super) fn start(hand: Hand<impl Engine>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        Self {
            queue,
            task: tokio::spawn(Second::new(jobs).work(hand)),
            occupied: Arc::default(),
            arrived: 0,
        }
    }

    /// Whether the set would have to wait for one that is there.
    pub(super) fn collides(&self, own: &Footprint) -> bool {
        let occupied = lock(&self.occupied);
        occupied.sets() > 0 && occupied.collides(own)
    }

    /// Puts a set behind those that are there.
    pub(super) fn take(&mut self, mut job: Job) {
        if lock(&self.occupied).sets() >= QUEUE {
            return job.answer(Err(full()));
        }
        self.arrived += 1;
        let place = Place::new(self.arrived, job.one.footprint.clone(), &self.occupied);
        // Those that are here are counted by themselves.
        job.ticket.iter_mut().for_each(Ticket::sent);
        if job.put_aside(place)
            && let Err(refused) = self.queue.try_send(job)
        {
            refused.into_inner().answer(Err(locked()));
        }
    }

    /// Waits until every set there has its answer, or nobody waits for it.
    pub(super) async fn end(self) {
        drop(self.queue);
        // The task ends by itself once nothing is left; it does not panic.
        let _ = self.task.await;
    }
}

fn full() -> Error {
    Error::new(
        ErrorKind::RateLimited,
        format!("{QUEUE} writes wait for rows that another transaction keeps locked: try again later"),
    )
}
